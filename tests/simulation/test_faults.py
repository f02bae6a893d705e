"""Faults also act on users who arrive later; they add up, count their hits, and report their errors."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim import Scenario, check, simulate
from netra_sim.checks import delivery_latencies
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import Kind
from netra_sim.protocol import CLOSE_LOST
from netra_sim.simulation import FAULTS, Agents, Burst, Closed, Constant, HarnessError, Network, Workload
from netra_sim.simulation.fault_state import FaultState
from netra_sim.simulation.faults import (
    AnotherInstance,
    BackendFault,
    BackendNotReady,
    BridgeLost,
    ClockJump,
    DeadSocket,
    Deploy,
    Disconnect,
    DuplicateMessage,
    Fault,
    HandshakeRace,
    IdCollision,
    LateAuthentication,
    LoopStall,
    MessageFault,
    SlowConsumer,
    StalledSocket,
    TabMultiplication,
)

STEADY = Workload(arrivals=Closed(think=Constant(0.5)), runs_per_user=4)
QUICK = Agents(think=Constant(0.5), tool=Constant(0.5))


def sim(*faults, users=6, seed=1, **fields):
    return simulate(Scenario(users=users, faults=faults, **fields), seed)


def hit(history):
    return history.frame(Kind.FAULT_ENDED)["value"].tolist()


def connections_of_each(history):
    return history.frame(Kind.CONNECTED)["user"].astype(str).value_counts().tolist()


def refused(history, reason):
    rows = history.frame(Kind.CONNECT_REFUSED)
    return rows[rows["detail"] == reason]["time"].to_numpy()


# Faults also act on users who arrive later.


@pytest.mark.parametrize(
    ("kind", "reason"), [(Disconnect, "no network"), (DeadSocket, "no network"), (Deploy, "no server"),
                         (LateAuthentication, "no token service")],
)  # fmt: skip
def test_users_who_arrive_during_an_outage_connect_after_it(kind, reason):
    history = sim(kind(at=0.0, lasts=10.0), workload=Workload(window=5.0))
    assert history.frame(Kind.CONNECTED)["time"].min() >= 10.0
    assert len(refused(history, reason)) > 0
    assert hit(history) == [6.0]


def test_users_who_arrive_during_a_slow_consumer_fault_are_slow():
    history = sim(SlowConsumer(at=0.0, lasts=60.0, bytes_per_second=50.0))
    assert set(delivery_latencies(history).groupby("user", observed=True)["latency"].max() > 1.0) == {True}


def test_users_who_arrive_during_a_stall_read_after_it():
    history = sim(StalledSocket(at=0.0, lasts=20.0), workload=Workload(window=5.0))
    assert history.frame(Kind.RECEIVED)["time"].min() == 20.0


def test_a_fault_also_acts_on_the_next_connection():
    faults = SlowConsumer(at=0.0, lasts=60.0, bytes_per_second=50.0), Disconnect(at=8.0, lasts=1.0)
    history = sim(*faults, workload=Workload(arrivals=Burst(at=2.0)), agents=QUICK)
    assert connections_of_each(history) == [2] * 6
    assert history.frame(Kind.RECEIVED)["time"].max() > 55.0


def test_only_users_hit_by_a_handshake_race_connect_late():
    history = sim(HandshakeRace(at=0.0, lasts=100.0, delay=7.0, share=0.5), users=20)
    came = (history.frame(Kind.REQUESTED).set_index("user")["due"] - 1.0).clip(lower=0.0)
    waited = history.frame(Kind.CONNECTED).set_index("user")["time"] - came
    assert 0 < (waited > 7.0).sum() < 20
    assert hit(history) == [(waited > 7.0).sum()]
    assert (waited[waited < 7.0] < 1.0).all()


def test_users_who_arrive_later_open_additional_tabs_until_the_fault_ends():
    fault = TabMultiplication(at=0.0, lasts=12.0, tabs=3)
    history = sim(fault, workload=Workload(arrivals=Burst(at=10.0)))
    assert connections_of_each(history) == [4] * 6
    assert (history.frame(Kind.DISCONNECTED)["time"] == 12.0).sum() == 18


def test_users_who_arrive_later_are_moved_to_the_other_server_and_back():
    history = sim(AnotherInstance(at=0.0, lasts=15.0), workload=Workload(arrivals=Burst(at=14.0)))
    changes = history.frame(Kind.CONNECTED, Kind.DISCONNECTED)
    assert (changes[changes["time"] == 15.0]["value"] == CLOSE_LOST).all()
    assert connections_of_each(history) == [2] * 6
    assert hit(history) == [6.0]


def test_a_server_that_is_down_at_the_start_comes_up_once():
    history = sim(Deploy(at=0.0, lasts=10.0))
    left = history.frame(Kind.LEFT_OVER)
    assert (left["detail"] == "connections").sum() == 1
    assert {one.check for one in check(history) if one.state == "failed"} <= {"latency", "refusals"}


# The runtime notices faults by itself.


def test_a_back_end_that_dies_later_is_noticed_within_the_check_interval_and_runs_are_refused():
    history = sim(BackendNotReady(), users=30)
    refusals = history.frame(Kind.REFUSED)
    assert set(refusals["detail"]) == {"not_ready"}
    assert refusals["time"].min() >= 5.0
    begun = history.frame(Kind.SCOPE_OPENED)["time"].to_numpy()
    assert not ((begun > 10.5) & (begun < 25.0)).any()
    assert (begun > 25.0).any()
    assert hit(history) == [float(history.frame(Kind.SCOPE_REFUSED)["run"].nunique())]


@pytest.mark.parametrize(
    ("fault", "code"), [(BackendNotReady(), "not_ready"), (Deploy(at=5.0, lasts=15.0, drain=12.0), "shutting_down")]
)
def test_postponed_requests_are_repeated_and_keep_their_first_due_time(fault, code):
    history = sim(fault, users=30)
    refused = set(history.frame(Kind.REFUSED)["run"])
    assert set(history.frame(Kind.REFUSED)["detail"]) == {code}
    asked = history.frame(Kind.REQUESTED)
    again = asked[asked["run"].isin(refused)].groupby("run")
    assert (again.size() > 1).all()
    assert (again["due"].nunique() == 1).all()
    received = history.frame(Kind.RECEIVED)
    assert refused <= set(received[received["event"] == "agent_completed"]["run"])


def test_an_outage_between_two_health_checks_hits_nothing():
    history = simulate(Scenario(users=30, faults=(BackendNotReady(),)).with_settings({"limits.check_interval": 60.0}))
    assert len(history.frame(Kind.SCOPE_REFUSED)) == 0
    assert hit(history) == [0.0]


def test_a_stall_longer_than_the_keepalive_ends_connections_but_no_runs():
    history = sim(LoopStall(at=5.0, lasts=90.0), workload=Workload(arrivals=Burst(at=3.0)), agents=QUICK)
    closed = history.frame(Kind.DISCONNECTED)
    assert (closed["value"] == 1011).sum() == 6
    assert set(closed[closed["value"] == 1011]["time"]) == {95.0}
    assert connections_of_each(history) == [2] * 6
    ends = history.frame(Kind.RECEIVED)
    assert (ends["event"].isin(["agent_completed", "agent_error"])).sum() == 6


@pytest.mark.parametrize(("lasts", "lost"), [(19.0, 0), (41.0, 6)])
def test_a_stall_ends_connections_only_after_an_unanswered_ping(lasts, lost):
    history = sim(LoopStall(at=5.0, lasts=lasts), workload=Workload(arrivals=Burst(at=3.0)), agents=QUICK)
    assert (history.frame(Kind.DISCONNECTED)["value"] == 1011).sum() == lost


# Faults add up.


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=4)


def simulated_under(faults, seed):
    """The History under the faults, and a function that says whether one of them is active at a time."""
    scenario = Scenario(
        users=3, faults=tuple(faults), workload=STEADY, agents=QUICK, network=Network(handshake=Constant(0.1))
    )
    return simulate(scenario, seed), lambda time: any(fault.is_active(time) for fault in faults)


@given(SPANS, st.integers(0, 3))
@settings(max_examples=15)
def test_clients_are_offline_exactly_while_at_least_one_fault_keeps_them_so(spans, seed):
    faults = [Disconnect(at=float(at), lasts=float(lasts)) for at, lasts in spans]
    history, is_on = simulated_under(faults, seed)
    assert not any(map(is_on, history.frame(Kind.CONNECTED)["time"]))
    assert all(map(is_on, refused(history, "no network")))
    lost = history.frame(Kind.DISCONNECTED).query("value == 1006")["time"]
    assert set(lost) <= {fault.at for fault in faults}


@given(SPANS, st.integers(0, 3))
@settings(max_examples=15)
def test_no_server_is_there_exactly_while_at_least_one_deploy_is_on(spans, seed):
    faults = [Deploy(at=float(at), lasts=float(lasts), drain=0.0) for at, lasts in spans]
    history, is_on = simulated_under(faults, seed)
    assert not any(map(is_on, history.frame(Kind.CONNECTED)["time"]))
    assert all(map(is_on, refused(history, "no server")))


@given(SPANS, st.integers(0, 3))
@settings(max_examples=15)
def test_no_run_begins_during_an_outage_and_clock_jumps_add_up(spans, seed):
    downs = [
        (BackendNotReady, BridgeLost)[number % 2](at=float(at), lasts=float(lasts))
        for number, (at, lasts) in enumerate(spans)
    ]
    jumps = [ClockJump(at=fault.at, lasts=fault.lasts, seconds=100.0 + number) for number, fault in enumerate(downs)]
    scenario = Scenario(users=2, faults=(*downs, *jumps), workload=STEADY, agents=QUICK)
    history = simulate(scenario.with_settings({"limits.check_interval": 0.25}), seed)

    def down_for(time):
        """The seconds for which the back end has been down at a time; up between one outage and the next."""
        began = time
        while earlier := [fault.at for fault in downs if fault.at < began < fault.at + fault.lasts]:
            began = min(earlier)
        return time - began

    assert all(down_for(time) < 1.0 for time in history.frame(Kind.SCOPE_OPENED)["time"])
    events = history.frame(Kind.RECEIVED)
    published = history.frame(Kind.PUBLISHED).set_index(["run", "seq"])["time"]
    for run, seq, stamp in zip(events["run"], events["seq"], events["value"], strict=True):
        time = published[(run, seq)]
        wrong = sum(fault.seconds for fault in jumps if fault.is_active(time))
        if not any(abs(time - edge) < 1e-6 for fault in jumps for edge in (fault.at, fault.at + fault.lasts)):
            assert stamp == pytest.approx(1_700_000_000.0 + time + wrong, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 5)), max_size=5), st.integers(0, 20))
def test_the_slowest_active_throttle_counts(spans, now):
    faults = [SlowConsumer(at=float(at), lasts=float(lasts), bytes_per_second=pace) for at, lasts, pace in spans]
    state = FaultState((*faults, StalledSocket(at=3.0, lasts=4.0), StalledSocket(at=5.0, lasts=7.0)), 1)
    for injection in state.injections:
        injection.is_on = injection.fault.is_active(now)
    line = state.line("alice")
    assert line.bandwidth == min([fault.bytes_per_second for fault in faults if fault.is_active(now)], default=np.inf)
    assert line.is_stalled == (3 <= now < 12)
    assert not line.is_offline
    assert bool(state.on_for_all(BackendFault)) is False


def test_a_second_outage_within_the_first_does_not_shorten_it():
    first = BackendNotReady(at=0.0, lasts=25.0)
    alone, both = (sim(*faults, users=60, seed=3) for faults in ((first,), (first, BackendNotReady(at=1.0, lasts=1.0))))
    assert len(alone.frame(Kind.SCOPE_REFUSED)) == len(both.frame(Kind.SCOPE_REFUSED)) > 40


def test_waiting_events_arrive_at_once_when_a_slow_client_recovers():
    fault = SlowConsumer(at=0.0, lasts=30.0, bytes_per_second=10.0)
    history = sim(fault, workload=Workload(arrivals=Burst(at=2.0)), agents=QUICK)
    assert history.frame(Kind.RECEIVED)["time"].max() < 31.0


# Faults count their hits.


OF_SYSTEMS = {name for name, kind in FAULTS.items() if kind.needs_system}


@pytest.mark.parametrize(
    "name", sorted(set(FAULTS) - OF_SYSTEMS - {"id-collision", "backend-not-ready", "bridge-lost"})
)
@pytest.mark.parametrize("at", [0.0, 5.0])
def test_every_fault_hits_something_at_the_start_and_later(name, at):
    history = sim(FAULTS[name](at=at), workload=Workload(window=10.0), users=8)
    assert hit(history)[0] > 0
    assert "faults-acted" not in {one.check for one in check(history) if one.state == "failed"}


@pytest.mark.parametrize(
    "fault", [Disconnect(share=0.0), IdCollision(), Disconnect(at=500.0), DuplicateMessage(at=300.0)]
)
def test_a_fault_that_hits_nothing_is_found(tmp_path, fault):
    history = sim(fault)
    assert hit(history) == [0.0]
    found = next(one for one in check(history) if one.check == "faults-acted")
    assert f"fault {fault.name} hit nobody" in found.findings[0].message


def test_the_simulate_command_names_a_fault_that_hit_nothing(tmp_path):
    settings = 'faults=[{kind = "disconnect", share = 0.0}]'
    command = [
        sys.executable,
        "-m",
        "netra_sim",
        "simulate",
        "--users",
        "3",
        "--set",
        settings,
        "-o",
        tmp_path / "h.parquet",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "fault disconnect hit nobody" in done.stdout
    assert done.returncode == 1


def test_a_fault_hits_its_share_of_users():
    """Of 400 users 30 % are drawn; the standard deviation is 9.2 users."""
    fault = Disconnect(at=6.0, lasts=1.0, share=0.3)
    history = sim(fault, users=400, workload=Workload(arrivals=Burst(at=3.0)), agents=QUICK)
    lost = history.frame(Kind.DISCONNECTED).query("value == 1006")["user"].nunique()
    assert 83 <= lost <= 157
    assert hit(history) == [float(lost)]


def test_a_fault_acts_as_long_as_it_lasts():
    history = sim(DuplicateMessage(at=0.0, lasts=25.0), workload=STEADY, agents=QUICK)
    asked = history.frame(Kind.REQUESTED)["time"]
    doubled = history.frame(Kind.REFUSED)
    assert (doubled["detail"] == "duplicate_request").all()
    assert len(doubled) == (asked < 25.0).sum()
    assert doubled["time"].max() > 12.0


# An error in a fault ends the simulation.


class BeginRaises(Fault, frozen=True, tag="begin-raises"):
    def begin(self, target):
        raise RuntimeError("a bug in the fault")


class EndRaises(Fault, frozen=True, tag="end-raises"):
    def end(self, target):
        raise RuntimeError("a bug in the fault")


class MangleRaises(MessageFault, frozen=True, tag="mangle-raises"):
    def mangle(self, message):
        raise RuntimeError("a bug in the fault")


class RaisesAgain(Fault, frozen=True, tag="raises-again"):
    def begin(self, target):
        if asyncio.get_running_loop().time() > self.at:
            raise RuntimeError("a bug in the fault")
        target.begin_again(self, 1.0)


@pytest.mark.parametrize("kind", [BeginRaises, EndRaises, MangleRaises, RaisesAgain])
@pytest.mark.parametrize("at", [0.0, 3.0])
@pytest.mark.parametrize("lasts", [20.0, 900.0])
def test_an_error_in_a_fault_ends_the_simulation_and_names_the_fault(kind, at, lasts):
    name = kind.__struct_config__.tag
    with pytest.raises(HarnessError, match=f"fault {name} failed with RuntimeError: a bug in the fault"):
        sim(kind(at=at, lasts=lasts))


class UnprobedFactory(ExecutionEngineFactory):
    @property
    def engines(self):
        raise LookupError("a bug that a probe meets")


def test_an_error_in_the_probe_ends_the_simulation():
    with pytest.raises(HarnessError, match="the probe failed with LookupError: a bug that a probe meets"):
        simulate(Scenario(users=3), factory_class=UnprobedFactory)


def test_an_error_in_the_harness_exits_with_3(tmp_path):
    script = (
        "import sys, netra_sim.cli as cli\n"
        "from netra_sim.simulation.faults import Flapping\n"
        "def affect(self, line): raise RuntimeError('a bug in the fault')\n"
        "Flapping.affect = affect\n"
        "sys.argv = ['netra-sim', 'simulate', 'flaky-mobile', '--users', '3']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "fault flapping failed with RuntimeError: a bug in the fault" in done.stderr
    assert not list(tmp_path.iterdir())


class IgnoresCancellation(ExecutionEngineFactory):
    @asynccontextmanager
    async def user_execution_scope(self, context):
        async with super().user_execution_scope(context) as engine:
            yield engine
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()


def test_a_deadlock_does_not_hide_an_error_in_a_fault():
    with pytest.raises(HarnessError, match="end of fault end-raises"):
        simulate(Scenario(users=3, faults=(EndRaises(at=20.0, lasts=10.0),)), factory_class=IgnoresCancellation)


@pytest.mark.parametrize(
    ("trouble", "seed"),
    [
        ({"kind": "dead-socket", "at": 4.991, "lasts": 0.5}, 1547),
        ({"kind": "stalled-socket", "at": 4.0, "lasts": 30.0}, 1547),
    ],
)
def test_a_tab_that_cannot_say_goodbye_does_not_make_the_bridge_a_liar(trouble, seed):
    tabs = {"kind": "tab-multiplication", "at": 2.438, "lasts": 29.0}
    slow = {"kind": "slow-consumer", "at": 0.5, "lasts": 5.0, "share": 0.5}
    scenario = Scenario.from_mapping({"users": 4, "workload": {"window": 4.0}, "faults": [slow, tabs, trouble]})
    found = {result.check: result.found for result in check(simulate(scenario, seed))}
    assert not found["truthfulness"]

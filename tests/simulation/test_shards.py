"""Several processes that simulate the users give the History of one process, or none."""

import asyncio
import re
import sys
from contextlib import asynccontextmanager

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from interrupting import assert_ctrl_c_leaves_no_process

from netra_sim.cli.group import cli
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import ENGINES_COMPARED, Kind
from netra_sim.simulation import HarnessError, Scenario, ShardsError, find_scenario, simulate
from netra_sim.simulation.faults import Disconnect, LimitsFault, LineFault
from netra_sim.simulation.shards import exactness

IN_TURN = {"platform.order": "fifo"}
DURATION = st.sampled_from(
    [
        {"kind": "constant", "seconds": 0.0},
        {"kind": "constant", "seconds": 0.25},
        {"kind": "uniform", "low": 0.0, "high": 0.5},
    ]
)
FAULT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["agent-crash", "disconnect", "disconnect-storm", "duplicate-message", "handshake-race", "memory-pressure",
             "late-authentication", "slow-consumer", "stalled-socket", "tab-multiplication", "cancellation", "clock-jump"]
        ),
        "at": st.sampled_from([0.0, 0.5, 1.0, 2.0]),
        "lasts": st.sampled_from([0.5, 3.0, 40.0]),
        "share": st.sampled_from([0.3, 1.0]),
    }
)  # fmt: skip
SETTINGS = st.fixed_dictionaries(
    {
        "users": st.integers(3, 12),
        "workload.arrivals": st.sampled_from(
            [{"kind": "poisson"}, {"kind": "burst", "at": 0.0, "width": 0.0}, {"kind": "burst", "at": 1.0, "width": 0.0},
             {"kind": "closed", "think": {"kind": "constant", "seconds": 0.5}}]
        ),
        "workload.window": st.sampled_from([1.0, 5.0]),
        "workload.runs_per_user": st.integers(1, 2),
        "workload.tabs_per_user": st.integers(1, 2),
        "agents.think": DURATION,
        "agents.tool": DURATION,
        "network.latency": DURATION,
        "network.handshake": DURATION,
        "faults": st.lists(FAULT, max_size=2),
    }
)  # fmt: skip


def steady(**changed):
    return Scenario(users=30).with_settings(IN_TURN | changed)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(SETTINGS, st.integers(1, 9), st.integers(2, 3))
def test_any_number_of_processes_gives_the_history_of_one(drawn, seed, shards):
    scenario = Scenario().with_settings(IN_TURN | drawn)
    try:
        history = simulate(scenario, seed, shards=shards)
    except ShardsError:
        assume(False)
    assert history.digest() == simulate(scenario, seed).digest()


@pytest.mark.parametrize("name", ["steady-load", "disconnect-storm", "two-conversations", "agent-hangs"])
def test_library_scenarios_in_turn_have_the_history_of_one_process(name):
    scenario = find_scenario(name).with_settings(IN_TURN | {"users": 25})
    merged = simulate(scenario, 4, shards=2)
    assert merged.digest() == simulate(scenario, 4).digest()
    assert merged.meta["environment"]["shards"] == "2"


def test_an_agent_crash_is_the_same_in_a_process_of_its_own():
    counted = [0, 0]

    def count(which):
        counted[which] += 1

    scenario = steady(faults=[{"kind": "agent-crash", "at": 0.0, "share": 0.5}])
    first = simulate(scenario, on_answer=lambda: count(0))
    assert first.digest() == simulate(scenario, on_answer=lambda: count(1), shards=3).digest()
    assert counted == [30, 30]


def test_the_same_engines_are_compared_for_shared_state():
    history = simulate(steady(), shards=2)
    samples = history.frame(Kind.SAMPLE)
    assert sum(samples["detail"] == ENGINES_COMPARED) > 20


class SmallMemory(LimitsFault, frozen=True, tag="small-memory"):
    """The bridge keeps fewer bytes for replay."""

    total: int = 20_000

    def adjust(self, limits):
        """Keep fewer bytes."""
        return msgspec.structs.replace(limits, replay_total_bytes=self.total)


class Raises(LineFault, frozen=True, tag="raises"):
    """Its author made a mistake."""

    def affect(self, line):
        """Fail."""
        raise LookupError("no such line")


class ActsOnAll(LineFault, frozen=True, tag="acts-on-all"):
    """It acts when it begins."""

    def begin(self, target):
        """Act on the loop of all users."""
        target.block_loop(self.at + 1)


def with_fault(fault, **changed):
    return msgspec.structs.replace(steady(**changed), faults=(fault,))


@pytest.mark.parametrize("limit", [90_000, 150_000])
def test_runs_that_a_common_limit_forgets_are_forgotten_as_by_one_process(limit):
    scenario = with_fault(SmallMemory(total=limit))
    one = simulate(scenario)
    kept = one.frame(Kind.SAMPLE).query("detail == 'replay bytes'")["value"]
    assert limit - 10_000 < kept.max() <= limit
    assert simulate(scenario, shards=2).digest() == one.digest()


def test_a_limit_that_drops_events_of_live_runs_is_refused():
    with pytest.raises(ShardsError, match="live runs"):
        simulate(with_fault(SmallMemory(total=2_000)), shards=2)


def test_a_forgotten_run_that_its_user_would_miss_is_refused():
    faults = (SmallMemory(total=60_000), Disconnect(at=10.0, lasts=1.0))
    with pytest.raises(ShardsError, match="come back"):
        simulate(msgspec.structs.replace(steady(), faults=faults), shards=2)


class Impolite(ExecutionEngineFactory):
    """Lets only one run of all users be at work."""

    at_work = asyncio.Semaphore(1)

    @asynccontextmanager
    async def user_execution_scope(self, context):
        """Wait for the runs of others."""
        async with self.at_work, super().user_execution_scope(context) as engine:
            yield engine


class Counting(ExecutionEngineFactory):
    """Lets every second run of all users wait."""

    runs = 0

    @asynccontextmanager
    async def user_execution_scope(self, context):
        """Count the runs of all users."""
        Counting.runs += 1
        await asyncio.sleep(0.5 * (Counting.runs % 2))
        async with super().user_execution_scope(context) as engine:
            yield engine


class Mine(ExecutionEngineFactory):
    """Somebody's own factory."""


def test_an_own_factory_works_in_every_process():
    merged = simulate(steady(), factory_class=Mine, shards=2)
    assert merged.digest() == simulate(steady(), factory_class=Mine).digest()


@pytest.mark.parametrize(
    ("factory", "reason"),
    [(Impolite, "in the turn of another one"), (Counting, "depends on which other users there are")],
)
def test_users_who_act_on_each_other_are_noticed(factory, reason):
    with pytest.raises(ShardsError, match=reason):
        simulate(steady(users=16), factory_class=factory, shards=2)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"platform.order": "random"}, "random order"),
        ({"platform.step_cost": 0.001}, "step_cost"),
        ({"platform.tick": 0.01}, "platform.tick"),
        ({"platform.loop": "selector"}, "selector"),
        ({"faults": [{"kind": "deploy"}]}, "the fault deploy acts on the server"),
        ({"faults": [{"kind": "another-instance"}]}, "the fault another-instance"),
        ({"workload.window": 500.0}, r"due at 4\d\d.* by age"),
        (
            {"agents.think": {"kind": "constant", "seconds": 29.0}, "workload.window": 100.0},
            "virtual seconds|leaves at",
        ),
        ({"users": 1}, "cannot be split"),
        ({"time_limit": 3.0}, "stuck"),
    ],
)
def test_what_several_processes_cannot_do_exactly_is_refused(changed, reason):
    with pytest.raises(ShardsError, match=reason):
        simulate(steady(**changed), shards=2)


def test_a_fault_that_acts_at_its_beginning_on_all_is_refused():
    with pytest.raises(ShardsError, match="acts-on-all"):
        simulate(with_fault(ActsOnAll()), shards=2)


def test_connections_that_the_server_closes_at_its_stop_are_refused():
    with pytest.raises(ShardsError, match="still has connections"):
        simulate(find_scenario("dead-sockets").with_settings(IN_TURN | {"users": 24}), 3, shards=2)


def test_an_error_is_that_of_one_process():
    scenario = with_fault(Raises(at=3.0))
    with pytest.raises(HarnessError) as one:
        simulate(scenario)
    with pytest.raises(HarnessError) as several:
        simulate(scenario, shards=2)
    assert str(several.value) == str(one.value)


def test_auto_takes_one_process_and_says_why():
    told = []
    simulate(Scenario(users=3), shards="auto", on_one_process=told.append)
    simulate(steady(users=3), shards="auto", on_one_process=told.append)
    assert len(told) == 2
    assert "random order" in told[0]
    assert "faster by one process" in told[1] or "one core" in told[1]


def test_auto_goes_back_to_one_process_where_the_simulation_shows_that_it_must(monkeypatch):
    monkeypatch.setattr(exactness, "WORTHWHILE_USERS", 1)
    monkeypatch.setattr(exactness.os, "cpu_count", lambda: 2)
    told, answered = [], []
    scenario = find_scenario("dead-sockets").with_settings(IN_TURN | {"users": 24})
    history = simulate(scenario, 3, shards="auto", on_one_process=told.append, on_answer=lambda: answered.append(1))
    assert history.digest() == simulate(scenario, 3).digest()
    assert "still has connections" in told[0]
    assert len(answered) == scenario.requests


def test_the_command_simulates_in_several_processes(tmp_path):
    options = ["-o", str(tmp_path / "history.parquet"), "--users", "10", "--set", "platform.order='fifo'"]
    outputs = [
        CliRunner().invoke(cli, ["simulate", "steady-load", *options, "--shards", shards]).output
        for shards in ("1", "2")
    ]
    digests = [re.search(r"digest (\w+)", output)[1] for output in outputs]
    assert digests[0] == digests[1]
    assert "2 processes simulated the users" in outputs[1]


def test_the_command_refuses_what_is_not_exact(tmp_path):
    refused = CliRunner().invoke(
        cli, ["simulate", "-o", str(tmp_path / "history.parquet"), "--users", "4", "--shards", "2"]
    )
    assert refused.exit_code == 2
    assert "random order" in refused.output


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal of POSIX")
def test_ctrl_c_ends_all_processes():
    assert_ctrl_c_leaves_no_process(CALL_FOR_EVER)


CALL_FOR_EVER = """
from netra_sim import Scenario, simulate
scenario = Scenario(users=3000).with_settings({"platform.order": "fifo"})
simulate(scenario, shards=2, on_answer=lambda: print("one", flush=True))
"""

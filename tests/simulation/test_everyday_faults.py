"""Slow and limited models, flapping clients, tokens that end, logouts, a broken broker: what they do, and that they stop."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import Scenario, check, simulate
from netra_sim.checks import delivery_latencies
from netra_sim.history import Kind, wait_for
from netra_sim.simulation import Agents, Burst, Closed, Constant, Network, Resources, ScenarioError, Workload
from netra_sim.simulation.agents import end_of_work
from netra_sim.simulation.faults import (
    BrokerBlip,
    Flapping,
    Logout,
    MemoryPressure,
    RateLimited,
    SlowAgents,
    SlowTools,
    TokenExpiry,
)
from netra_sim.simulation.resources import Resource

QUICK = Agents(think=Constant(0.5), tool=Constant(0.5))
AT_ONCE = Workload(arrivals=Burst(at=2.0))
BOTH = pytest.mark.parametrize("fidelity", ["bridge", "wire"])


def sim(*faults, users=6, seed=1, **fields):
    defaults = {"workload": AT_ONCE, "agents": QUICK}
    return simulate(Scenario(users=users, faults=faults, **defaults | fields), seed)


def failed(history):
    return {one.check for one in check(history) if one.state == "failed"}


def hit(history):
    return history.frame(Kind.FAULT_ENDED)["value"].tolist()


def ends(history):
    """When each run published its end."""
    rows = history.frame(Kind.PUBLISHED)
    return rows[rows["event"].isin(["agent_completed", "agent_error"])]["time"]


def tool_seconds(history):
    """The seconds that each tool took, by when it was called."""
    rows = history.frame(Kind.RECEIVED).dropna(subset="duration")
    return {(round(time - took, 1), round(took, 3)) for time, took in zip(rows["time"], rows["duration"], strict=True)}


# Slow agents and tools.


@BOTH
def test_slow_agents_think_longer_while_the_fault_lasts_and_tools_do_not(fidelity):
    # Five stages of 0.5 s thinking and 0.5 s tool: alone 5 s from 2 s on; the thinking from 4 to 4.5 s takes 5 s.
    history = sim(SlowAgents(at=4.0, lasts=5.0, factor=10.0), fidelity=fidelity)
    assert ends(history).max() == pytest.approx(2.0 + 5.0 + 4.5, abs=0.3)
    assert {took for _, took in tool_seconds(history)} == {0.5}
    assert hit(history) == [6.0]
    assert failed(history) == set()


def test_slow_tools_slow_only_the_tools_of_the_runs_that_they_hit():
    history = sim(SlowTools(at=0.0, lasts=60.0, factor=4.0, share=0.5), users=20)
    took = [end - 2.0 for end in ends(history)]
    slow = [seconds for seconds in took if seconds > 6.0]
    assert slow == pytest.approx([12.5] * len(slow), abs=0.3)
    assert 0 < len(slow) < 20
    assert hit(history) == [float(len(slow))]


def test_of_a_step_only_the_part_within_the_time_of_the_fault_is_slow():
    slow = [SlowAgents(at=10.0, lasts=8.0, factor=4.0)]
    assert end_of_work(2.0, 3.0, slow) == 5.0
    assert end_of_work(2.0, 9.0, slow) == 9.0 + 1.0 + 4.0
    assert end_of_work(5.0, 9.0, slow) == 18.0 + (5.0 - 1.0 - 2.0)
    assert end_of_work(1.0, 18.0, slow) == 19.0
    twice = [*slow, SlowAgents(at=12.0, lasts=100.0, factor=2.0)]
    assert end_of_work(1.0, 11.0, twice) == 12.0 + 0.75 * 8.0


@given(st.floats(0.0, 30.0), st.floats(0.0, 30.0), st.floats(1.0, 9.0), st.floats(0.0, 40.0))
def test_work_takes_between_its_own_time_and_that_times_the_factor(seconds, at, factor, began):
    slow = [SlowAgents(at=at, lasts=5.0, factor=factor)]
    took = end_of_work(seconds, began, slow) - began
    assert seconds - 1e-9 <= took <= seconds * factor + 1e-9
    assert took <= seconds + 5.0 + 1e-9


def test_a_tool_that_waits_for_a_slot_is_slow_if_it_works_while_the_fault_is_on():
    """All six tools wait for one slot: those that get it after the fault has ended are as fast as ever."""
    one_slot = Resources(tools=Resource(slots=1))
    history = sim(SlowTools(at=0.0, lasts=6.0, factor=5.0), resources=one_slot)
    held = history.frame(Kind.SAMPLE)
    held = held[held["detail"] == wait_for("tools")]["duration"].dropna().round(3)
    assert held.iloc[0] == 2.5
    assert held.iloc[-1] == 0.5


def test_a_ten_fold_slow_down_of_the_default_agents_misses_a_default_objective():
    calm, slow = (simulate(Scenario(users=40, faults=faults)) for faults in ((), (SlowAgents(at=0.0, lasts=60.0),)))
    assert (failed(calm), "latency" in failed(slow)) == (set(), True)


# Rate limits.


def refusals(history):
    rows = history.frame(Kind.SAMPLE)
    return rows[(rows["detail"] == wait_for("model")) & (rows["event"] == "refused")]


@BOTH
def test_a_rate_limit_lets_no_more_steps_through_than_it_says_and_agents_come_again(fidelity):
    limit = RateLimited(at=0.0, lasts=100.0, per_second=2.0, attempts=20, pause=0.5)
    history = sim(limit, fidelity=fidelity)
    # Six runs of six thoughts: 36 steps, of which 2 pass at once and 2 more each second.
    assert ends(history).max() >= 2.0 + (36 - 2) / 2.0
    assert len(refusals(history)) > 6
    assert "completion" not in failed(history)
    assert hit(history) == [refusals(history)["run"].nunique()]


def test_agents_that_were_refused_too_often_fail_and_their_runs_end_with_an_error():
    history = sim(RateLimited(at=0.0, lasts=100.0, quota=0, attempts=3, pause=1.0))
    ended = history.frame(Kind.RECEIVED)
    assert ended["event"].tolist().count("agent_error") == 6
    assert len(refusals(history)) == 18
    waited = [after - before for _, times in refusals(history).groupby("run", observed=True)["time"]
              for before, after in pairwise(times)]  # fmt: skip
    assert all(0.5 <= first <= 1.0 and 1.0 <= second <= 2.0 for first, second in zip(*[iter(waited)] * 2, strict=True))
    assert len(set(waited)) == 12
    assert "completion" in failed(history)


def test_a_quota_is_spent_once_and_the_end_of_the_fault_ends_the_refusals():
    history = sim(RateLimited(at=0.0, lasts=9.0, per_second=100.0, quota=12, attempts=20, pause=1.0))
    refused = refusals(history)["time"]
    assert 2.0 < refused.min() < refused.max() < 9.0
    assert "completion" not in failed(history)


def test_a_limit_that_nobody_reaches_hits_nobody():
    assert hit(sim(RateLimited(at=0.0, lasts=60.0, per_second=100.0))) == [0.0]


# Flapping.


def away(history, user):
    """The times at which a user lost its network, and not only its connection as it left."""
    lost = history.frame(Kind.DISCONNECTED).query("value == 1006")
    lost = lost[~lost["detail"].astype(str).str.startswith("the transport failed")]
    return lost[lost["user"] == user]["time"].tolist()


@BOTH
def test_each_flapping_client_is_cut_at_times_of_its_own_and_only_while_the_fault_lasts(fidelity):
    steady = Workload(arrivals=Closed(think=Constant(0.5)), runs_per_user=12)
    fault = Flapping(at=10.0, lasts=40.0, every=10.0, off=2.0, jitter=1.0, share=0.5)
    history = sim(fault, users=12, workload=steady, fidelity=fidelity)
    cuts = {user: found for number in range(12) if (found := away(history, user := f"user-{number}"))}
    assert 0 < len(cuts) < 12
    assert hit(history) == [float(len(cuts))]
    assert len({round(times[0], 3) for times in cuts.values()}) == len(cuts)
    for user, times in cuts.items():
        assert all(10.0 <= time <= 50.5 for time in times)
        assert all(9.0 <= after - before <= 12.0 for before, after in pairwise(times))
        connected = history.frame(Kind.CONNECTED)
        back = connected[connected["user"] == user]["time"]
        assert all(back[back > time].min() >= time + 1.9 for time in times)
    assert {"delivery", "every-run-ends", "completion"} & failed(history) == set()


def test_a_client_that_is_off_for_as_long_as_it_is_on_is_refused_with_the_reason():
    with pytest.raises(ScenarioError, match=r"faults\[0\]: off must be less than every, which is 5, and is 5"):
        Scenario.from_mapping({"faults": [{"kind": "flapping", "every": 5.0, "off": 5.0}]})


# Tokens.


@BOTH
def test_a_token_that_ends_closes_its_connection_with_4401_and_the_client_returns_with_another(fidelity):
    history = sim(TokenExpiry(at=4.0, lasts=3.0, every=2.0, share=0.5), users=12, fidelity=fidelity)
    closed = history.frame(Kind.DISCONNECTED).query("value == 4401")
    assert set(closed["time"].round(6)) == {4.0, 6.0}
    assert set(closed["detail"].astype(str)) == {"the token has expired"}
    users = closed["user"].nunique()
    assert 0 < users < 12
    assert hit(history) == [float(users)]
    connected = history.frame(Kind.CONNECTED)["user"].astype(str).value_counts()
    assert sorted(connected.tolist()) == [1] * (12 - users) + [3] * users
    assert failed(history) <= {"latency", "refusals"}


def test_a_token_of_a_client_on_the_wire_ends_at_the_next_whole_second():
    history = sim(TokenExpiry(at=4.4, lasts=1.0, every=5.0), fidelity="wire")
    closed = history.frame(Kind.DISCONNECTED).query("value == 4401")
    assert set(closed["time"].round(6)) == {5.0}
    assert failed(history) <= {"latency"}


# Logout.


@BOTH
def test_nothing_reaches_a_user_who_has_logged_out_and_its_run_goes_on(fidelity):
    history = sim(Logout(at=3.0, lasts=3.0, share=0.5), users=12, fidelity=fidelity)
    left = history.frame(Kind.LEFT).set_index("user")["time"]
    closed = history.frame(Kind.DISCONNECTED).query("value == 4401")
    assert set(closed["user"]) == set(left.index)
    assert 0 < len(left) < 12
    assert hit(history) == [float(len(left))]
    received = history.frame(Kind.RECEIVED)
    for user, time in left.items():
        assert received[received["user"] == user]["time"].max() <= time
    assert len(history.frame(Kind.CONNECTED)) == 12
    assert len(ends(history)) == 12
    assert failed(history) == set()


def test_a_user_who_has_logged_out_asks_no_more():
    workload = Workload(arrivals=Closed(think=Constant(0.5)), runs_per_user=4)
    history = sim(Logout(at=3.0, lasts=1.0), workload=workload)
    asked = history.frame(Kind.REQUESTED)
    assert len(asked) == 6
    assert failed(history) == set()


# The broker.


@BOTH
def test_what_a_broker_holds_comes_late_once_and_in_order(fidelity):
    history = sim(BrokerBlip(at=3.3, lasts=2.0, share=0.5), users=12, fidelity=fidelity)
    late = delivery_latencies(history).query("latency > 0.5")
    assert len(late) > 0
    assert ((late["time_received"] >= 5.3) & (late["time_received"] < 5.9)).all()
    assert hit(history) == [float(late["user"].nunique())]
    assert len(history.frame(Kind.DISCONNECTED).query("value == 1011")) == 0
    assert failed(history) <= {"latency"}


@BOTH
def test_a_broker_that_loses_events_closes_the_connections_that_missed_some_and_the_bridge_replays_them(fidelity):
    history = sim(BrokerBlip(at=3.3, lasts=2.0, loses=True), fidelity=fidelity)
    assert len(history.frame(Kind.DISCONNECTED).query("value == 1011")) == 6
    sent, received = len(history.frame(Kind.SENT)), len(history.frame(Kind.RECEIVED))
    assert sent > received == len(history.frame(Kind.PUBLISHED))
    assert failed(history) <= {"latency", "refusals"}


def test_a_bridge_that_no_longer_has_what_the_broker_lost_announces_a_gap():
    history = sim(BrokerBlip(at=3.3, lasts=3.0, loses=True), MemoryPressure(events=2))
    gaps = history.frame(Kind.GAP_RECEIVED)
    assert gaps["user"].nunique() == 6
    assert "every-run-ends" not in failed(history)


@BOTH
def test_the_same_seed_gives_the_same_history_under_these_faults(fidelity):
    faults = Flapping(at=2.0, every=4.0), TokenExpiry(), Logout(share=0.3), BrokerBlip(at=4.0, lasts=1.0), SlowAgents()
    first, second = (sim(*faults, RateLimited(), fidelity=fidelity, seed=3).digest() for _ in range(2))
    assert first == second


def test_faults_that_act_on_each_user_give_the_same_history_in_several_processes():
    fifo = Scenario().with_settings({"platform.order": "fifo"}).platform
    network = Network(handshake=Constant(0.1))
    faults = Flapping(at=2.0, every=4.0), TokenExpiry(at=3.0), Logout(share=0.3), SlowTools(at=1.0, factor=3.0)
    scenario = Scenario(users=8, faults=faults, platform=fifo, workload=Workload(window=10.0), network=network)
    assert simulate(scenario, shards=2).digest() == simulate(scenario).digest()


@pytest.mark.parametrize("kind", ["flapping", "disconnect-storm"])
def test_more_cuts_than_a_simulation_can_hold_are_refused(kind):
    for times in ({"every": 1e-9}, {"every": 0.01, "lasts": 1e9}):
        with pytest.raises(ScenarioError, match="every"):
            Scenario.from_mapping({"faults": [{"kind": kind} | times | ({"off": 0.001} if kind == "flapping" else {})]})

"""`simulate`: the real runtime in virtual time, reproducibly."""

import gc
import os
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim import Objectives, Scenario, check, simulate
from netra_sim.checks import delivery_latencies
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import Kind
from netra_sim.simulation import (
    Agents,
    Burst,
    Closed,
    Constant,
    Limits,
    LogNormal,
    Network,
    Platform,
    Poisson,
    Ramp,
    Replay,
    ScenarioError,
    Workload,
    find_scenario,
)
from netra_sim.simulation.running import frozen_heap

LENIENT = Objectives(
    delivery_mean=60, delivery_p95=60, first_event_p95=400, response_p95=400, refused=1.0, completed=0.0
)


def failed(history, objectives=LENIENT):
    return [(result.check, result.findings[:3]) for result in check(history, objectives) if result.state == "failed"]


def test_the_garbage_collector_skips_what_was_there_before_until_the_outermost_block_ends():
    with frozen_heap():
        before = gc.get_freeze_count()
        assert before > 10_000
        simulate(Scenario(users=1), 1)
        assert gc.get_freeze_count() == before
    assert gc.get_freeze_count() == 0


def test_the_digest_is_reproducible_and_differs_between_seeds():
    scenario = Scenario(users=20)
    digest = simulate(scenario, 1).digest()
    assert simulate(scenario, 1).digest() == digest
    assert simulate(scenario, 2).digest() != digest


def test_the_digest_does_not_depend_on_the_process():
    script = "from netra_sim import *; print(simulate(Scenario(users=10), 3).digest())"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    output = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert output.strip() == simulate(Scenario(users=10), 3).digest()


@pytest.mark.parametrize("lets_go", [True, False])
def test_only_an_engine_that_is_never_released_counts_as_leaked(lets_go):
    """A profiler thread, as in a Dask worker, holds engines for a moment through the frames that it samples."""
    held, collections, has_ended = [], [], threading.Event()

    class WatchedFactory(ExecutionEngineFactory):
        @asynccontextmanager
        async def user_execution_scope(self, context):
            async with super().user_execution_scope(context) as engine:
                held.append(engine)
                yield engine

    def let_go(phase, info):
        if phase == "start" and info["generation"] == 2:
            collections.append(info)
            if lets_go and len(collections) == 3:
                held.clear()

    profiler = threading.Thread(target=has_ended.wait)
    profiler.start()
    gc.callbacks.append(let_go)
    try:
        history = simulate(Scenario(users=2), factory_class=WatchedFactory)
    finally:
        gc.callbacks.remove(let_go)
        has_ended.set()
        profiler.join()
    assert [name for name, _ in failed(history)] == ([] if lets_go else ["nothing-left"])


def test_no_real_time_passes_while_users_wait():
    scenario = Scenario(users=3, agents=Agents(think=Constant(20.0), tool=Constant(9.0)))
    began = time.perf_counter()
    history = simulate(scenario)
    assert history.numbers["time"].max() > 145.0
    assert time.perf_counter() - began < 60.0


@pytest.mark.parametrize(
    "arrivals",
    [Poisson(), Burst(at=2.0), Ramp(), Replay(times=(1.0, 2.5, 2.5, 9.0)), Closed(think=Constant(3.0))],
    ids=lambda arrivals: type(arrivals).__name__,
)
def test_every_kind_of_arrival_ends_with_all_checks_passed(arrivals):
    scenario = Scenario(users=4, workload=Workload(arrivals=arrivals, runs_per_user=1, tabs_per_user=2))
    history = simulate(scenario)
    assert not failed(history)
    assert history.frame(Kind.REQUESTED)["run"].nunique() == scenario.requests


def test_due_times_do_not_depend_on_how_slow_the_system_is():
    quick = Scenario(users=30)
    slow = Scenario(users=30, agents=Agents(think=Constant(25.0)), network=Network(handshake=Constant(3.0)))
    dues = [simulate(scenario).frame(Kind.REQUESTED).sort_values("run")["due"].tolist() for scenario in (quick, slow)]
    assert dues[0] == dues[1]


def test_one_more_user_does_not_change_the_due_times_of_others():
    few, many = (simulate(Scenario(users=users)).frame(Kind.REQUESTED).set_index("run")["due"] for users in (11, 12))
    assert few.to_dict().items() <= many.to_dict().items()


def test_requests_over_the_engine_limit_are_refused():
    workload = Workload(arrivals=Burst(), runs_per_user=5)
    history = simulate(Scenario(users=2, workload=workload, limits=Limits(engines_per_user=2)))
    refused = history.frame(Kind.REFUSED)
    assert refused["user"].astype(str).value_counts().to_dict() == {"user-0": 3, "user-1": 3}
    assert set(refused["detail"]) == {"engine_limit"}
    assert not failed(history)


def test_agents_that_take_too_long_end_their_runs_with_an_error():
    history = simulate(Scenario(users=2, agents=Agents(think=Constant(100.0))))
    ends = history.frame(Kind.RECEIVED)
    assert ends["event"].value_counts()["agent_error"] == 2
    assert not failed(history)


@given(
    users=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    tick=st.sampled_from([0.0, 1 / 64]),
    tabs=st.integers(1, 3),
    runs=st.integers(1, 3),
    latency=st.sampled_from([Constant(0.0), Constant(2.0), LogNormal(0.3, 1.0)]),
)
@settings(max_examples=25)
def test_isolation_order_and_clean_up_hold_for_any_seed_and_clock(users, seed, tick, tabs, runs, latency):
    scenario = Scenario(
        users=users,
        workload=Workload(tabs_per_user=tabs, runs_per_user=runs, window=5.0),
        network=Network(latency=latency),
        platform=Platform(tick=tick),
    )
    assert not failed(simulate(scenario, seed))


def test_the_latency_check_subtracts_the_latency_of_the_connection():
    scenario = Scenario(users=20, network=Network(latency=Constant(0.2), jitter=Constant(0.05), bandwidth=1e9))
    history = simulate(scenario)
    assert delivery_latencies(history)["latency"].mean() == pytest.approx(0.25, abs=0.001)
    result = next(result for result in check(history) if result.check == "latency")
    assert result.measured["delivery of events, mean"].value == pytest.approx(0.05, abs=0.001)
    assert result.state == "passed"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"users": 0}, "users: .*; it had 0"),
        ({"usres": 3}, "usres"),
        ({"network": {"bandwidth": -1}}, "network.bandwidth: .*; it had -1"),
        ({"workload": {"arrivals": {"kind": "poison"}}}, "poison"),
        ({"agents": {"think": {"kind": "uniform", "low": 2, "high": 1}}}, "high must be at least low"),
        ({"name": "Not a name"}, "name"),
    ],
)
def test_an_invalid_scenario_is_refused_with_the_wrong_value(tmp_path, fields, message):
    with pytest.raises(ScenarioError, match=message):
        Scenario.from_mapping(fields)


def test_a_scenario_is_read_from_toml(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('name = "two"\nusers = 2\n[network.latency]\nkind = "constant"\nseconds = 0.5\n')
    assert Scenario.load(path) == Scenario(name="two", users=2, network=Network(latency=Constant(0.5)))
    path.write_text("users = = 2")
    with pytest.raises(ScenarioError, match="not a TOML file"):
        Scenario.load(path)


def test_a_client_that_loses_its_connection_between_two_steps_waits_for_the_next():
    storm = find_scenario("disconnect-storm").with_settings({"users": 20, "platform.step_cost": 0.005})
    ends = simulate(storm, 2).frame(Kind.RECEIVED)["event"]
    assert (ends == "agent_completed").sum() == 20


def test_simulations_leave_no_garbage_that_grows_with_their_number():
    scenario = find_scenario("steady-load").with_settings({"users": 20})
    for seed in range(2):
        simulate(scenario, seed)
    before = len(gc.get_objects())
    for seed in range(2, 7):
        simulate(scenario, seed)
    assert len(gc.get_objects()) - before < 500  # a simulation of 20 users makes some 1,000 that refer to each other

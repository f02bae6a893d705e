"""Limited resources: slots, queues, refusals, and what a history records of them."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks import check, resource_use, use_over_time, visits, which_saturates
from netra_sim.factory import UserExecutionContext
from netra_sim.history import Kind
from netra_sim.recording import Recorder
from netra_sim.simulation import (
    Burst,
    Resource,
    Resources,
    Scenario,
    ScenarioError,
    Workload,
    find_scenario,
    run_virtual,
    simulate,
)
from netra_sim.simulation.pools import PooledSlots, ResourcePools

CROWD = Scenario(users=30, workload=Workload(arrivals=Burst(at=2.0, width=5.0)))


def crowd(**settings):
    return CROWD.with_settings({path.replace("__", "."): value for path, value in settings.items()})


def most_busy(found):
    served = ~np.isnan(found.began)
    times = np.concatenate([found.began[served], found.ended[served]])
    steps = np.repeat([1, -1], served.sum())
    order = np.lexsort((steps, np.round(times, 9)))  # who leaves goes before who comes
    return int(np.cumsum(steps[order]).max())


@pytest.mark.parametrize(("resource", "of_a_run"), [("model", 6), ("tools", 6), ("database", 1)])
def test_never_more_steps_than_slots_are_served_and_all_are_in_the_end(resource, of_a_run):
    history = simulate(crowd(**{f"resources__{resource}__slots": 2, "limits__agent_seconds": 300.0}), 1)
    found = visits(history, resource)
    assert len(found.ended) == 30 * of_a_run
    assert most_busy(found) == 2
    assert {result.check for result in check(history) if result.state == "failed"} <= {"latency", "silence"}


def test_who_asks_first_is_served_first():
    found = visits(simulate(crowd(resources__model__slots=2, limits__agent_seconds=300.0), 1), "model")
    order = np.lexsort((found.began, np.round(found.asked, 6)))  # two agents of a stage ask at the same instant
    assert (np.diff(found.began[order]) >= -1e-9).all()
    assert found.waited.max() > 10


def test_a_full_queue_refuses_the_step_and_its_run_ends_with_an_error_that_says_so():
    history = simulate(crowd(resources__model__slots=2, resources__model__queue=3), 1)
    use = resource_use(history)[0]
    assert use_over_time(history, "model", np.linspace(2, 9, 500))[1].max() == pytest.approx(3)
    failed = next(result for result in check(history) if result.check == "completion")
    ends = history.frame(Kind.RECEIVED)
    assert use.refused > 0
    assert use.refused >= (ends["event"] == "agent_error").sum() > 0
    assert failed.state == "failed"
    assert "every-run-ends" not in {result.check for result in check(history) if result.state == "failed"}


def test_a_user_reads_which_resource_was_busy():
    async def refused():
        pools = ResourcePools(Resources(model=Resource(slots=1, queue=0)), 1, Recorder(lambda: 0.0), lambda: 0.0)
        context = a_run("run-one")
        async with pools.slots.slot(context, "triage.think"), pools.slots.slot(context, "data.think"):
            pass

    with pytest.raises(Exception, match="model: all 1 slots are taken, and 0 wait, as many as may"):
        run_virtual(refused())


def a_run(run_id):
    return UserExecutionContext(user_id="ann", thread_id="thread-one", run_id=run_id, request={})


@given(
    slots=st.integers(1, 3),
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.none() | st.integers(0, 12)), max_size=25),
)
def test_slots_survive_cancellations_at_any_time(slots, steps):
    """Each step comes at a time, holds its slot for a time, and may be cancelled after a time."""
    held = most = 0

    async def visit(places: PooledSlots, number, comes, takes):
        nonlocal held, most
        context = a_run(f"run-{number}")
        await asyncio.sleep(comes)
        async with places.slot(context, "triage.think"):
            held += 1
            most = max(most, held)
            try:
                await asyncio.sleep(takes)
            finally:
                held -= 1

    async def all_of_them():
        loop = asyncio.get_running_loop()
        recorder = Recorder(loop.time)
        pools = ResourcePools(Resources(model=Resource(slots=slots)), 1, recorder, loop.time)
        tasks = []
        for number, (comes, takes, cancelled) in enumerate(steps):
            tasks.append(asyncio.create_task(visit(pools.slots, number, comes, takes)))
            if cancelled is not None:
                loop.call_later(comes + cancelled, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(*(visit(pools.slots, 90 + one, 0, 1) for one in range(slots))), 1.5)
        return recorder.finish({})

    found = visits(run_virtual(all_of_them()), "model")
    assert most <= slots
    assert held == 0
    assert len(found.ended) >= slots + sum(cancelled is None for _, _, cancelled in steps)


def test_two_processes_are_one_that_is_twice_as_fast():
    two = simulate(crowd(platform__step_cost=0.002, resources__cpu__slots=2), 1)
    one = simulate(crowd(platform__step_cost=0.001, resources__cpu__slots=1), 1)
    kinds = [Kind.PUBLISHED, Kind.RECEIVED]
    assert (two.frame(*kinds)["time"].to_numpy() == one.frame(*kinds)["time"].to_numpy()).all()
    (of_two,), (of_one,) = resource_use(two), resource_use(one)
    assert of_two.utilisation == pytest.approx(of_one.utilisation)
    assert (of_two.slots, of_one.slots) == (2, 1)


def test_the_cpu_saturates_when_its_steps_take_all_time():
    use = resource_use(simulate(crowd(platform__step_cost=0.05, resources__cpu__slots=2, users=40), 1))
    assert which_saturates(use).startswith("cpu saturates: 9")
    assert use[0].queue > 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resources.modle.slots": 8}, "there is no field modle; did you mean model"),
        ({"resources.model.queue": 8}, "it lacks the field slots"),
        ({"resources.model.slots": 0}, "resources.model.slots: .*; it had 0"),
        ({"resources.cpu.queue": 8}, "there is no field queue; it takes slots"),
        ({"resources.cpu.slots": 2, "platform.loop": "proactor"}, "several processes .* need platform.loop"),
        ({"resources.cpu.slots": 2, "faults": [{"kind": "loop-stall"}]}, "take no loop-stall"),
    ],
)
def test_resources_that_have_no_meaning_are_refused(settings, message):
    with pytest.raises(ScenarioError, match=message):
        Scenario().with_settings(settings)


def test_a_scenario_without_resources_has_none_in_its_history():
    history = simulate(Scenario(users=3), 1)
    assert "resources" not in history.meta["scenario"]
    assert resource_use(history) == []
    assert which_saturates([]) == "no resource is limited, and none can saturate"


def test_the_same_seed_gives_the_same_history_with_resources_and_faults():
    busy = find_scenario("cancellations").with_settings(
        {
            "resources.model.slots": 3,
            "resources.tools.slots": 4,
            "resources.tools.queue": 5,
            "resources.database.slots": 1,
        }
    )
    first, second = simulate(busy, 4), simulate(busy, 4)
    assert first.digest() == second.digest()
    outcomes = first.frame(Kind.SAMPLE)["event"]
    assert {"served", "refused", "gave up"} <= set(outcomes)

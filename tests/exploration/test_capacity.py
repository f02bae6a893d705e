"""`find_capacity` finds the number of users, says what gave out, and agrees with queueing theory."""

import asyncio
import math
import random
import re
import subprocess
import sys

import pytest

from netra_sim.checks import SteadyState, resource_use, visits
from netra_sim.exploration import Bound, BoundError, calibrate, find_capacity
from netra_sim.exploration.capacity import left_out, seeds_needed
from netra_sim.factory import ExecutionEngineFactory, UserExecutionContext
from netra_sim.history import History, Kind
from netra_sim.recording import Recorder
from netra_sim.simulation import (
    Agents,
    Constant,
    Database,
    Exponential,
    Limits,
    Resource,
    Resources,
    Scenario,
    Workload,
    run_virtual,
    simulate,
)
from netra_sim.simulation.pools import ResourcePools


class OneAgentFactory(ExecutionEngineFactory):
    """Runs the first agent of each run only: a simulation takes half of the time."""

    def __init__(self, *, pipeline, **settings):
        super().__init__(pipeline=lambda context: tuple(pipeline(context))[:1], **settings)


def erlang_c(slots, load):
    """The share of customers of an M/M/c queue that wait (Erlang, 1917).

    Args:
        slots: c.
        load: the arrival rate times the mean service time, below c.
    """
    ways = [load**count / math.factorial(count) for count in range(slots)]
    all_busy = load**slots / math.factorial(slots) * slots / (slots - load)
    return all_busy / (sum(ways) + all_busy)


def wait_p95(slots, service, rate):
    """The time that 95 of 100 customers of an M/M/c queue wait at most: P(wait > t) = C exp(-(c / service - rate) t)."""
    return max(0.0, math.log(erlang_c(slots, rate * service) / 0.05) / (slots / service - rate))


def queueing(slots, service, users, rate):
    """Poisson arrivals, exponential service, and nothing else that takes time: M/M/c."""
    return Scenario(
        users=users,
        workload=Workload(window=users / rate),
        agents=Agents(think=Constant(0.0), tool=Constant(0.0)),
        resources=Resources(database=Database(slots=slots, seconds=Exponential(service))),
        limits=Limits(agent_seconds=1_000.0, engine_seconds=1_000.0),
    )


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_capacity_agrees_with_queueing_theory(slots):
    """Within 10 % of 250 users: the bound is the wait of M/M/c with so many, when 9 of 10 slots are busy."""
    rate = 0.9 * slots / 0.1
    found = find_capacity(
        queueing(slots, 0.1, 250, rate),
        Bound("database wait", "p95", wait_p95(slots, 0.1, rate)),
        lowest=225,
        highest=275,
        precision=0.3,  # both ends, and nothing between them
        jobs=1,
        factory_class=OneAgentFactory,
    )
    assert found.last_that_holds.users == 225
    assert found.first_that_fails.users == 275
    assert found.gave_out.startswith("with 275 users database saturates: 9")


@pytest.mark.parametrize(("slots", "busy", "users"), [(1, 0.6, 15_000), (4, 0.7, 30_000), (10, 0.75, 30_000)])
def test_waits_agree_with_queueing_theory(slots, busy, users):
    """The pool alone, in virtual time, so that there can be enough visits for 10 %."""
    rate, draw = busy * slots, random.Random(1)

    async def visit(pools, number):
        context = UserExecutionContext(user_id="ann", thread_id="thread-one", run_id=f"run-{number}")
        async with pools.slots.slot(context, "triage.think"):
            await asyncio.sleep(draw.expovariate(1.0))

    async def all_of_them():
        loop = asyncio.get_running_loop()
        recorder = Recorder(loop.time)
        pools = ResourcePools(Resources(model=Resource(slots=slots)), 1, recorder, loop.time)
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                await asyncio.sleep(draw.expovariate(rate))
                group.create_task(visit(pools, number))
        return recorder.finish({"scenario": {"resources": {"model": {"slots": slots}}}})

    history = run_virtual(all_of_them())
    found = visits(history, "model")
    part = SteadyState(100.0, float(found.asked.max()))
    is_in = part.has(found.asked)
    (use,) = resource_use(history, part)
    # The theory for the rate and the time that were drawn: the draws differ from what was asked for by a percent.
    drawn, service = is_in.sum() / (part.ends - part.begins), (found.ended - found.began)[is_in].mean()
    mean = erlang_c(slots, drawn * service) / (slots / service - drawn)
    assert found.waited[is_in].mean() == pytest.approx(mean, rel=0.1)
    assert use.wait_p95 == pytest.approx(wait_p95(slots, service, drawn), rel=0.1)
    assert use.queue == pytest.approx(drawn * mean, rel=0.1)
    assert use.utilisation == pytest.approx(drawn * service / slots, rel=0.02)


SMALL = Scenario(
    workload=Workload(window=20.0),
    agents=Agents(think=Constant(0.5), tool=Constant(0.1)),
    resources=Resources(model=Resource(slots=3), tools=Resource(slots=50)),
)


def test_capacity_is_between_two_neighbours_and_names_the_resource_that_gives_out():
    found = find_capacity(SMALL, Bound.parse("response p95 <= 15 s"), lowest=4, highest=40, jobs=1)
    users, fails = found.last_that_holds.users, found.first_that_fails.users
    assert fails == users + 1
    assert [point.users for point in found.points] == sorted(point.users for point in found.points)
    assert all(point.holds for point in found.points if point.users <= users)
    assert f"with {fails} users model saturates" in found.gave_out
    assert {use.resource for use in found.points[0].uses} == {"model", "tools"}


def test_without_a_failure_the_capacity_is_the_most_and_with_failures_only_there_is_none():
    kept = find_capacity(SMALL, Bound.parse("response max <= 300 s"), lowest=2, highest=5, jobs=1)
    assert (kept.last_that_holds.users, kept.first_that_fails) == (5, None)
    missed = find_capacity(SMALL, Bound.parse("response p50 <= 1 ms"), lowest=3, highest=6, jobs=1)
    assert (missed.last_that_holds, missed.first_that_fails.users) == (None, 3)


def test_what_fails_counts_as_endless_so_that_refusals_do_not_look_fast():
    refusing = SMALL.with_settings({"resources.model.queue": 0, "users": 30})
    history = simulate(refusing, 1)
    ends = history.frame(Kind.RECEIVED)
    assert (ends["event"] == "agent_error").mean() > 0
    assert Bound.parse("response p95 <= 1 s").figure(history, is_steady=True).seconds == math.inf
    assert Bound.parse("model wait p95 <= 1 s").figure(history, is_steady=True).seconds == math.inf


def test_warm_up_and_drain_are_left_out_and_a_burst_has_no_steady_state():
    history = simulate(SMALL.with_settings({"users": 60}), 1)
    figure = Bound.parse("delivery p95 <= 1 s").figure(history, is_steady=True)
    due = history.frame(Kind.REQUESTED)["due"]
    half = due.min() + (due.max() - due.min()) / 2
    assert (figure.part.begins, figure.part.ends) == pytest.approx((half, due.max()))  # the longest response is longer
    published = history.frame(Kind.PUBLISHED)["time"]
    assert figure.values == published.between(half, due.max()).sum()
    burst = SMALL.with_settings({"workload.arrivals": {"kind": "burst"}})
    found = find_capacity(burst, Bound.parse("response p95 <= 1 ms"), lowest=20, highest=20, jobs=1)
    assert found.points[0].figures[0].part is None
    assert left_out(found) == "nothing is left out: a burst has no steady state"


@pytest.mark.parametrize(("seeds", "needed"), [(4, 5), (5, 5), (8, 7), (20, 15)])
def test_so_many_seeds_must_keep_the_bound_that_most_runs_do(seeds, needed):
    assert seeds_needed(seeds) == needed
    if needed <= seeds:
        chance = sum(math.comb(seeds, kept) for kept in range(needed, seeds + 1)) / 2**seeds
        assert chance < 0.05 <= chance + math.comb(seeds, needed - 1) / 2**seeds


@pytest.mark.parametrize("text", ["delivery p95 <= 200 ms", "first event mean <= 1.5 s", "database wait p99.9 <= 3 us"])
def test_a_bound_is_read_as_it_is_written(text):
    assert str(Bound.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["delivery p95 < 200 ms", "delivery p95 <= 200", "speed p95 <= 1 s", "delivery p100 <= 1 s", "delivery <= 1 s"],
)
def test_another_text_is_refused_with_all_measures_statistics_and_units(text):
    with pytest.raises(
        BoundError, match=r"delivery, first event, response, silence, model wait.*mean, max.*us, ms and s"
    ):
        Bound.parse(text)


def test_a_bound_that_says_nothing_about_the_scenario_is_refused():
    with pytest.raises(BoundError, match=r"set resources\.database\.slots"):
        find_capacity(SMALL, Bound.parse("database wait p95 <= 1 s"))
    replay = SMALL.with_settings({"workload.arrivals": {"kind": "replay", "times": [1.0]}})
    with pytest.raises(BoundError, match="do not depend on the number of users"):
        find_capacity(replay, Bound.parse("delivery p95 <= 1 s"))


def run(*words, folder):
    return subprocess.run(
        [sys.executable, "-P", "-m", "netra_sim", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_calibration_is_kept_with_its_machine_and_stated_by_what_rests_on_it(tmp_path):
    measured = run("calibrate", "--seconds", "0.2", "-o", "here.json", folder=tmp_path)
    said = measured.stdout.splitlines()[0]
    assert re.match(r"step cost 0\.0000\d+ s, calibrated on \w+ \w+ with \d+ CPUs, CPython", said)
    small = ("--calibration", "here.json", "--set", "workload.window=5.0")
    simulated = run("simulate", "steady-load", "--users", "5", *small, folder=tmp_path)
    assert simulated.stdout.splitlines()[0] == said
    assert "no resource saturates; the busiest is cpu" in simulated.stdout
    assert History.load(tmp_path / "history.parquet").meta["environment"]["calibration"] == said
    found = run("capacity", "--from", "2", "--to", "2", "--jobs", "1", *small, folder=tmp_path)
    assert (found.returncode, found.stdout.splitlines()[-1]) == (0, said)
    twice = run("simulate", "--calibration", "here.json", "--set", "platform.step_cost=0.1", folder=tmp_path)
    assert (twice.returncode, "leave one out" in twice.stderr) == (2, True)


def test_capacity_says_that_cpu_takes_no_time_and_exits_with_1_if_nobody_fits(tmp_path):
    common = ("capacity", "--from", "2", "--to", "2", "--jobs", "1", "--set", "workload.window=5.0")
    found = run(*common, "--until", "delivery p95 <= 1 us", folder=tmp_path)
    assert found.returncode == 1
    assert "no capacity: 2 users (0.4 requests a second) do not keep delivery p95 <= 1 us" in found.stdout
    assert found.stdout.splitlines()[-1] == "no step cost: CPU takes no time in this simulation"
    (tmp_path / "wrong.json").write_text("{}")
    wrong = run(*common, "--calibration", "wrong.json", folder=tmp_path)
    assert (wrong.returncode, "is no file of `netra-sim calibrate`" in wrong.stderr) == (2, True)


async def test_a_calibration_works_where_an_event_loop_runs_as_in_a_notebook():
    assert 0 < calibrate(seconds=0.1).step_cost < 0.01

"""`explore` tries one seed after another of a scenario, or of a program, until one fails."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from netra_sim.exploration.coverage import Coverage, OrdersSeen
from netra_sim.exploration.exhaustive import orders_with_delays
from netra_sim.exploration.outside import escapes_of, has_own_agents, merged, told
from netra_sim.exploration.plans import IN_ORDER, Plan, plan_of
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.program_search import Failure, RunLimits, examined, first_runs, outcomes
from netra_sim.exploration.programs import SPIN_LIMIT, TIME_LIMIT, Main, Program, program_of, run_program
from netra_sim.exploration.trial import Trial, explored_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario
from netra_sim.simulation.escapes import Escape

F = TypeVar("F")


@dataclass(frozen=True)
class Exploration(Generic[F]):
    """What a search found.

    Attributes:
        failure: of the lowest seed that fails: a `Failure` of a program, a `Trial` of a scenario; None if none failed.
        coverage: how many seeds ran, and how many orders they gave; without a failure, its `bound` says how likely one is.
        escapes: what the program, or the engines of a factory of one's own, take from outside the simulation. One run is
            watched for reads of clocks and entropy, every run of a program for files, sockets, processes and threads.
    """

    failure: F | None
    coverage: Coverage
    escapes: tuple[Escape, ...] = ()

    def __str__(self) -> str:
        if self.failure is not None:
            return str(self.failure)
        what = "seeds" if self.coverage.delays is None else "runs"
        parts = (f"no failure in {self.coverage.runs:,} {what}: {self.coverage}", told(self.escapes))
        return "\n".join(filter(None, parts))


@overload
def explore(
    what: Scenario,
    *,
    first_seed: int = 1,
    seeds: int = 1000,
    seconds: float = 60.0,
    jobs: int | None = None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    on_trial: Callable[[], None] = lambda: None,
) -> Exploration[Trial]: ...


@overload
def explore(
    what: Main | Program,
    *,
    first_seed: int = 1,
    seeds: int = 1000,
    seconds: float = 60.0,
    jobs: int | None = None,
    time_limit: float = TIME_LIMIT,
    spin_limit: int = SPIN_LIMIT,
    order: str | None = None,
    step_cost: float = 0.0,
    delays: int | None = None,
    on_trial: Callable[[], None] = lambda: None,
    on_failure: Callable[[int], None] = lambda _: None,
) -> Exploration[Failure]: ...


def explore(
    what: Scenario | Main | Program,
    *,
    first_seed: int = 1,
    seeds: int = 1000,
    seconds: float = 60.0,
    jobs: int | None = None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    time_limit: float = TIME_LIMIT,
    spin_limit: int = SPIN_LIMIT,
    order: str | None = None,
    step_cost: float = 0.0,
    delays: int | None = None,
    on_trial: Callable[[], None] = lambda: None,
    on_failure: Callable[[int], None] = lambda _: None,
) -> Exploration[Any]:
    """Try one seed after another; each gives another interleaving, in a way that the number of the seed decides.

    A scenario fails if a check fails unexpectedly. A program is an `async def` function without arguments. It fails with any
    exception, with an error that asyncio would only log (an exception of a task that nobody awaited, or of a callback), with
    a deadlock, or at a limit. A program runs in asyncio's own order first; that is seed 0. It makes all its state itself,
    and does no real input or output.

    Args:
        what: the scenario or the program.
        first_seed: the first seed.
        seeds: the most seeds to try.
        seconds: wall-clock time after which the search stops.
        jobs: processes; all cores by default.
        factory_class: makes the engines of a scenario.
        time_limit: virtual seconds after which a run of a program fails.
        spin_limit: steps without any progress of virtual time after which a run of a program fails.
        order: the order of every run of a program, in place of that of its seed, to repeat a failure.
        step_cost: seconds of CPU time of every step of a program, if an order is given.
        delays: instead of seeds, try all orders of a program with at most so many delays, in this process; see
            `netra_sim.exploration.exhaustive`. ``seeds`` is then the most orders to try.
        on_trial: called after every seed.
        on_failure: called with the seed of a failure of a program, before it is shrunk.

    Raises:
        ProgramError: the program is no coroutine function without arguments.
    """
    ends = time.monotonic() + seconds
    if isinstance(what, Scenario):
        return _explore_scenario(what, range(first_seed, first_seed + seeds), ends, jobs, factory_class, on_trial)
    program, limits = what if isinstance(what, Program) else program_of(what), RunLimits(time_limit, spin_limit)
    program.load()
    if delays is not None:
        return _exhaust(program, delays, seeds, ends, limits, on_trial, on_failure)
    planned = None if order is None else Plan(order, step_cost)
    return _explore_program(
        program, range(first_seed, first_seed + seeds), ends, jobs, limits, planned, on_trial, on_failure
    )


def _explore_program(
    program: Program,
    seeds: range,
    ends: float,
    jobs: int | None,
    limits: RunLimits,
    planned: Plan | None,
    on_trial: Callable[[], None],
    on_failure: Callable[[int], None],
) -> Exploration[Failure]:
    if planned is not None:
        outcome = run_program(program.load(), planned, seeds[0], **limits._asdict(), clocks=True)
        on_trial()
        if not outcome.kind:
            return Exploration(None, Coverage(1, 1, seeds[0]), outcome.escapes)
        on_failure(seeds[0])
        found = examined(program, seeds[0], planned, outcome, limits, outcome.escapes)
        return Exploration(found, Coverage(1, 1, seeds[0]), outcome.escapes)
    first, horizon = first_runs(program, limits)
    escapes = merged(*(outcome.escapes for _, outcome in first))
    for plan, outcome in first:
        if outcome.kind:
            on_failure(0)
            return Exploration(examined(program, 0, plan, outcome, limits, escapes), Coverage(1, 1, 0), escapes)
    seen = OrdersSeen(outcome.trail for _, outcome in first)
    with closing(outcomes(program, seeds, horizon, limits, jobs)) as results:
        for seed, outcome in zip(seeds, results, strict=False):
            on_trial()
            seen.add(outcome.trail, seed)
            if outcome.escapes:
                escapes = merged(escapes, outcome.escapes)
            if outcome.kind:
                on_failure(seed)
                failure = examined(program, seed, plan_of(seed, horizon), outcome, limits, escapes)
                return Exploration(failure, seen.coverage(), escapes)
            if time.monotonic() > ends:
                break
    return Exploration(None, seen.coverage(), escapes)


def _exhaust(
    program: Program,
    delays: int,
    most: int,
    ends: float,
    limits: RunLimits,
    on_trial: Callable[[], None],
    on_failure: Callable[[int], None],
) -> Exploration[Failure]:
    seen = OrdersSeen()
    escapes = run_program(program.load(), IN_ORDER, 0, **limits._asdict(), clocks=True).escapes
    orders = orders_with_delays(program.load(), delays, **limits._asdict())
    for plan, outcome in orders:
        if seen.runs == most or time.monotonic() > ends:
            return Exploration(None, seen.coverage(delays, is_whole=False), escapes)
        on_trial()
        seen.add(outcome.trail, seen.runs + 1)
        if outcome.escapes:
            escapes = merged(escapes, outcome.escapes)
        if outcome.kind:
            on_failure(0)
            failure = examined(program, 0, plan, outcome, limits, escapes)
            return Exploration(failure, seen.coverage(delays), escapes)
    return Exploration(None, seen.coverage(delays), escapes)


def _explore_scenario(
    scenario: Scenario,
    seeds: range,
    ends: float,
    jobs: int | None,
    factory_class: type[ExecutionEngineFactory],
    on_trial: Callable[[], None],
) -> Exploration[Trial]:
    tried, is_own = 0, has_own_agents(scenario, factory_class)
    escapes = escapes_of(scenario, seeds[0], factory_class) if is_own else ()
    calls = ((scenario, seed, factory_class) for seed in seeds)
    with closing(in_order(explored_trial, calls, jobs)) as trials:
        for trial in trials:
            on_trial()
            tried += 1
            if trial.failed_checks:
                return Exploration(trial, Coverage(tried, tried, trial.seed), escapes)
            if time.monotonic() > ends:
                break
    return Exploration(None, Coverage(tried, tried, seeds[0] + tried - 1), escapes)

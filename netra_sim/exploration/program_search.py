"""Searches the seeds of a program for a failure, and explains the failure by the fewest holds."""

import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec

from netra_sim.exploration.comparison import LoggedRun, PairOfRuns, compared
from netra_sim.exploration.holds import sentence, shrink_holds
from netra_sim.exploration.outside import merged, told
from netra_sim.exploration.plans import IN_ORDER, RUN_ON, Horizon, Plan, plan_of
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.programs import (
    SPIN_LIMIT,
    TIME_LIMIT,
    Main,
    Program,
    ProgramRun,
    run_program,
)
from netra_sim.simulation.escapes import Escape
from netra_sim.simulation.running import frozen_heap
from netra_sim.simulation.schedule import Hold, holds_text
from netra_sim.simulation.schedule_log import ScheduleLog

ALONE = 1.0
"""Seconds of search in this process before others are started: to start one takes as long as thousands of short runs."""

CHUNK_SECONDS = 0.2


class RunLimits(NamedTuple):
    """What one run of a program may take: virtual seconds, and steps without any progress of virtual time."""

    time_limit: float = TIME_LIMIT
    spin_limit: int = SPIN_LIMIT


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failing run of a program, explained.

    Attributes:
        seed: its seed.
        order: the schedule of the seed.
        step_cost: seconds of CPU time that every step takes.
        kind: "exception", "unhandled" for an error that asyncio would only log, such as that of a task that nobody awaited,
            "deadlock", "time limit" or "spinning".
        error: the type and the message of the error, in one line.
        traceback: of the error, as Python prints it.
        steps: how many steps the failing run had.
        is_repeatable: whether the seed gives the same run again. If not, the program depends on something outside of the
            seed, such as a module's state, the real clock or unseeded randomness; there is no sentence then.
        fingerprint: a hash over the task and the instant of each step of the run that `replay` repeats.
        holds: the fewest deviations from asyncio's order that still fail in the same way; None if not found.
        shrinking_runs: the runs that it took to find them.
        sentence: what has to happen for the failure.
        comparison: the failing run beside the nearest passing one.
        escapes: what the program takes from outside the simulation.
        replay: the command that repeats the run with the holds, or with the seed if there are none; for a function that
            no file has by its name, the call.
    """

    seed: int
    order: str
    step_cost: float
    kind: str
    error: str
    traceback: str
    steps: int
    is_repeatable: bool
    fingerprint: str
    holds: tuple[Hold, ...] | None
    shrinking_runs: int
    sentence: str
    comparison: PairOfRuns
    escapes: tuple[Escape, ...]
    replay: str

    @property
    def story(self) -> str:
        """What happened, without how to repeat it."""
        held = "" if self.holds is None else f"{_counted(len(self.holds), 'hold')}, "
        shrunk = f"{_counted(self.shrinking_runs, 'run')} to shrink"
        parts = (
            self.sentence,
            str(self.comparison),
            f"{self.error}      {held}of {_counted(self.steps, 'step')}; {shrunk}; seed {self.seed}",
            self.traceback.rstrip(),
            told(self.escapes) if self.is_repeatable else "",
        )
        return "\n".join(filter(None, parts))

    def __str__(self) -> str:
        return f"{self.story}\nto repeat it: {self.replay}  (run {self.fingerprint})"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def first_runs(program: Program, limits: RunLimits) -> tuple[list[tuple[Plan, ProgramRun]], Horizon]:
    """Run a program in asyncio's own order, and each task until it blocks; this is seed 0, and gives the horizon.

    The first run also watches for reads of clocks and entropy.
    """
    main, logs = program.load(), (ScheduleLog(), ScheduleLog())
    runs = [
        (plan, run_program(main, plan, 0, **limits._asdict(), log=log, clocks=plan is IN_ORDER))
        for plan, log in zip((IN_ORDER, RUN_ON), logs, strict=True)
    ]
    return runs, Horizon.of(*logs)


def outcomes(
    program: Program, seeds: Sequence[int], horizon: Horizon, limits: RunLimits, jobs: int | None
) -> Generator[ProgramRun, None, None]:
    """The outcome of each seed, in order; those after the first failure may be left out."""
    began, done = time.monotonic(), 0
    main = program.load()
    with frozen_heap():
        for seed in seeds:
            yield run_program(main, plan_of(seed, horizon), seed, **limits._asdict())
            done += 1
            if jobs != 1 and time.monotonic() - began > ALONE:
                break
    size = max(1, int(done * CHUNK_SECONDS / ALONE))
    calls = ((program, seeds[at : at + size], horizon, limits) for at in range(done, len(seeds), size))
    if done < len(seeds):
        with closing(in_order(_chunk, calls, jobs)) as chunks:
            for chunk in chunks:
                yield from chunk


def _chunk(program: Program, seeds: Sequence[int], horizon: Horizon, limits: RunLimits) -> list[ProgramRun]:
    main, found = program.load(), []
    with frozen_heap():
        for seed in seeds:
            found.append(run_program(main, plan_of(seed, horizon), seed, **limits._asdict()))
            if found[-1].kind:
                break
    return found


def examined(
    program: Program, seed: int, plan: Plan, outcome: ProgramRun, limits: RunLimits, escapes: Sequence[Escape]
) -> Failure:
    """Run a failing seed again with a log, shrink its order, and look for the nearest run that passes.

    Args:
        program: the program.
        seed: the failing seed.
        plan: of the seed.
        outcome: of the seed.
        limits: of each run.
        escapes: what other runs took from outside the simulation.
    """
    main, log = program.load(), ScheduleLog()

    def run(holds: tuple[Hold, ...]) -> LoggedRun:
        log = ScheduleLog()
        tried = run_program(main, Plan(holds_text(holds), plan.step_cost), seed, **limits._asdict(), log=log)
        return LoggedRun(holds, tried.error, log)

    with frozen_heap():
        again = run_program(main, plan, seed, **limits._asdict(), log=log, clocks=True)
        escapes = merged(escapes, again.escapes)
        is_repeatable = (again.failure, again.trail) == (outcome.failure, outcome.trail)
        holds, step_cost, runs = None, plan.step_cost, 0
        if is_repeatable:
            holds, step_cost, runs = _shrunk(main, seed, plan, outcome, limits, log)
        if holds is not None:
            plan = Plan(holds_text(holds), step_cost)
            log = ScheduleLog()
            again = run_program(main, plan, seed, **limits._asdict(), log=log)
        failing = LoggedRun(holds, again.error or outcome.error, log)
        comparison = compared(failing, run) if is_repeatable else PairOfRuns(failing)
    return Failure(
        seed=seed,
        order=plan.order,
        step_cost=plan.step_cost,
        kind=outcome.kind,
        error=failing.error,
        traceback=again.traceback or outcome.traceback,
        steps=outcome.steps,
        is_repeatable=is_repeatable,
        fingerprint=f"{log.fingerprint & (1 << 64) - 1:016x}",
        holds=holds,
        shrinking_runs=runs,
        sentence=_why(holds, log, step_cost, escapes, is_repeatable=is_repeatable),
        comparison=comparison,
        escapes=escapes,
        replay=replay_of(program, seed, plan if holds is not None else None),
    )


def _why(
    holds: Sequence[Hold] | None, log: ScheduleLog, step_cost: float, escapes: Sequence[Escape], *, is_repeatable: bool
) -> str:
    if holds is not None:
        return sentence(holds, log, step_cost)
    if is_repeatable:
        return "fails in the order of the seed; no smaller order was found"
    if escapes:
        return f"the seed does not repeat: the program depends on something outside of it\n{told(escapes)}"
    return "the seed does not repeat: the program depends on something outside of it, such as a module's state"


def _shrunk(
    main: Main, seed: int, plan: Plan, outcome: ProgramRun, limits: RunLimits, log: ScheduleLog
) -> tuple[tuple[Hold, ...] | None, float, int]:
    """The fewest holds, the step cost that they need, and the number of runs that it took."""
    runs, step_cost, all_holds = 0, 0.0, log.holds()

    def fails(holds: Sequence[Hold]) -> bool:
        nonlocal runs
        runs += 1
        tried = run_program(main, Plan(holds_text(holds), step_cost), seed, **limits._asdict())
        return tried.failure == outcome.failure

    if plan.step_cost and not fails(all_holds):
        step_cost = plan.step_cost
    return shrink_holds(all_holds, fails), step_cost, runs


def replay_of(program: Program, seed: int, plan: Plan | None) -> str:
    """The command that repeats a run, or the call for a function that no file has by its name."""
    if not program.target:
        order = "" if plan is None else f", order={plan.order!r}, step_cost={plan.step_cost:g}"
        return f"explore(main, first_seed={seed}, seeds=1{order})"
    parts = ["netra-sim", "explore", program.target, "--seed", str(seed)]
    if plan is not None:
        parts += ["--order", plan.order, "--step-cost", f"{plan.step_cost:g}"]
    return shlex.join(parts)

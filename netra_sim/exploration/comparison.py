"""A failing run beside the nearest passing one: the step at which they first differ, in words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from netra_sim.history import History
from netra_sim.simulation.schedule import CALLBACK, FOR_EVER, Hold, holds_text
from netra_sim.simulation.schedule_log import ScheduleLog

_CLOSING = "BaseEventLoop.shutdown_asyncgens()"
MOST_TRIED = 10
"""Runs that the look for a passing one may take."""


@dataclass(frozen=True)
class LoggedRun:
    """One run with all its steps.

    Attributes:
        holds: how its order differs from asyncio's; None for the order of its seed.
        error: how it failed, in one line; "" if it passed.
        log: of its steps.
        history: of a scenario; None for a program.
    """

    holds: tuple[Hold, ...] | None
    error: str
    log: ScheduleLog = field(repr=False, compare=False)
    history: History | None = field(default=None, repr=False, compare=False)

    @cached_property
    def length(self) -> int:
        """How many steps it has, without those that close the loop at the end of every run."""
        closing = next((task for task, name in self.log.names.items() if name == _CLOSING), None)
        steps = enumerate(self.log.steps)
        return next((index for index, step in steps if step.task == closing), len(self.log.steps))

    @property
    def order(self) -> str:
        """Its order, in words."""
        if self.holds is None:
            return "the order of the seed"
        return f"the order {holds_text(self.holds)}" if self.holds else "asyncio's own order"

    def told(self, index: int) -> str:
        """One step in words: when it ran, whose it was, and where the task went on; or that the run was over."""
        if index >= self.length:
            return "the run is over"
        step = self.log.steps[index]
        if step.task == CALLBACK:
            return f"t={step.time:.3f}  {self.log.name(CALLBACK)} runs"
        return f"t={step.time:.3f}  {self.log.name(step.task)} " + (
            f"goes on at {step.place}" if step.step else "starts"
        )


@dataclass(frozen=True)
class PairOfRuns:
    """A failing run and the nearest passing one.

    Attributes:
        failing: the failing run.
        passing: the nearest passing run; None if none is known.
    """

    failing: LoggedRun
    passing: LoggedRun | None = None

    @property
    def divergence(self) -> int | None:
        """The first step, from 0, at which another task runs or a task is at another line; None if there is none."""
        if self.passing is None:
            return None
        runs = (self.failing, self.passing)
        ones, others = ([(step.task, step.place) for step in run.log.steps[: run.length]] for run in runs)
        if ones == others:
            return None
        pairs = enumerate(zip(ones, others, strict=False))
        return next((at for at, (one, other) in pairs if one != other), min(len(ones), len(others)))

    def __str__(self) -> str:
        if self.passing is None:
            return ""
        at = self.divergence
        if at is None:
            return f"the nearest run that passes is {self.passing.order}; its steps are the same"
        same = f"are equal up to step {at:,}, and then differ" if at else "differ from the first step on"
        return "\n".join(
            (
                f"the nearest run that passes is {self.passing.order}; the two {same}",
                f"  it passes:  {self.passing.told(at)}",
                f"  it fails:   {self.failing.told(at)}",
            )
        )


def compared(failing: LoggedRun, run: Callable[[tuple[Hold, ...]], LoggedRun]) -> PairOfRuns:
    """Find the nearest run that passes, and put it beside the failing one.

    It has one hold fewer, so asyncio's own order in place of one hold; or its shortest hold is one step shorter.

    Args:
        failing: the failing run.
        run: runs with these holds.
    """
    for holds, _ in zip(_nearest(failing.holds), range(MOST_TRIED), strict=False):
        tried = run(holds)
        if not tried.error:
            return PairOfRuns(failing, tried)
    return PairOfRuns(failing)


def _nearest(holds: Sequence[Hold] | None) -> Iterator[tuple[Hold, ...]]:
    if holds is None:
        yield ()
        return
    for index in reversed(range(len(holds))):
        yield (*holds[:index], *holds[index + 1 :])
    shortest = min(holds, key=lambda hold: hold.length, default=None)
    if shortest is not None and 1 < shortest.length < FOR_EVER:
        yield tuple(hold._replace(length=hold.length - 1) if hold is shortest else hold for hold in holds)

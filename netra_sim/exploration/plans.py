"""Which strategy and step cost each seed gets: no strategy is best everywhere, so the seeds share them out."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netra_sim.randomness import key, uniform
from netra_sim.simulation.schedule import Hold, holds_text, steps_text
from netra_sim.simulation.schedule_log import ScheduleLog

STICKINESS = (0.0, 0.5, 0.75, 0.9)
STEP_COSTS = (0.0, 1e-5, 1e-4, 1e-3)
"""Seconds; without any, timers that are nearly due together never change places."""

SLOW_SHARES = (0.3, 1.0)
"""Of the awaits in the code under test at which tasks pause."""

LONGEST_PAUSE = 50
"""Milliseconds, of virtual time."""

KINDS = 10
"""Seeds in a row that have different kinds of plans."""

MOST_STEPS = 1_000
"""Steps of each kind that a horizon names at most, the first ones."""

NamedStep = tuple[int, int]
"""The number of a task, and the number of its step."""


class Plan(NamedTuple):
    """How one seed orders the steps.

    Attributes:
        order: the schedule, as `netra_sim.simulation.schedule` describes it.
        step_cost: seconds of CPU time that every step takes.
    """

    order: str = "fifo"
    step_cost: float = 0.0

    @property
    def has_pauses(self) -> bool:
        """Whether tasks pause in virtual time."""
        return self.order.startswith("pauses:")


IN_ORDER, RUN_ON = Plan(), Plan("delays:")
"""Asyncio's own order, and that in which each task runs until it blocks: both run first, and give the `Horizon`."""


class Choices(NamedTuple):
    """Where one order can be changed: the steps of tasks while another step was ready.

    Attributes:
        every: all of these steps.
        new: those before which the task was suspended at another await than before. A race needs a task to be held between
            two certain operations; of a hundred steps in one loop one will mostly do.
    """

    every: tuple[NamedStep, ...]
    new: tuple[NamedStep, ...]

    @classmethod
    def of(cls, log: ScheduleLog) -> "Choices":
        """The choices of a run."""
        steps = [step for step in log.steps if step.is_choice]
        every = tuple((step.task, step.step) for step in steps[:MOST_STEPS])
        return cls(every, tuple((step.task, step.step) for step in steps if step.is_new)[:MOST_STEPS])


class Horizon(NamedTuple):
    """How large a program is: a plan draws its holds and delays within these bounds.

    Attributes:
        steps: of all tasks and callbacks, in asyncio's order.
        in_order: the choices in asyncio's order.
        run_on: the choices if each task runs until it blocks.
    """

    steps: int
    in_order: Choices
    run_on: Choices

    @classmethod
    def of(cls, in_order: ScheduleLog, run_on: ScheduleLog) -> "Horizon":
        """The horizon of a program, from its two first runs."""
        return cls(len(in_order.steps), Choices.of(in_order), Choices.of(run_on))


def scenario_plan(seed: int) -> Plan:
    """The plan of a seed of a scenario: every third has sticky draws, the others have pauses.

    The steps of a scenario are too many to hold them one by one, and most users act at different times. Sticky draws
    change the order of what is ready at the same time, and pauses bring together what is not.
    """
    step_cost = STEP_COSTS[int(uniform(key(seed, "plan")) * len(STEP_COSTS))]
    turn, kind = divmod(seed, 1 + len(SLOW_SHARES))
    if kind < len(SLOW_SHARES):
        return Plan(f"pauses:{SLOW_SHARES[kind]:g}:{LONGEST_PAUSE}", step_cost)
    return Plan(f"sticky:{STICKINESS[turn % len(STICKINESS)]:g}", step_cost)


def plan_of(seed: int, horizon: Horizon) -> Plan:
    """The plan of a seed from 1 on."""
    stream = key(seed, "plan")
    draws = (uniform(stream, index) for index in itertools.count())
    step_cost = STEP_COSTS[int(next(draws) * len(STEP_COSTS))]
    kind, turn = seed % KINDS, seed // KINDS
    if kind < 3:
        # Both extremes find less: they take turns.
        level = kind if kind else 3 * (turn % 2)
        return Plan(f"sticky:{STICKINESS[level]:g}", step_cost)
    return Plan(_order(kind, turn, draws, horizon), step_cost)


def _order(kind: int, turn: int, draws: Iterator[float], horizon: Horizon) -> str:
    longest = max(2, 2 * horizon.steps)
    if kind == 4:
        # One hold at each new await in turn, as long as it takes.
        return holds_text(Hold(*step, longest) for step in _in_turn(horizon.in_order, turn))
    if kind == 5:
        # Of two long holds the longer one ends last, whichever began first.
        steps = _drawn(horizon.in_order, draws, next(draws))
        return holds_text(Hold(*step, _length(next(draws), next(draws), longest)) for step in steps)
    if kind == 7 and turn % 2:
        tasks = sorted({task for task, _ in horizon.in_order.every}) or [0]
        return f"slow:{tasks[int(next(draws) * len(tasks))]}:{longest}"
    if kind == 7:
        return f"delays:{steps_text(_in_turn(horizon.run_on, turn // 2))}"
    if kind in (3, 8):
        share = next(draws)
        return (
            f"delays:{steps_text(sorted(_drawn(horizon.run_on, draws, share) + _drawn(horizon.run_on, draws, share)))}"
        )
    share = next(draws) if kind == 6 else 1.0 - next(draws) ** 2
    return f"priorities:{steps_text(_drawn(horizon.run_on, draws, share))}"


def _in_turn(choices: Choices, turn: int) -> Sequence[NamedStep]:
    return (choices.new[turn % len(choices.new)],) if choices.new else ()


def _drawn(choices: Choices, draws: Iterator[float], share: float) -> list[NamedStep]:
    """About this share of the steps at new awaits, and sometimes any other step: it may be the one that matters."""
    drawn = [step for step in choices.new if next(draws) < share]
    if next(draws) < 0.25 and choices.every:
        drawn.append(choices.every[int(next(draws) * len(choices.every))])
    return sorted(set(drawn))


def _length(kind: float, drawn: float, longest: int) -> int:
    if kind < 0.2:
        return int(longest**drawn)
    return longest if drawn < 0.5 else 2 * longest

"""Which strategy and step cost each seed gets: no strategy is best everywhere, so the seeds share them out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.schedule import Hold, holds_text, steps_text
from netra_sim.simulation.schedule_log import ScheduleLog

STICKINESS = (0.0, 0.5, 0.75, 0.9)
STEP_COSTS = (0.0, 1e-5, 1e-4, 1e-3)
"""Seconds; without any, timers that are nearly due together never change places."""

KINDS = 10
"""Seeds in a row that have different kinds of plans."""

MOST_STEPS = 10_000
"""Steps of each kind that a horizon names at most."""

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


IN_ORDER, RUN_ON = Plan(), Plan("delays:")
"""Asyncio's own order, and that in which each task runs until it blocks: both run first, and give the `Horizon`."""


class Choices(NamedTuple):
    """Where one order can be changed: the steps of tasks while another step was ready.

    Attributes:
        every: all of these steps.
        new: those before which the task was suspended at another line than before. A race needs a task to be held between
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


def plan_of(seed: int, horizon: Horizon) -> Plan:
    """The plan of a seed from 1 on."""
    stream = key(seed, "plan")
    draws = (uniform(stream, index) for index in range(100))
    step_cost = STEP_COSTS[int(next(draws) * len(STEP_COSTS))]
    kind, turn = seed % KINDS, seed // KINDS
    if kind < 4:
        return Plan(f"sticky:{STICKINESS[kind]:g}", step_cost)
    return Plan(_order(kind, turn, draws, horizon), step_cost)


def _order(kind: int, turn: int, draws: Iterator[float], horizon: Horizon) -> str:
    longest = max(2, 2 * horizon.steps)
    if kind == 4:
        # One hold at each new line in turn, as long as it takes.
        steps = _in_turn(horizon.in_order, turn)
        return holds_text(Hold(*step, longest) for step in steps)
    if kind == 5:
        steps = _drawn(horizon.in_order, draws, 2)
        return holds_text(Hold(*step, int(longest ** next(draws))) for step in steps)
    if kind == 6:
        return f"priorities:{steps_text(_drawn(horizon.run_on, draws, int(next(draws) * 4)))}"
    if kind == 7:
        tasks = sorted({task for task, _ in horizon.in_order.every}) or [0]
        return f"slow:{tasks[int(next(draws) * len(tasks))]}:{longest}"
    if kind == 8 and turn % 2:
        return f"delays:{steps_text(_in_turn(horizon.run_on, turn // 2))}"
    return f"delays:{steps_text(_drawn(horizon.run_on, draws, 2 + int(next(draws) * 2)))}"


def _in_turn(choices: Choices, turn: int) -> Sequence[NamedStep]:
    return (choices.new[turn % len(choices.new)],) if choices.new else ()


def _drawn(choices: Choices, draws: Iterator[float], count: int) -> list[NamedStep]:
    """So many different steps: mostly new ones, but any step may be the right one."""
    drawn = set()
    for _ in range(count):
        steps = choices.new if next(draws) < 0.8 else choices.every
        if steps:
            drawn.add(steps[int(next(draws) * len(steps))])
    return sorted(drawn)

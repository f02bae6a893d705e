"""Which strategy and step cost each seed gets: no strategy is best everywhere, so the seeds share them out."""

from typing import NamedTuple

from netra_sim.simulation.randomness import key, uniform

STICKINESS = (0.0, 0.5, 0.75, 0.9)
STEP_COSTS = (0.0, 1e-5, 1e-4, 1e-3)
"""Seconds; without any, timers that are nearly due together never change places."""

KINDS = 10
"""Seeds in a row that have different kinds of plans."""


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


class Horizon(NamedTuple):
    """How large a program is: a plan draws its holds and delays within these bounds.

    Attributes:
        steps: of all tasks and callbacks, in asyncio's order.
        tasks: how many there are.
        in_order: choices in asyncio's order.
        run_on: choices if each task runs until it blocks.
    """

    steps: int
    tasks: int
    in_order: int
    run_on: int


def plan_of(seed: int, horizon: Horizon) -> Plan:
    """The plan of a seed from 1 on."""
    stream = key(seed, "plan")
    draws = (uniform(stream, index) for index in range(100))
    step_cost = STEP_COSTS[int(next(draws) * len(STEP_COSTS))]
    kind, turn = seed % KINDS, seed // KINDS
    longest = max(2, 2 * horizon.steps)
    in_order, run_on = max(1, horizon.in_order), max(1, horizon.run_on)
    if kind < 4:
        return Plan(f"sticky:{STICKINESS[kind]:g}", step_cost)
    if kind == 4:
        # One hold at each choice in turn, as long as it takes, or several of any length.
        if turn % 2:
            return Plan(f"held:{turn // 2 % in_order}+{longest}", step_cost)
        places = sorted({int(next(draws) * in_order) for _ in range(2)})
        return Plan("held:" + ",".join(f"{place}+{int(longest ** next(draws))}" for place in places), step_cost)
    if kind == 5:
        return Plan(f"priorities:{1 + int(next(draws) * 4)}:{max(in_order, run_on)}", step_cost)
    if kind < 8:
        return Plan(f"slow:{int(next(draws) * horizon.tasks)}:{longest}", step_cost)
    if kind == 8:
        return Plan(f"delays:{turn % run_on}", step_cost)
    places = sorted({int(next(draws) ** 2 * (run_on + in_order)) for _ in range(2 + int(next(draws) * 3))})
    return Plan("delays:" + ",".join(map(str, places)), step_cost)

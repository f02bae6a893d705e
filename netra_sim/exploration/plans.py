"""Which strategy and step cost each seed gets: no strategy is best everywhere, so the seeds share them out."""

from typing import NamedTuple

from netra_sim.simulation.randomness import key, uniform

STICKINESS = (0.0, 0.5, 0.75, 0.9)
STEP_COSTS = (0.0, 1e-5, 1e-4, 1e-3)
"""Seconds; without any, timers that are nearly due together never change places."""


class Plan(NamedTuple):
    """How one seed orders the steps.

    Attributes:
        order: the schedule, as `netra_sim.simulation.schedule` describes it.
        step_cost: seconds of CPU time that every step takes.
    """

    order: str = "fifo"
    step_cost: float = 0.0


def plan_of(seed: int, steps: int) -> Plan:
    """The plan of a seed; of seed 0 it is asyncio's own order.

    Args:
        seed: the seed.
        steps: how many steps a run has, about: the horizon within which steps are held or priorities drop.
    """
    if seed == 0:
        return Plan()
    stream = key(seed, "plan")
    drawn = [uniform(stream, index) for index in range(8)]
    step_cost = STEP_COSTS[int(drawn[0] * len(STEP_COSTS))]
    steps = max(steps, 2)
    count = 1 + int(drawn[1] * 2)
    places = sorted({int(one * steps) for one in drawn[2 : 2 + count]})
    kind = seed % 8
    if kind < 4:
        order = f"sticky:{STICKINESS[kind]:g}"
    elif kind == 4:
        lengths = [max(1, round(steps**one)) for one in drawn[4:6]]
        order = "held:" + ",".join(f"{place}+{length}" for place, length in zip(places, lengths, strict=False))
    elif kind == 5:
        order = f"priorities:{1 + int(drawn[1] * 3)}:{steps}"
    else:
        order = "delays:" + ",".join(map(str, places))
    return Plan(order, step_cost)

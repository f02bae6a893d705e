"""How many runs it takes to find each planted ordering bug of the zoo, here and with simloop and simloom if installed.

The median over five start seeds, 2,000 runs at most; a hunt without a failure counts as 2,001. Then the right twins, 1,000
seeds each, which must not fail, and the cost of a step with 200 ready tasks. The peers need Python 3.12.
"""

import asyncio
import functools
import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Measured, in_turn, main, per_operation

from netra_sim.exploration import explore
from netra_sim.simulation import run_virtual

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "exploration"))
import zoo

STARTS = (1, 10_001, 20_001, 30_001, 40_001)
MOST = 2_000
TWIN_SEEDS = 1_000
GOAL = 40
Hunt = Callable[[Callable, int], int]


def ours(bug: Callable, start: int) -> int:
    found = explore(bug, first_seed=start, seeds=MOST, seconds=600, jobs=1)
    return found.coverage.runs if found.failure else MOST + 1


def simloop(policy: str) -> Hunt:
    engine = importlib.import_module("simloop")

    def hunt(bug: Callable, start: int) -> int:
        found = engine.explore(bug, range(start, start + MOST), policy=policy)
        return found.seed - start + 1 if found else MOST + 1

    return hunt


def simloom(scheduler: str) -> Hunt:
    engine = importlib.import_module("simloom")

    async def call(bug: Callable) -> None:
        await bug()

    def hunt(bug: Callable, start: int) -> int:
        for number in range(MOST):
            run = engine.run(
                lambda world=None: call(bug), seed=start + number, scheduler=scheduler, raise_on_error=False
            )
            if run.outcome != "ok":
                return number + 1
        return MOST + 1

    return hunt


def simloom_systematic(delays: int) -> Hunt:
    engine = importlib.import_module("simloom")

    async def call(bug: Callable) -> None:
        await bug()

    @functools.cache
    def hunt_once(bug: Callable) -> int:
        found = engine.explore_systematic(lambda world=None: call(bug), max_delays=delays, max_schedules=MOST)
        return found.first_failure_at if found.failed else MOST + 1

    return lambda bug, start: hunt_once(bug)  # it draws nothing


PEERS: dict[str, Callable[[], Hunt]] = {
    "simloop, random": lambda: simloop("random"),
    "simloop, pct": lambda: simloop("pct"),
    "simloom, random": lambda: simloom("random"),
    "simloom, pct": lambda: simloom("pct:auto"),
    "simloom, systematic 2": lambda: simloom_systematic(2),
    "simloom, systematic 3": lambda: simloom_systematic(3),
}


async def crowd() -> None:
    async def task() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    await asyncio.gather(*(task() for _ in range(200)))


def steps() -> list[Measured]:
    orders = ("random", "sticky:0.5", "sticky:0.9")
    measures = [per_operation(lambda order=order: run_virtual(crowd(), order=order), 20_200) for order in orders]
    random, *others = in_turn(*measures, repetitions=9)
    return [
        Measured(
            f"a step, {order} / random", tuple(one / two for one, two in zip(each, random, strict=True)), 2.0 / 1.8
        )
        for order, each in zip(orders[1:], others, strict=True)
    ]


def measure_all() -> Sequence[Measured]:
    gc.collect()
    gc.freeze()
    hunts: dict[str, Hunt] = {"ours": ours}
    for name, make in PEERS.items():
        try:
            hunts[name] = make()
        except ImportError:
            print(f"{name} is not installed and is skipped")
    lines = [
        Measured(f"{name}: {who}", tuple(hunt(bug, start) for start in STARTS), GOAL if who == "ours" else None, "runs")
        for name, bug in zoo.BUGS.items()
        for who, hunt in hunts.items()
    ]
    for name, twin in [*zoo.TWINS.items(), ("the control", zoo.CONTROL)]:
        found = explore(twin, seeds=TWIN_SEEDS, seconds=600, jobs=1)
        lines.append(
            Measured(f"false alarms in {TWIN_SEEDS:,} seeds: {name}", (float(found.failure is not None),), 0.0)
        )
    return [*lines, *steps()]


if __name__ == "__main__":
    main("search", measure_all)

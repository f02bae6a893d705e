"""How many seeds of a scenario it takes to find each planted race between users, and with sticky draws alone.

The races of `tests/exploration/scenario_races.py` are asyncio servers with eight users, who ask three times each within
eight seconds. The median over five start seeds, 300 seeds at most; a hunt without a failure counts as 301.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from measure import Measured, main

from netra_sim.exploration import explore
from netra_sim.simulation import Scenario

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "exploration"))
import scenario_races
from test_scenario_search import scenario

STARTS = (1, 10_001, 20_001, 30_001, 40_001)
MOST = 300
GOAL = 40


def seeds_needed(one: Scenario, start: int) -> int:
    found = explore(one, first_seed=start, seeds=MOST, seconds=600, jobs=1)
    return found.coverage.runs if found.failure else MOST + 1


def measure_all() -> Sequence[Measured]:
    lines = []
    for race in scenario_races.RACES:
        one = scenario(race.__name__)
        sticky = one.with_settings({"platform.order": "sticky:0.5"})
        for what, each, goal in (("ours", one, GOAL), ("sticky draws alone", sticky, None)):
            needed = tuple(float(seeds_needed(each, start)) for start in STARTS)
            lines.append(Measured(f"{race.__name__}: {what}", needed, goal, "seeds"))
    return lines


if __name__ == "__main__":
    main("scenario_search", measure_all)

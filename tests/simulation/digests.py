"""Writes `digests.json`: the digests of 20 scenarios with 5 seeds each, for every Python, platform and number of processes.

Run it only after an intended change of simulation results, and say so in the commit.
"""

import json
from pathlib import Path

from netra_sim.exploration import in_order, run_trial
from netra_sim.simulation import find_scenario, scenario_names

FILE = Path(__file__).with_name("digests.json")


def digests(jobs=None):
    calls = [(find_scenario(name), seed) for name in scenario_names()[:20] for seed in range(1, 6)]
    return {f"{trial.scenario.name}, seed {trial.seed}": trial.digest for trial in in_order(run_trial, calls, jobs)}


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", "utf-8")

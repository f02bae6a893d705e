"""The time of the clock in which two processes simulate the users of a scenario, in units of one process; and their memory.

Both give the same history, which this compares too. The two take turns. Every simulation runs in an interpreter of its own,
so that the time begins before the imports and the start of the processes, as for the command.

Usage: ``shards.py [USERS [REPETITIONS]]``; 20,000 users and 3 repetitions by default.
"""

import json
import subprocess
import sys
import time

from measure import Measured, main

USERS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
REPETITIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
GOAL = 0.6

CODE = """
import json, resource, sys
from netra_sim.simulation import find_scenario, simulate
users, shards = map(int, sys.argv[1:])
scenario = find_scenario("steady-load").with_settings({"users": users, "platform.order": "fifo"})
history = simulate(scenario, shards=shards)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([history.digest(), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def simulated(shards: int) -> tuple[float, str, float, float]:
    """The seconds of the clock, the digest, and of the process that merges: the CPU seconds and the most MiB."""
    began = time.perf_counter()
    command = [sys.executable, "-c", CODE, str(USERS), str(shards)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return (time.perf_counter() - began, *json.loads(output))


def measure() -> list[Measured]:
    """Simulate in turns."""
    rounds = [(simulated(1), simulated(2)) for _ in range(REPETITIONS)]
    if len({digest for pair in rounds for _, digest, _, _ in pair}) != 1:
        raise RuntimeError("the histories differ")
    what = f"{USERS:,} users in steady-load, fifo"
    return [
        Measured(f"{what}: clock, two processes / one", tuple(two[0] / one[0] for one, two in rounds), GOAL),
        Measured(f"{what}: clock, one process", tuple(one[0] for one, _ in rounds), unit="s"),
        Measured(f"{what}: clock, two processes", tuple(two[0] for _, two in rounds), unit="s"),
        Measured(f"{what}: CPU of one process", tuple(one[2] for one, _ in rounds), unit="s"),
        Measured(f"{what}: CPU of the process that merges", tuple(two[2] for _, two in rounds), unit="s"),
        Measured(f"{what}: memory of one process", tuple(one[3] for one, _ in rounds), unit="MiB"),
        Measured(f"{what}: memory of the process that merges", tuple(two[3] for _, two in rounds), unit="MiB"),
    ]


if __name__ == "__main__":
    main("shards", measure)

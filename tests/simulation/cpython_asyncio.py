"""Runs the asyncio tests of CPython on the virtual-time loop and prints the results as JSON; see `test_loop.py`."""

import asyncio
import gc
import io
import json
import sys
import unittest
import warnings

from netra_sim.simulation import VirtualTimeLoop

MODULES = ("test_tasks", "test_timeouts", "test_locks", "test_queues", "test_taskgroups")

CANNOT_PASS = {
    "RunCoroutineThreadsafeTests": "the default executor must be a thread, which calls back into the loop;"
    " this loop runs such functions itself, as steps",
}


def tests_of(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from tests_of(one)
        elif type(one).__name__ not in CANNOT_PASS:
            yield one


class Policy(asyncio.DefaultEventLoopPolicy):
    """Gives the tests virtual-time loops."""

    loops_made = 0

    def new_event_loop(self):
        Policy.loops_made += 1
        return VirtualTimeLoop(time_limit=1e7)


def main():
    warnings.simplefilter("ignore")
    gc.freeze()  # some tests collect garbage often, and should skip the objects that netra_sim imported
    outcome = {}
    for module in MODULES:
        asyncio.set_event_loop_policy(Policy())  # each test module resets it
        found = unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{module}")
        suite = unittest.TestSuite(tests_of(found))
        before = Policy.loops_made
        result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
        failures = {test.id().removeprefix("test.test_asyncio."): why for test, why in result.failures + result.errors}
        outcome[module] = {
            "run": result.testsRun,
            "skipped": len(result.skipped),
            "loops": Policy.loops_made - before,
            "failures": {name: why.strip().splitlines()[-1] for name, why in failures.items()},
        }
    json.dump(outcome, sys.stdout)


if __name__ == "__main__":
    main()

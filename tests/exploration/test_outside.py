"""A search names what the code under test takes from outside the simulation, and where."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from planted import RacyFactory

from netra_sim import Scenario
from netra_sim.exploration import explore

AGENTS = """
import time
from netra_sim import ExecutionEngineFactory

class Clocked(ExecutionEngineFactory):
    def user_execution_scope(self, context):
        time.time()
        return super().user_execution_scope(context)
"""


async def reads_the_clock():
    await asyncio.sleep(1)
    time.time()


async def opens_a_file_late():
    order = []

    async def work(name):
        await asyncio.sleep(0)
        order.append(name)

    await asyncio.gather(work("a"), work("b"))
    if order != ["a", "b"]:
        Path(__file__).read_bytes()


async def forks():
    await asyncio.sleep(0)
    os.fork()


async def draws():
    assert 0 <= random.random() < 1
    random.choice([1, 2])
    random.seed(4)


async def depends_on_the_clock():
    await asyncio.sleep(0)
    assert time.perf_counter_ns() < depends_on_the_clock.until


def test_the_first_run_is_watched_for_reads_of_the_clock():
    found = explore(reads_the_clock, seeds=3, jobs=1)
    assert [(one.where.partition(":")[0], one.how) for one in found.escapes] == [("test_outside.py", "time.time")]
    assert "(reads_the_clock) reads the real clock: time.time" in str(found)


def test_a_file_is_seen_in_whichever_run_it_is_opened():
    found = explore(opens_a_file_late, seeds=30, jobs=1)
    assert [one.what for one in found.escapes] == ["opens a file"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
def test_a_program_that_forks_fails_and_there_is_one_process():
    found = explore(forks, seeds=1, jobs=1)
    assert found.failure.error.startswith("netra_sim.simulation.escapes.ForkError: a simulated program cannot fork")
    assert found.failure.traceback.splitlines()[-2].strip() == "os.fork()"


def test_random_is_seeded_and_so_taken_from_nowhere():
    assert explore(draws, seeds=3, jobs=1).escapes == ()


def test_a_seed_that_does_not_repeat_names_what_it_depends_on():
    depends_on_the_clock.until = time.perf_counter_ns() + 20_000_000
    failure = explore(depends_on_the_clock, seeds=100_000, jobs=1).failure
    text = str(failure)
    assert "(depends_on_the_clock) reads the real clock: time.perf_counter_ns" in text
    assert text.count("taken from outside the simulation") == 1
    assert failure.escapes


@pytest.mark.parametrize("command", ["explore", "simulate"])
def test_the_commands_watch_one_run_of_a_factory_of_ones_own(tmp_path, command):
    (tmp_path / "my_agents.py").write_text(AGENTS)
    more = ["--seeds", "1", "--jobs", "1"] if command == "explore" else []
    done = subprocess.run(
        [sys.executable, "-m", "netra_sim", command, "--users", "4", "--factory", "my_agents:Clocked", *more],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "taken from outside the simulation, which no seed repeats:\n" in done.stdout
    assert "my_agents.py:7 (Clocked.user_execution_scope) reads the real clock: time.time" in done.stdout


def test_a_factory_that_takes_nothing_from_outside_is_not_accused():
    assert explore(Scenario(users=3), seeds=1, jobs=1, factory_class=RacyFactory).escapes == ()

"""Exploration of a program of one's own: it finds ordering bugs, shrinks them to holds, and repeats them."""

import asyncio
import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import zoo

from netra_sim.exploration import Program, ProgramError, explore
from netra_sim.simulation import mark

ZOO = Path(zoo.__file__)


@pytest.mark.parametrize("name", zoo.BUGS)
def test_each_bug_of_the_zoo_is_found_and_needs_two_holds_at_most(name):
    bug = zoo.BUGS[name]
    failure = explore(bug, seeds=400, jobs=1).failure
    assert failure is not None
    assert failure.is_repeatable
    assert failure.holds is not None
    assert len(failure.holds) <= (2 if name == "two_reorderings" else 1)
    again = explore(bug, first_seed=failure.seed, seeds=1, order=failure.order, step_cost=failure.step_cost).failure
    assert again is not None
    assert (again.error, again.fingerprint) == (failure.error, failure.fingerprint)


@pytest.mark.parametrize("name", [*zoo.TWINS, "control"])
def test_the_right_twin_of_each_bug_is_never_accused(name):
    twin = zoo.CONTROL if name == "control" else zoo.TWINS[name]
    found = explore(twin, seeds=100, jobs=1)
    assert found.failure is None, str(found)
    assert found.coverage.bound == 0.03


def test_the_sentence_names_who_is_held_where_while_who_makes_how_many_steps():
    failure = explore(zoo.BUGS["check_then_act:12"], seeds=400, jobs=1).failure
    first, hold = failure.sentence.splitlines()
    assert first == "passes in asyncio's order; fails if"
    assert hold.startswith("  t=0.000  book('ann', 1) is held at zoo.py:")
    assert hold.endswith("(await ticks(1)) while book('bob', 12) makes 11 steps")
    assert "the seat was sold to" in failure.error
    assert "assert len(sold) == 1" in failure.traceback


def test_a_bug_in_asyncios_own_order_needs_no_hold():
    async def main():
        raise ValueError("at once")

    failure = explore(main, seeds=5).failure
    assert (failure.seed, failure.holds, failure.sentence) == (0, (), "fails without any change to the order of steps")


async def unawaited():
    async def fails():
        raise LookupError("nobody looks")

    unawaited.kept = asyncio.create_task(fails())
    await asyncio.sleep(1)


async def failing_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(1)


async def deadlock():
    await asyncio.Event().wait()


async def spins():
    while True:
        await asyncio.sleep(0)


async def never_ends():
    while True:
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("main", "kind", "error"),
    [
        (unawaited, "unhandled", "LookupError: nobody looks"),
        (failing_callback, "unhandled", "ZeroDivisionError"),
        (deadlock, "deadlock", "deadlock at 0.000000 s"),
        (spins, "spinning", "a task is spinning"),
        (never_ends, "time limit", "the virtual time limit of 86400 s"),
    ],
)
def test_a_run_fails_in_each_of_these_ways(main, kind, error):
    failure = explore(main, seeds=1, spin_limit=10_000).failure
    assert failure.kind == kind
    assert error in failure.error


async def crossed_locks():
    one, two = asyncio.Lock(), asyncio.Lock()

    async def take(first, second):
        async with first:
            await asyncio.sleep(1)
            async with second:
                pass

    await asyncio.gather(take(one, two), take(two, one))


def test_the_line_of_a_deadlock_says_who_waits_on_what_and_is_the_same_each_time():
    failure, again = (explore(crossed_locks, seeds=1).failure for _ in range(2))
    assert "\n" not in failure.error
    assert failure.error.startswith(
        "DeadlockError: deadlock at 1.000000 s of virtual time: 2 x take at test_programs.py:"
    )
    assert "(async with second:) waits on Lock; crossed_locks at test_programs.py:" in failure.error
    assert failure.error == again.error
    assert "0 holds, of " in str(failure)
    assert "; 1 run to shrink; seed 0" in str(failure)


async def awaited_error():
    async def fails():
        raise LookupError

    results = await asyncio.gather(asyncio.create_task(fails()), return_exceptions=True)
    assert isinstance(results[0], LookupError)


def test_an_error_that_somebody_looks_at_is_no_failure():
    assert explore(awaited_error, seeds=20).failure is None


def test_coverage_counts_the_orders_of_marked_operations_only():
    async def main():
        async def work(name):
            await zoo.ticks(5)
            mark("writes", name)

        await asyncio.gather(work("a"), work("b"), work("c"))

    coverage = explore(main, seeds=400, jobs=1).coverage
    assert (coverage.runs, coverage.orders) == (400, 6)
    assert 0 < coverage.last_new < 400


def test_the_seed_decides_what_random_gives_and_is_restored():
    seen = []

    async def main():
        seen.append(random.random())

    for state in (5, 6):
        random.seed(state)
        expected = random.random()
        random.seed(state)
        explore(main, first_seed=7, seeds=1, order="fifo")
        assert random.random() == expected
    assert seen[0] == seen[1]


def test_a_program_that_keeps_state_from_run_to_run_is_told_so():
    runs = []

    async def main():
        runs.append(1)
        assert len(runs) != 5

    failure = explore(main, seeds=20, jobs=1).failure
    assert not failure.is_repeatable
    assert "does not repeat" in failure.sentence


def test_the_finding_is_the_same_with_many_processes_and_after_the_first_second():
    alone, together = (explore(Program(f"{ZOO}:two_reorderings"), seeds=400, jobs=jobs).failure for jobs in (1, 2))
    assert alone == together


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_the_replay_line_repeats_the_failure_in_another_process(hash_seed):
    failure = explore(Program(f"{ZOO}:check_then_act"), seeds=400, jobs=1).failure
    command, *arguments = shlex.split(failure.replay)
    assert command == "netra-sim"
    done = subprocess.run(
        [sys.executable, "-m", "netra_sim", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert failure.sentence in done.stdout
    assert f"run {failure.fingerprint}" in done.stdout


@pytest.mark.parametrize("target", ["no_such.py:main", f"{ZOO}:nobody", f"{ZOO}:BUGS", f"{ZOO}:ticks"])
def test_what_is_no_program_is_refused(target):
    with pytest.raises(ProgramError):
        explore(Program(target))


def test_the_command_tells_a_pass_with_its_bound():
    done = subprocess.run(
        [sys.executable, "-m", "netra_sim", "explore", f"{ZOO}:spin_wait", "--seeds", "60"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no failure in 60 of 60 seeds\nfewer than 5.00% of seeds fail (95 % confidence); ")


@pytest.mark.parametrize("name", sorted({*zoo.BUGS} - {"two_reorderings", "near_tie"}))
def test_all_orders_with_two_delays_contain_each_bug_that_two_delays_can_show(name):
    assert explore(zoo.BUGS[name], delays=2).failure is not None
    assert explore(zoo.TWINS[name], delays=1).failure is None


def test_a_pass_of_all_orders_with_few_delays_names_its_bound_and_claims_no_more():
    whole = str(explore(zoo.BUGS["two_reorderings"], delays=1))
    assert "all 21 ways to delay tasks at most 1 times" in whole
    assert "says nothing of orders with more delays" in whole
    assert "not all, but 5 ways" in str(explore(zoo.BUGS["two_reorderings"], delays=1, seeds=5))

"""The strategies that order ready steps: each repeats, starves nobody, keeps callbacks in order, and has its holds."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.simulation.schedule import holds_text
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.virtual_time import new_virtual_loop, run_virtual

ORDERS = [
    "fifo", "random", "sticky:0", "sticky:0.75", "sticky:0.9", "priorities:", "priorities:2.1,3.2,2.4", "delays:",
    "delays:1.1,2.3,2.3", "slow:2:30", "holds:", "holds:1.2+4,3.1", "holds:2.1+3,2.2+9",
]  # fmt: skip


def run_logged(main, **options):
    log = ScheduleLog()
    result = run_virtual(main, log=log, **options)
    return result, log


async def busy():
    """Tasks that run on, wait for each other, sleep and schedule callbacks; the order in which they do so."""
    done, lock, queue = [], asyncio.Lock(), asyncio.Queue(1)

    async def work(name):
        for number in range(4):
            async with lock:
                await asyncio.sleep(0)
                done.append((name, number))
            await asyncio.sleep(0 if number % 2 else 0.01)
            asyncio.get_running_loop().call_soon(done.append, (name, "callback", number))
            await queue.put(number)
            await queue.get()

    async with asyncio.TaskGroup() as group:
        for name in range(4):
            group.create_task(work(name))
    return done


@given(st.sampled_from(ORDERS), st.integers(0, 1000), st.sampled_from([0.0, 1e-4, 0.004]))
@settings(max_examples=60)
def test_the_holds_of_a_log_repeat_any_order_exactly(order, seed, step_cost):
    done, log = run_logged(busy(), order=order, seed=seed, step_cost=step_cost)
    again, other = run_logged(busy(), order=holds_text(log.holds()), step_cost=step_cost)
    assert (again, other.fingerprint) == (done, log.fingerprint)


@given(st.sampled_from(ORDERS), st.integers(0, 1000))
@settings(max_examples=30)
def test_a_log_changes_nothing_and_an_order_repeats(order, seed):
    logged, _ = run_logged(busy(), order=order, seed=seed)
    assert run_virtual(busy(), order=order, seed=seed) == logged
    assert run_virtual(busy(), order=order, seed=seed) == logged


def test_the_log_of_asyncios_own_order_has_no_holds():
    _, log = run_logged(busy(), order="fifo")
    assert log.holds() == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("pollers", [1, 60])
def test_polling_with_sleep_0_starves_nobody(order, pollers):
    async def main():
        done = []

        async def work():
            for _ in range(10):
                await asyncio.sleep(0)
            done.append(True)

        async def poll():
            while not done:
                await asyncio.sleep(0)

        await asyncio.gather(*(poll() for _ in range(pollers)), work())

    run_virtual(main(), order=order, seed=3, spin_limit=50_000)


@pytest.mark.parametrize("order", ORDERS)
def test_plain_callbacks_keep_their_order(order):
    async def main():
        called = []
        future = asyncio.get_running_loop().create_future()
        for number in range(5):
            future.add_done_callback(lambda _, number=number: called.append(number))
        future.set_result(None)
        for number in range(5, 10):
            asyncio.get_running_loop().call_soon(called.append, number)
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))
        await asyncio.sleep(1)
        return called

    for seed in range(20):
        assert run_virtual(main(), order=order, seed=seed) == list(range(10))


def test_a_held_task_is_passed_over_for_so_many_steps():
    async def main():
        ran = []

        async def work(name):
            for _ in range(4):
                ran.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(work("a"), work("b"))
        return "".join(ran)

    assert run_virtual(main(), order="fifo") == "abababab"
    assert run_virtual(main(), order="holds:1.1+2") == "abbbabaa"
    assert run_virtual(main(), order="holds:1.1+3") == "abbbbaaa"
    assert run_virtual(main(), order="holds:1.0") == "bbbbaaaa"
    assert run_virtual(main(), order="delays:") == "aaaabbbb"
    assert run_virtual(main(), order="delays:1.2") == "aabbbbaa"
    assert run_virtual(main(), order="delays:1.2,2.1") == "aabaabbb"


@pytest.mark.parametrize("order", ["lifo", "sticky:1", "sticky:2", "holds:1", "delays:1.1+2", "slow:1", "", "fifo "])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match=r"the order is fifo, random, or .*, and not"):
        new_virtual_loop(order=order)

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
    "holds:1.1+30ms,2.2+1ms,2.3+2", "pauses:0.5:20", "pauses:1:3",
]  # fmt: skip


NO_ORDERS = [
    "lifo", "sticky:1", "sticky:2", "holds:1", "delays:1.1+2", "slow:1", "", "fifo ", "pauses:2:3", "pauses:0.5",
    "pauses:0.5:0", "holds:1.2+ms", "holds:1.2ms", "holds:-1.2+3ms", "pauses:1:99999999", "holds:1.2+99999999ms",
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


async def visits(*names):
    """Tasks that each wait twice, one second apart from the next task; which task goes on, and when."""
    loop, seen = asyncio.get_running_loop(), []

    async def visit(name, starts):
        await asyncio.sleep(starts)
        seen.append((name, round(loop.time(), 6)))
        await asyncio.sleep(0)
        seen.append((name, round(loop.time(), 6)))

    await asyncio.gather(*(visit(name, starts) for starts, name in enumerate(names, 1)))
    return seen


def test_a_task_that_pauses_is_held_while_virtual_time_goes_on():
    assert run_virtual(visits("a", "b"), order="fifo") == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]
    assert run_virtual(visits("a", "b"), order="holds:1.2") == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]
    assert run_virtual(visits("a", "b"), order="holds:1.2+1500ms") == [("a", 1), ("b", 2), ("b", 2), ("a", 2.5)]


async def late_at_two_places():
    """The milliseconds by which eight tasks are late at each of two places that they pass ten times."""
    loop, late = asyncio.get_running_loop(), {"here": [], "there": []}
    await asyncio.sleep(1)

    async def work():
        for _ in range(10):
            before = loop.time()
            await asyncio.sleep(0)
            between = loop.time()
            await asyncio.sleep(0)
            late["here"].append(round((between - before) * 1000))
            late["there"].append(round((loop.time() - between) * 1000))
        return round(loop.time() - 1, 6)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(8)]
    return [task.result() for task in tasks], late


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_tasks_pause_a_few_times_and_never_for_longer_than_the_order_says(seed):
    ends, late = run_virtual(late_at_two_places(), order="pauses:1:40", seed=seed)
    assert 0 < max(ends) <= 0.4
    assert 8 <= sum(map(bool, late["here"] + late["there"])) <= 60
    assert {*late["here"], *late["there"]} <= {*range(41)}


def test_a_task_pauses_in_an_asynchronous_generator_that_a_library_reads():
    library = {"__name__": "starlette.responses"}
    exec("async def stream(body):\n    async for part in body:\n        pass", library)
    late = []

    async def answer():
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(0)
        late.append(loop.time() > before)
        yield b""

    async def main():
        await asyncio.sleep(1)
        await asyncio.gather(*(library["stream"](answer()) for _ in range(20)))

    run_virtual(main(), order="pauses:1:40", seed=1)
    assert any(late)


def test_no_task_pauses_while_servers_start_or_once_pauses_are_ended():
    async def main():
        loop, went_on = asyncio.get_running_loop(), []

        async def work(starts):
            await asyncio.sleep(starts)
            went_on.append(round(loop.time() - starts, 6))

        early = [asyncio.create_task(work(0.4)) for _ in range(20)]
        paused = [asyncio.create_task(work(1)) for _ in range(20)]
        late = [asyncio.create_task(work(1.002)) for _ in range(20)]
        await asyncio.wait(early)
        assert {*went_on} == {0}
        loop.call_at(1.0015, loop.end_pauses)
        await asyncio.wait(paused + late)
        return {*went_on}

    assert run_virtual(main(), order="pauses:1:200", seed=3) == {0, 0.001, 0.0015}


def test_the_seed_decides_which_awaits_are_slow_and_they_are_so_for_all_tasks():
    slow = set()
    for seed in range(40):
        _, late = run_virtual(late_at_two_places(), order="pauses:0.5:40", seed=seed)
        slow.add(tuple(name for name, times in late.items() if any(times)))
        assert all(sum(map(bool, times)) >= 8 for times in late.values() if any(times))
    assert slow == {(), ("here",), ("there",), ("here", "there")}


@pytest.mark.parametrize("order", NO_ORDERS)
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match=r"the order is fifo, random, or .*, and not"):
        new_virtual_loop(order=order)

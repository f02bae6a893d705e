"""The virtual-time loop: asyncio semantics without waiting, a seeded order, and deadlock reports."""

import asyncio
import contextlib
import contextvars
import gc
import importlib.util
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.simulation import DeadlockError, VirtualTimeLimitError, VirtualTimeLoop, run_virtual

HERE = Path(__file__).parent


def order_of(seed, order="random"):
    async def main():
        finished = []

        async def worker(name):
            for _ in range(3):
                await asyncio.sleep(1)
            finished.append(name)

        async with asyncio.TaskGroup() as group:
            for name in range(8):
                group.create_task(worker(name))
        return finished

    return run_virtual(main(), seed=seed, order=order)


def test_time_jumps_to_the_next_timer():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(86_400)
        return loop.time()

    assert run_virtual(main()) == 86_400.0


def test_fifo_order_equals_asyncio_and_each_seed_gives_one_random_order():
    assert order_of(1, "fifo") == list(range(8))
    orders = {seed: order_of(seed) for seed in range(10)}
    assert len({tuple(order) for order in orders.values()}) > 5
    assert all(order_of(seed) == order for seed, order in orders.items())


def trace_of(loop):
    """The order in which a loop runs callbacks, a call as from a thread, timers and tasks, with two stops."""
    called = []

    async def task(name):
        called.append(name)
        await asyncio.sleep(0)
        called.append(name + " again")

    def first():
        called.append("first")
        loop.call_soon(called.append, "after the stop")
        loop.stop()
        loop.call_soon_threadsafe(called.append, "after the stop, as from a thread")
        loop.call_soon(called.append, "last", context=contextvars.copy_context())

    tasks = [loop.create_task(task("a"))]
    loop.call_soon(first)
    tasks.append(loop.create_task(task("b")))
    loop.call_later(0.01, called.append, "later")
    loop.run_forever()
    called.append("stopped")
    loop.run_until_complete(asyncio.wait(tasks))
    loop.call_soon(called.append, "stopped before it began")
    loop.stop()
    loop.run_forever()
    loop.run_until_complete(asyncio.sleep(0.02))
    loop.close()
    return called


def test_stopping_and_resuming_keeps_the_order_of_stock_asyncio():
    stock = trace_of(asyncio.SelectorEventLoop())
    assert trace_of(VirtualTimeLoop()) == stock
    assert stock.index("stopped") < stock.index("after the stop")


async def gives_up_a_sleep():
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(1e6), 0.001)


async def gives_up_a_timer():
    asyncio.get_running_loop().call_at(1e6, print, "never").cancel()


@pytest.mark.parametrize("give_up", [gives_up_a_sleep, gives_up_a_timer])
@pytest.mark.parametrize("order", ["fifo", "random"])
def test_cancelled_timers_are_freed_before_they_are_due(give_up, order):
    def alive():
        # Not isinstance: it asks a dead weak proxy for its class, which raises.
        return sum(issubclass(type(one), asyncio.TimerHandle | asyncio.Future) for one in gc.get_objects())

    async def main():
        before = alive()  # what other tests have left
        for _ in range(10_000):
            await give_up()
        return alive() - before

    assert run_virtual(main(), order=order) < 5_000


def test_callbacks_keep_their_order_whatever_the_seed():
    async def main():
        loop, called = asyncio.get_running_loop(), []
        for number in range(20):
            loop.call_soon(called.append, number)
        for number in range(20, 40):
            loop.call_later(1, called.append, number)
        await asyncio.sleep(2)
        return called

    for seed in range(5):
        assert run_virtual(main(), seed=seed, order="random") == list(range(40))


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30), st.integers(0, 2**32))
def test_timers_fire_in_order_and_not_when_cancelled(timers, seed):
    async def main():
        loop, fired = asyncio.get_running_loop(), []
        handles = [loop.call_at(when, lambda when=when: fired.append((when, loop.time()))) for when, _ in timers]
        for handle, (_, is_cancelled) in zip(handles, timers, strict=True):
            if is_cancelled:
                handle.cancel()
        await asyncio.sleep(101)
        return fired

    fired = run_virtual(main(), seed=seed, order="random")
    assert [when for when, _ in fired] == sorted(when for when, is_cancelled in timers if not is_cancelled)
    assert all(when <= now for when, now in fired)


def test_a_deadlock_raises_at_once_and_reports_who_waits_on_what_and_where():
    async def waits_for_ever(lock):
        async with lock:
            await asyncio.Event().wait()

    async def waits_for_the_lock(lock):
        async with lock:
            pass

    async def main():
        lock = asyncio.Lock()
        first = asyncio.create_task(waits_for_ever(lock), name="holder")
        await asyncio.sleep(1)
        await asyncio.gather(first, asyncio.create_task(waits_for_the_lock(lock), name="waiter"))

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main())
    for part in ("holder", "waiter", "waits_for_ever", "waits_for_the_lock", "test_loop.py"):
        assert part in caught.value.report


def test_a_spinning_task_raises(monkeypatch):
    monkeypatch.setattr("netra_sim.simulation.loop.SPIN_LIMIT", 10_000)

    async def spins():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(VirtualTimeLimitError, match="spinning"):
        run_virtual(spins())


def test_the_time_limit_ends_a_simulation_with_a_report():
    async def ticks():
        while True:
            await asyncio.sleep(10)

    with pytest.raises(VirtualTimeLimitError, match="limit of 100 s") as caught:
        run_virtual(ticks(), time_limit=100)
    assert "ticks" in caught.value.report


def test_a_blocked_loop_delays_all_timers():
    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, loop.spend, 5.0)
        await asyncio.sleep(1.5)
        return loop.time()

    assert run_virtual(main()) == 6.0


def test_every_step_takes_the_step_cost():
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), step_cost=0.01) == pytest.approx(1.0, rel=0.05)


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=20))
def test_a_coarse_clock_ticks_in_whole_ticks_and_never_backwards(delays):
    async def main():
        loop, times = asyncio.get_running_loop(), []
        for delay in delays:
            await asyncio.sleep(delay)
            times.append(loop.time())
        return times

    times = run_virtual(main(), tick=1 / 64)
    assert times == sorted(times)
    assert all((time * 64).is_integer() for time in times)


async def test_context_variables_belong_to_their_task():
    variable = contextvars.ContextVar("variable", default=0)

    async def sets(value):
        variable.set(value)
        await asyncio.sleep(1)
        return variable.get()

    assert await asyncio.gather(*(sets(value) for value in range(5))) == list(range(5))
    assert variable.get() == 0


async def test_to_thread_runs_on_the_loop():
    assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)


async def test_a_given_executor_is_used_and_awaited():
    with ThreadPoolExecutor(1) as pool:
        ident = await asyncio.get_running_loop().run_in_executor(pool, threading.get_ident)
    assert ident != threading.get_ident()


async def test_async_generators_are_closed_with_the_loop():
    closed = []

    async def counts():
        try:
            yield 1
        finally:
            closed.append(True)

    async for _ in counts():
        break
    await asyncio.sleep(1)
    assert closed == [True]


async def test_sockets_are_not_implemented():
    loop = asyncio.get_running_loop()
    with pytest.raises(NotImplementedError):
        await loop.create_connection(asyncio.Protocol, "127.0.0.1", 9)
    with pytest.raises(NotImplementedError):
        loop.add_reader(0, print)


def test_time_cannot_be_spent_backwards():
    loop = VirtualTimeLoop()
    with pytest.raises(ValueError, match="backwards"):
        loop.spend(-1)
    loop.close()


@pytest.mark.skipif(importlib.util.find_spec("test.test_asyncio") is None, reason="this interpreter ships no tests")
def test_cpythons_own_asyncio_tests_pass_on_this_loop():
    done = subprocess.run(
        [sys.executable, str(HERE / "cpython_asyncio.py")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcome = json.loads(done.stdout)
    failures = {name: why for module in outcome.values() for name, why in module["failures"].items()}
    assert failures == {}
    assert all(module["loops"] > 20 for module in outcome.values())  # the tests really used our loop

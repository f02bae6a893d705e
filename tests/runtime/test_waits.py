"""`wait_for`, `gather` and `sleep`: incidents W3 to W5, on an exact clock and on the coarse clock of Windows."""

import asyncio
from decimal import Decimal

import pytest

from netra_sim.runtime import (
    WindowsSafeTimeoutContext,
    windows_asyncio_safe,
    windows_safe_gather,
    windows_safe_progressive_delay,
    windows_safe_sleep,
    windows_safe_wait_for,
)
from netra_sim.simulation import run_virtual

TICK = 1 / 64
"""Seconds between two ticks of the Windows clock, up to Python 3.12."""


def now():
    return asyncio.get_running_loop().time()


async def answer(value="answer", after=0.0):
    await asyncio.sleep(after)
    return value


async def fail(error, after=0.0):
    await asyncio.sleep(after)
    raise error


class Awaitable:
    """An awaitable that is not a coroutine, a Future or a Task."""

    def __await__(self):
        return answer(after=1).__await__()


async def test_three_waiters_and_their_setter_gathered_all_end():  # W3
    @windows_asyncio_safe
    async def meet():
        event = asyncio.Event()
        return await asyncio.gather(event.wait(), event.wait(), event.wait(), asyncio.sleep(1, event.set()))

    assert await meet() == [True, True, True, None]


@pytest.mark.parametrize("parties", [4, 10])
async def test_the_parties_of_a_barrier_all_pass_it(parties):  # W3
    barrier = asyncio.Barrier(parties)

    @windows_asyncio_safe
    async def meet():
        return await asyncio.gather(*(barrier.wait() for _ in range(parties)))

    assert sorted(await meet()) == list(range(parties))


async def test_thirty_gathered_sleeps_take_as_long_as_one():  # W3
    assert await windows_safe_gather(*(windows_safe_sleep(0.01, number) for number in range(30))) == list(range(30))
    assert now() == 0.01


async def test_cancelling_the_future_of_gather_cancels_all_awaitables():  # W3
    tasks = [asyncio.create_task(answer(after=10)) for _ in range(5)]
    everything = windows_safe_gather(*tasks)
    await asyncio.sleep(1)
    assert everything.cancel()
    with pytest.raises(asyncio.CancelledError):
        await everything
    assert all(task.cancelled() for task in tasks)
    assert now() == 1


async def test_gather_gives_the_first_error_at_once_or_every_error_in_its_place():  # W3
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        await windows_safe_gather(answer(after=5), fail(error, after=1))
    assert now() == 1
    assert await windows_safe_gather(answer(after=5), fail(error), return_exceptions=True) == ["answer", error]
    assert await windows_safe_gather() == []


async def test_waiting_for_a_finished_awaitable_takes_no_time():  # W4
    done = asyncio.create_task(answer())
    await done
    for timeout in (None, 30.0, 0.0, -1.0):
        assert await windows_safe_wait_for(done, timeout) == "answer"
        assert now() == 0
    assert await windows_safe_wait_for(answer(), 30.0) == "answer"
    assert now() == 0


async def test_a_waiter_wakes_at_the_very_moment_that_its_awaitable_ends():  # W4
    assert await windows_safe_wait_for(answer(after=0.123), 30.0) == "answer"
    assert now() == 0.123


async def test_idle_waiters_do_nothing_while_they_wait():  # W4
    loop = asyncio.get_running_loop()

    async def idle():
        with pytest.raises(TimeoutError):
            await windows_safe_wait_for(asyncio.Event().wait(), 30.0)

    await asyncio.gather(*(idle() for _ in range(1000)))
    assert now() == 30
    assert loop.steps < 10 * 1000


@pytest.mark.parametrize("timeout", [None, 30.0])
async def test_cancelling_a_wait_cancels_what_it_waits_for(timeout):  # W5
    cleaned_up = []

    async def inner():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(2)
            cleaned_up.append(now())

    task = asyncio.create_task(inner())
    wait = asyncio.create_task(windows_safe_wait_for(task, timeout))
    await asyncio.sleep(1)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert task.cancelled()
    assert cleaned_up == [3]


async def test_a_cancellation_that_comes_with_the_result_is_not_swallowed():  # W5, gh-86296
    future = asyncio.get_running_loop().create_future()
    wait = asyncio.create_task(windows_safe_wait_for(future, 30.0))
    await asyncio.sleep(1)
    future.set_result("answer")
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait


@pytest.mark.parametrize("timeout", [None, 30.0])
async def test_coroutines_futures_tasks_and_other_awaitables_can_be_waited_for(timeout):  # W5
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(1, future.set_result, "answer")
    for awaitable in (answer(after=1), future, asyncio.create_task(answer(after=1)), Awaitable()):
        assert await windows_safe_wait_for(awaitable, timeout) == "answer"


async def test_no_timeout_waits_for_a_year():  # W5
    year = 365 * 86_400.0
    assert await windows_safe_wait_for(answer(after=year), None) == "answer"
    assert now() == year


@pytest.mark.parametrize("timeout", [0, -1, 2])
async def test_a_late_awaitable_is_cancelled_and_its_end_awaited(timeout):  # W5
    async def obstinate():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)

    task = asyncio.create_task(obstinate())
    await asyncio.sleep(1)
    with pytest.raises(TimeoutError):
        await windows_safe_wait_for(task, timeout)
    assert task.cancelled()
    assert now() == 1 + max(timeout, 0) + 3


@pytest.mark.parametrize("default", [None, False, "later", TimeoutError, ()])
@pytest.mark.parametrize("timeout", [0, 2])
async def test_the_default_is_returned_at_the_deadline_whatever_it_is(default, timeout):  # W5
    future = asyncio.get_running_loop().create_future()
    assert await windows_safe_wait_for(future, timeout, default=default) is default
    assert future.cancelled()
    assert await windows_safe_wait_for(answer(after=1), 2, default=default) == "answer"


@pytest.mark.parametrize("error", [ValueError("broken"), TimeoutError("its own"), KeyError("key")])
@pytest.mark.parametrize("options", [{}, {"default": None}])
async def test_an_error_of_the_awaitable_passes_through_unchanged(error, options):  # W5
    for timeout in (None, 30.0):
        with pytest.raises(type(error)) as raised:
            await windows_safe_wait_for(fail(error, after=1), timeout, **options)
        assert raised.value is error
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    with pytest.raises(type(error)) as raised:
        await windows_safe_wait_for(failed, 0, **options)
    assert raised.value is error


async def test_a_timeout_that_is_nan_is_refused():
    done = asyncio.get_running_loop().create_future()
    done.set_result("answer")
    nan = float("nan")
    for timeout in (nan, Decimal("nan")):
        with pytest.raises(ValueError, match="NaN"):
            await windows_safe_wait_for(done, timeout)
        with pytest.raises(ValueError, match="NaN"):
            await windows_safe_sleep(timeout)
        with pytest.raises(ValueError, match="NaN"):
            WindowsSafeTimeoutContext(timeout)
    for wrong in ({"attempt": nan}, {"attempt": 0, "base": nan}, {"attempt": 0, "cap": nan}):
        with pytest.raises(ValueError, match="NaN"):
            await windows_safe_progressive_delay(**wrong)


async def test_a_sleep_returns_its_result_and_one_of_zero_seconds_gives_others_a_turn():
    assert await windows_safe_sleep(1, "result") == "result"
    turns = []
    other = asyncio.create_task(answer(turns.append("other")))
    for delay in (0, -1):
        await windows_safe_sleep(delay)
        turns.append("self")
    await other
    assert turns[0] == "other"
    assert now() == 1


@pytest.mark.parametrize("phase", [0.001, 0.008, 0.015])
@pytest.mark.parametrize("delay", [0.005, 0.02, 0.1])
def test_on_a_busy_loop_with_a_coarse_clock_a_stock_sleep_ends_too_early_and_a_safe_one_does_not(phase, delay):
    async def timed(sleep):
        loop = asyncio.get_running_loop()

        async def neighbour():
            while True:
                await asyncio.sleep(0)

        busy = asyncio.create_task(neighbour())
        loop.spend(phase)
        begin = loop.exact_time()
        await sleep(delay)
        busy.cancel()
        return loop.exact_time() - begin

    assert run_virtual(timed(asyncio.sleep), tick=TICK) < delay
    assert delay <= run_virtual(timed(windows_safe_sleep), tick=TICK) <= delay + TICK

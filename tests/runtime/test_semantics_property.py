"""The safe functions behave as those of current CPython, for any awaitables and any cancellations at any time."""

import asyncio
import contextlib
import functools
import sys
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.runtime import (
    WindowsSafeTimeoutContext,
    windows_asyncio_safe,
    windows_safe_gather,
    windows_safe_sleep,
    windows_safe_wait_for,
)
from netra_sim.simulation import run_virtual

TICK = 1 / 64
FAR = 100
EXAMPLES = settings(max_examples=300)
MOMENTS = st.integers(0, 6).map(lambda number: number / 2)


@dataclass(frozen=True)
class Work:
    """Describes an awaitable: how long it takes, how it ends, and how it handles a cancellation."""

    form: str
    delay: float
    end: object
    on_cancel: str
    clean_up: float


@dataclass(frozen=True)
class Wait:
    """Describes a wait for work that began earlier, and the times at which it is cancelled."""

    work: Work
    head_start: float
    timeout: float | None
    cancelled_at: tuple[float, ...]


ENDS = st.sampled_from(
    ["answer", None, ValueError("broken"), TimeoutError("its own"), asyncio.CancelledError("its own")]
)
WORKS = st.builds(
    Work,
    form=st.sampled_from(["coroutine", "task", "future", "awaitable"]),
    delay=MOMENTS,
    end=ENDS,
    on_cancel=st.sampled_from(["obey", "answer", "fail"]),
    clean_up=MOMENTS,
)
CANCELLATIONS = st.lists(MOMENTS, max_size=2).map(tuple)
WAITS = st.builds(
    Wait,
    work=WORKS,
    head_start=MOMENTS,
    timeout=st.one_of(st.none(), st.just(-1.0), MOMENTS),
    cancelled_at=CANCELLATIONS,
)


class Awaitable:
    def __init__(self, work, log):
        self.work = work
        self.log = log

    def __await__(self):
        return perform(self.work, self.log).__await__()


def now():
    return asyncio.get_running_loop().time()


async def perform(work, log):
    log.append(("begun", now()))
    try:
        await asyncio.sleep(work.delay)
    except asyncio.CancelledError:
        log.append(("cancelled", now()))
        await asyncio.sleep(work.clean_up)
        log.append(("cleaned up", now()))
        if work.on_cancel == "obey":
            raise
        if work.on_cancel == "fail":
            raise KeyError("clean-up failed") from None
        return "answer in spite of it"
    log.append(("ended", now()))
    if isinstance(work.end, BaseException):
        raise work.end
    return work.end


def settle(future, end):
    if future.done():
        return
    if isinstance(end, asyncio.CancelledError):
        future.cancel()
    elif isinstance(end, Exception):
        future.set_exception(end)
    else:
        future.set_result(end)


def begin(work, log):
    """The awaitable."""
    loop = asyncio.get_running_loop()
    if work.form == "future":
        future = loop.create_future()
        loop.call_later(work.delay, settle, future, work.end)
        return future
    if work.form == "awaitable":
        return Awaitable(work, log)
    coroutine = perform(work, log)
    return asyncio.create_task(coroutine) if work.form == "task" else coroutine


def outcome(future):
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return ("result", future.result()) if error is None else (type(error), error.args)


async def observed(waiting, futures, cancelled_at):
    """How and when a wait ends, how its work ends, and whether it leaves a task behind."""
    waiter = asyncio.create_task(waiting)
    ended_at = []
    waiter.add_done_callback(lambda _: ended_at.append(now()))
    for moment in cancelled_at:
        asyncio.get_running_loop().call_later(moment, waiter.cancel)
    await asyncio.wait([waiter])
    at_its_end = [outcome(future) for future in futures]
    await asyncio.sleep(FAR)
    return outcome(waiter), ended_at, at_its_end, [outcome(future) for future in futures], len(asyncio.all_tasks())


async def observe_wait(wait_for, wait):
    log = []
    awaitable = begin(wait.work, log)
    await asyncio.sleep(wait.head_start)
    futures = [awaitable] if asyncio.isfuture(awaitable) else []
    return await observed(wait_for(awaitable, wait.timeout), futures, wait.cancelled_at), log


async def observe_gather(gather, works, return_exceptions, cancelled_at):
    log = []
    awaitables = [begin(work, log) for work in works]

    async def waiting():
        return await gather(*awaitables, return_exceptions=return_exceptions)

    futures = [awaitable for awaitable in awaitables if asyncio.isfuture(awaitable)]
    return await observed(waiting(), futures, cancelled_at), log


async def wait_for_of_python_3_12(awaitable, timeout):
    """`asyncio.wait_for` of CPython 3.12, because that of 3.11 swallows a cancellation with the result (gh-86296)."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(awaitable)
        if not future.done():
            ended = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda _: ended.done() or ended.set_result(None))
            future.cancel()
            await ended
            if future.cancelled():
                raise TimeoutError
        return future.result()
    async with asyncio.timeout(timeout):
        return await awaitable


stock_wait_for = asyncio.wait_for if sys.version_info >= (3, 12) else wait_for_of_python_3_12


@windows_asyncio_safe
async def decorated_wait_for(awaitable, timeout):
    return await asyncio.wait_for(awaitable, timeout)


@windows_asyncio_safe
async def decorated_gather(*awaitables, return_exceptions):
    return await asyncio.gather(*awaitables, return_exceptions=return_exceptions)


@EXAMPLES
@given(wait=WAITS)
def test_wait_for_ends_as_stock_wait_for_does_and_at_the_same_time(wait):
    stock = run_virtual(observe_wait(stock_wait_for, wait))
    assert run_virtual(observe_wait(windows_safe_wait_for, wait)) == stock
    assert run_virtual(observe_wait(decorated_wait_for, wait)) == stock


@EXAMPLES
@given(wait=WAITS, default=st.sampled_from([None, "default"]))
def test_a_default_is_returned_where_stock_wait_for_raises_its_timeout_and_nowhere_else(wait, default):
    (ended, *rest), log = run_virtual(observe_wait(stock_wait_for, wait))
    if ended == (TimeoutError, ()):
        ended = ("result", default)
    with_default = functools.partial(windows_safe_wait_for, default=default)
    assert run_virtual(observe_wait(with_default, wait)) == ((ended, *rest), log)


@EXAMPLES
@given(works=st.lists(WORKS, max_size=5), return_exceptions=st.booleans(), cancelled_at=CANCELLATIONS)
def test_gather_ends_as_stock_gather_does_and_at_the_same_time(works, return_exceptions, cancelled_at):
    stock, safe, decorated = (
        run_virtual(observe_gather(gather, works, return_exceptions, cancelled_at))
        for gather in (asyncio.gather, windows_safe_gather, decorated_gather)
    )
    assert without_identities(safe) == without_identities(stock)
    assert without_identities(decorated) == without_identities(stock)


def without_identities(observation):
    """Each run makes new errors in a list of results, so this compares them by their texts."""
    return repr(observation)


@EXAMPLES
@given(delays=st.lists(st.floats(-1, 5), min_size=1, max_size=5))
def test_sleep_ends_as_stock_sleep_does_and_at_the_same_time(delays):
    async def observe_sleeps(sleep):
        ends = []
        for number, delay in enumerate(delays):
            ends.append((await sleep(delay, number), now()))
        return ends

    assert run_virtual(observe_sleeps(windows_safe_sleep)) == run_virtual(observe_sleeps(asyncio.sleep))


@settings(max_examples=60)
@given(
    phase=st.floats(0, 0.02),
    delay=st.floats(0.001, 0.1),
    pause=st.sampled_from([0.0, 0.001, None]),
)
def test_on_a_coarse_clock_nothing_is_early_or_a_tick_late_however_busy_the_loop_is(phase, delay, pause):
    async def observe_lengths():
        loop = asyncio.get_running_loop()
        lengths = []

        async def neighbour():
            while pause is not None:
                await asyncio.sleep(pause)

        async def enforced():
            async with WindowsSafeTimeoutContext(delay, enforce=True):
                await asyncio.Event().wait()

        async def told():
            async with WindowsSafeTimeoutContext(delay) as context:
                while not context.check_timeout():
                    await asyncio.sleep(0.0005)

        neighbours = asyncio.create_task(neighbour())
        for wait in (
            lambda: windows_safe_sleep(delay),
            lambda: windows_safe_wait_for(asyncio.Event().wait(), delay, default=None),
            enforced,
            told,
        ):
            loop.spend(phase)
            begin = loop.exact_time()
            with contextlib.suppress(TimeoutError):
                await wait()
            lengths.append(loop.exact_time() - begin)
        neighbours.cancel()
        return lengths

    for length in run_virtual(observe_lengths(), tick=TICK):
        assert delay <= length <= delay + TICK

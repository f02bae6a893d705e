"""`asyncio.sleep`, `wait_for` and `gather` with the semantics of current CPython on every version and platform.

They wake when what they wait for is done: nothing polls, nothing is cut into chunks, nothing is patched.
"""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

from netra_sim.runtime.alarms import exact_clock, timeout_at
from netra_sim.runtime.timeouts import refuse_nan

T = TypeVar("T")
D = TypeVar("D")


class _Raise:
    """The default of `windows_safe_wait_for`'s ``default``: any value that a caller can think of is a value."""

    __slots__ = ()


_RAISE = _Raise()


@overload
async def windows_safe_sleep(delay: float) -> None: ...
@overload
async def windows_safe_sleep(delay: float, result: T) -> T: ...
async def windows_safe_sleep(delay: float, result: Any = None) -> Any:
    """Sleep for ``delay`` seconds, never less, and return ``result``.

    A delay of zero or less gives other tasks one turn, as `asyncio.sleep` does. Seconds are those of the loop's clock, or,
    where that moves in steps of a millisecond or more, of `time.perf_counter`.

    Raises:
        ValueError: ``delay`` is NaN.
    """
    refuse_nan("delay", delay)
    if delay <= 0:
        return await asyncio.sleep(0, result)
    clock = exact_clock(asyncio.get_running_loop())
    ends, left = clock() + delay, delay
    while left > 0:
        await asyncio.sleep(left)
        left = ends - clock()
    return result


@overload
async def windows_safe_wait_for(awaitable: Awaitable[T], timeout: float | None) -> T: ...
@overload
async def windows_safe_wait_for(awaitable: Awaitable[T], timeout: float | None, *, default: D) -> T | D: ...
async def windows_safe_wait_for(awaitable: Awaitable[Any], timeout: float | None, *, default: Any = _RAISE) -> Any:
    """Await with a time limit.

    The semantics are those of `asyncio.wait_for` since Python 3.12, on `asyncio.timeout`: what is awaited is cancelled at
    the deadline and its end awaited; a cancellation of the caller is passed on and never swallowed, not even one that
    comes with the result (gh-86296, which Python 3.11's own does swallow).

    Args:
        awaitable: a coroutine, a Future, a Task or any other awaitable.
        timeout: seconds, as of `windows_safe_sleep`; None waits for ever; zero or less takes only what is done already.
        default: returned at the deadline instead of raising; any value, None included.

    Raises:
        TimeoutError: the deadline came first and there is no ``default``.
        ValueError: ``timeout`` is NaN.
    """
    refuse_nan("timeout", timeout)
    if timeout is None:
        return await awaitable
    if timeout <= 0:
        return await _only_if_done(awaitable, default)
    loop = asyncio.get_running_loop()
    deadline = timeout_at(loop, exact_clock(loop)() + timeout)
    try:
        async with deadline:
            return await awaitable
    except TimeoutError:
        # A TimeoutError of the awaitable's own is its answer, not ours.
        if default is _RAISE or not deadline.expired():
            raise
        return default


async def _only_if_done(awaitable: Awaitable[Any], default: Any) -> Any:
    future = asyncio.ensure_future(awaitable)
    if future.done():
        return future.result()
    future.cancel()
    # Not `await future`: a cancellation of this task must be told from the future's own.
    await asyncio.wait([future])
    if not future.cancelled():
        return future.result()
    if default is _RAISE:
        raise TimeoutError
    return default


def windows_safe_gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> "asyncio.Future[list[Any]]":
    """Run all awaitables at once; returns a future of their results, in the order of the arguments.

    It is `asyncio.gather`: awaitables that wait for each other make progress, and cancelling the future cancels them all.
    """
    return asyncio.gather(*awaitables, return_exceptions=return_exceptions)


async def windows_safe_progressive_delay(
    attempt: int, *, base: float = 0.1, cap: float = 2.0, rng: random.Random | None = None
) -> float:
    """Pause before a retry: ``base * 2 ** attempt`` seconds, at most ``cap``.

    Args:
        attempt: 0 for the pause after the first failure.
        base: seconds after the first failure.
        cap: the longest pause in seconds.
        rng: if given, a pause drawn evenly from zero to that length ("full jitter"), so that many clients that failed
            together do not retry together.

    Returns:
        The pause that was made, in seconds.

    Raises:
        ValueError: an argument is negative or NaN.
    """
    if not (attempt >= 0 and base >= 0 and cap >= 0):
        raise ValueError(f"attempt, base and cap must not be negative or NaN; they are {attempt}, {base:g} and {cap:g}")
    # 2 ** 64 exceeds every cap; a larger exponent would only overflow.
    delay = min(cap, base * 2.0 ** min(attempt, 64))
    if rng is not None:
        delay *= rng.random()
    await windows_safe_sleep(delay)
    return delay

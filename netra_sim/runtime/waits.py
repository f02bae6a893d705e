"""`asyncio.sleep`, `wait_for` and `gather` with the semantics of current CPython, on every version and platform.

They wake when the awaited object is done. They do not poll, do not split waits into chunks, and do not patch asyncio.
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
    """The type of the sentinel that means "no default", since any other object is a valid ``default``."""

    __slots__ = ()


_RAISE = _Raise()


@overload
async def windows_safe_sleep(delay: float) -> None: ...
@overload
async def windows_safe_sleep(delay: float, result: T) -> T: ...
async def windows_safe_sleep(delay: float, result: Any = None) -> Any:
    """Sleep for ``delay`` seconds, never less, and return ``result``.

    A delay of zero or less gives other tasks one turn, as `asyncio.sleep` does. The seconds are those of the loop's
    `exact_clock`: the loop's own clock, or `time.perf_counter` if that moves in steps of a millisecond or more.

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

    The semantics are those of `asyncio.wait_for` from Python 3.12 on. At the deadline it cancels the awaitable and waits for
    its end. It passes a cancellation of the caller on and never swallows it, not even one that comes together with the
    result (`asyncio.wait_for` of Python 3.11 does, gh-86296).

    Args:
        awaitable: a coroutine, a Future, a Task or any other awaitable.
        timeout: seconds, as in `windows_safe_sleep`. None waits for ever. Zero or less gives the result only if it is ready.
        default: returned at the deadline instead of raising; may be any value, also None.

    Raises:
        TimeoutError: the deadline came first, and there is no ``default``.
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
        # A TimeoutError that the awaitable raised is its result, not our deadline.
        if default is _RAISE or not deadline.expired():
            raise
        return default


async def _only_if_done(awaitable: Awaitable[Any], default: Any) -> Any:
    future = asyncio.ensure_future(awaitable)
    if future.done():
        return future.result()
    future.cancel()
    # Not `await future`: that would not tell a cancellation of this task from that of the future.
    await asyncio.wait([future])
    if not future.cancelled():
        return future.result()
    if default is _RAISE:
        raise TimeoutError
    return default


def windows_safe_gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> "asyncio.Future[list[Any]]":
    """Run all awaitables at once, and return a future of their results in the order of the arguments.

    This is `asyncio.gather`: awaitables that wait for each other make progress, and cancelling the future cancels them all.
    """
    return asyncio.gather(*awaitables, return_exceptions=return_exceptions)


async def windows_safe_progressive_delay(
    attempt: int, *, base: float = 0.1, cap: float = 2.0, rng: random.Random | None = None
) -> float:
    """Pause before a retry: ``base * 2 ** attempt`` seconds, at most ``cap``.

    Args:
        attempt: the number of failures before this one; 0 for the pause after the first failure.
        base: the pause after the first failure, in seconds.
        cap: the longest pause, in seconds.
        rng: if given, draws the pause evenly between zero and that length ("full jitter"), so that clients that failed
            together do not retry together.

    Returns:
        The length of the pause, in seconds.

    Raises:
        ValueError: an argument is negative or NaN.
    """
    if not (attempt >= 0 and base >= 0 and cap >= 0):
        raise ValueError(f"attempt, base and cap must not be negative or NaN; they are {attempt}, {base:g} and {cap:g}")
    # A larger exponent could overflow; 2 ** 64 exceeds every cap.
    delay = min(cap, base * 2.0 ** min(attempt, 64))
    if rng is not None:
        delay *= rng.random()
    await windows_safe_sleep(delay)
    return delay

"""An exact clock for loops with a coarse clock, and timers that are never early by it.

On Windows up to Python 3.12, `time.monotonic` and so ``loop.time()`` move in steps of 1/64 s (gh-88494). A deadline computed
from it is up to one step too early, and asyncio runs a timer up to one step before its deadline (gh-110695).
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

COARSE = 0.001
"""The resolution of a loop's clock, in seconds, from which its timers can be noticeably early."""


def has_coarse_clock(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's clock moves in steps of at least `COARSE` seconds, as on Windows up to Python 3.12."""
    return float(getattr(loop, "_clock_resolution", 0.0)) >= COARSE


def exact_clock(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """A clock, in seconds, that measures exactly how long something takes on this loop.

    It is ``loop.time`` unless the loop's clock is coarse. Then it is ``loop.exact_time``, which loops in virtual time have,
    or else `time.perf_counter`.
    """
    if not has_coarse_clock(loop):
        return loop.time
    exact: Callable[[], float] = getattr(loop, "exact_time", time.perf_counter)
    return exact


class Alarm:
    """Calls a function at a time of the loop's `exact_clock`, never before it.

    Args:
        loop: the loop that runs the timer.
        at: the time, in seconds of the exact clock.
        ring: the function.
    """

    __slots__ = ("_at", "_clock", "_loop", "_ring", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._clock = exact_clock(loop)
        self._at = at
        self._ring = ring
        self._timer = loop.call_later(at - self._clock(), self._look)

    def cancel(self) -> None:
        """Cancel the call."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._at - self._clock()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._ring()


def timeout_at(loop: asyncio.AbstractEventLoop, at: float) -> "asyncio.Timeout | ExactTimeout":
    """`asyncio.timeout_at` with a deadline in seconds of the loop's `exact_clock`; it is never early by that clock."""
    return ExactTimeout(loop, at) if has_coarse_clock(loop) else asyncio.timeout_at(at)


class ExactTimeout:
    """An `asyncio.Timeout` driven by an `Alarm`, for loops with early timers."""

    __slots__ = ("_alarm", "_at", "_loop", "_timeout")

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop = loop
        self._at = at
        self._timeout = asyncio.timeout(None)

    def expired(self) -> bool:
        """Whether the deadline came before the end of the body; see `asyncio.Timeout.expired`."""
        return self._timeout.expired()

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._alarm = Alarm(self._loop, self._at, self._expire)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _expire(self) -> None:
        self._timeout.reschedule(self._loop.time())

"""Time to the microsecond on loops whose own clock is coarse, and timers that are never early by it.

Up to Python 3.12 `time.monotonic`, and with it ``loop.time()``, moves in steps of 1/64 s on Windows (gh-88494). A deadline
is then up to a step too soon when it is computed, and asyncio runs a timer up to a step before it (gh-110695).
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

COARSE = 0.001
"""Resolution of a loop's clock, in seconds, from which on its timers may fire noticeably early."""


def has_coarse_clock(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop's clock moves in steps that a user would notice, as on Windows up to Python 3.12."""
    return float(getattr(loop, "_clock_resolution", 0.0)) >= COARSE


def exact_clock(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """A clock in seconds that says how long something really took on this loop.

    It is the loop's own unless that is coarse. Then it is the loop's ``exact_time``, which loops in virtual time offer, or
    else `time.perf_counter`.
    """
    if not has_coarse_clock(loop):
        return loop.time
    exact: Callable[[], float] = getattr(loop, "exact_time", time.perf_counter)
    return exact


class Alarm:
    """Calls back when a time has come on the loop's exact clock, and never before.

    Args:
        loop: whose timers are used, and whose `exact_clock`.
        at: seconds of the exact clock.
        ring: what to call.
    """

    __slots__ = ("_at", "_clock", "_loop", "_ring", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._clock = exact_clock(loop)
        self._at = at
        self._ring = ring
        self._timer = loop.call_later(at - self._clock(), self._look)

    def cancel(self) -> None:
        """Do not ring any more."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._at - self._clock()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._ring()


def timeout_at(loop: asyncio.AbstractEventLoop, at: float) -> "asyncio.Timeout | ExactTimeout":
    """`asyncio.timeout_at` for seconds of the loop's `exact_clock`: it is never early by that."""
    return ExactTimeout(loop, at) if has_coarse_clock(loop) else asyncio.timeout_at(at)


class ExactTimeout:
    """An `asyncio.Timeout` that an `Alarm` has expire, where the loop's own timers would be early."""

    __slots__ = ("_alarm", "_at", "_loop", "_timeout")

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop = loop
        self._at = at
        self._timeout = asyncio.timeout(None)

    def expired(self) -> bool:
        """Whether the time has come before the body had ended."""
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

"""Deadlines that tell, enforce and nest, on the event loop's own clock."""

import asyncio
import contextvars
import math
from types import TracebackType

_innermost: contextvars.ContextVar["WindowsSafeTimeoutContext | None"] = contextvars.ContextVar(
    "netra_sim_timeout_context", default=None
)

COARSE = 0.001
"""Resolution of a loop's clock, in seconds, from which on its timers may fire noticeably early."""


def timer_slack(loop: asyncio.AbstractEventLoop) -> float:
    """Seconds by which a timer of this loop may fire early: 1/64 s on Windows up to Python 3.12, else nothing.

    asyncio runs timers that are due within one tick of the clock (gh-110695), so a tick is added to what must not end
    before its time.
    """
    resolution = float(getattr(loop, "_clock_resolution", 0.0))
    return resolution if resolution >= COARSE else 0.0


def checked_timeout(timeout: float | None) -> float | None:
    """The timeout, if it is one.

    Raises:
        ValueError: it is not a number.
    """
    if timeout is not None and math.isnan(timeout):
        raise ValueError("timeout must be a number of seconds or None, and is NaN")
    return timeout


class WindowsSafeTimeoutContext:
    """An asynchronous context with a deadline.

    By default it tells and does not interfere: a streaming loop asks `check_timeout` and ends by itself. With
    ``enforce=True`` it also cancels its body at the deadline and raises `TimeoutError`, as `asyncio.timeout` does, on
    which it is built. Contexts nest: the deadline of an inner one is never later than that of the outer one, and neither
    needs a task or a poll of its own, so nested ones cannot deadlock.

    Args:
        timeout: seconds from entering on; None for no deadline of its own.
        enforce: whether to cancel the body at the deadline.
    """

    def __init__(self, timeout: float | None, *, enforce: bool = False) -> None:
        self.timeout = checked_timeout(timeout)
        self.enforce = enforce
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline = math.inf
        self._outer: WindowsSafeTimeoutContext | None = None
        self._enforcer: asyncio.Timeout | None = None
        self._timed_out = False
        self._has_ended = False

    @property
    def is_timed_out(self) -> bool:
        """Whether the deadline has passed; after the end of the context, whether it had passed then."""
        return self._timed_out or self.check_timeout()

    def check_timeout(self) -> bool:
        """Look at the clock: whether the deadline has passed."""
        if self._loop is not None and not self._has_ended and self._loop.time() >= self._deadline:
            self._timed_out = True
        return self._timed_out

    def remaining_time(self) -> float:
        """Seconds until the deadline, 0.0 when it has passed, infinity when there is none.

        Raises:
            RuntimeError: the context has not been entered.
        """
        if self._loop is None:
            raise RuntimeError("the timeout context has not been entered; use it as `async with context:`")
        return max(0.0, self._deadline - self._loop.time())

    async def __aenter__(self) -> "WindowsSafeTimeoutContext":
        if self._loop is not None:
            raise RuntimeError("a timeout context can be entered once; make a new one")
        self._loop = asyncio.get_running_loop()
        self._outer = _innermost.get()
        while self._outer is not None and self._outer._has_ended:
            self._outer = self._outer._outer
        own = math.inf if self.timeout is None else self._loop.time() + self.timeout
        self._deadline = min(own, self._outer._deadline if self._outer is not None else math.inf)
        if self.enforce and self._deadline < math.inf:
            self._enforcer = asyncio.timeout_at(self._deadline + timer_slack(self._loop))
            await self._enforcer.__aenter__()
        _innermost.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _innermost.set(self._outer)
        self.check_timeout()
        self._has_ended = True
        if self._enforcer is not None:
            await self._enforcer.__aexit__(kind, error, traceback)

"""`WindowsSafeTimeoutContext`: a deadline for a block, to be checked or enforced; deadlines nest and are never early."""

import asyncio
import contextvars
import math
import sys
import time
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType

from netra_sim.runtime.alarms import ExactTimeout, exact_clock, timeout_at
from netra_sim.runtime.async_generators import TimeoutInGenerator, owning_generator, running_generators

_innermost: contextvars.ContextVar["WindowsSafeTimeoutContext | None"] = contextvars.ContextVar(
    "netra_sim_timeout_context", default=None
)
"""The innermost context of ordinary code."""

_in_generators: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[FrameType, WindowsSafeTimeoutContext]]"
_in_generators = weakref.WeakKeyDictionary()
"""By loop and frame, the innermost context of each async generator; it counts only while the generator runs."""


def refuse_nan(what: str, seconds: float | None) -> None:
    """Refuse NaN as a time, as CPython does from 3.13 on.

    Raises:
        ValueError: ``seconds`` is NaN.
    """
    if seconds is not None and math.isnan(seconds):
        raise ValueError(f"{what} must be a number of seconds, and is NaN")


class WindowsSafeTimeoutContext:
    """An asynchronous context with a deadline.

    By default it does not interfere: a streaming loop calls `check_timeout` and ends by itself. With ``enforce=True`` it
    also cancels its body at the deadline and raises `TimeoutError`, like `asyncio.timeout`, on which it is built. Contexts
    nest: the deadline of an inner context is never later than that of the outer one. A context starts no task and does not
    poll, so nested contexts cannot deadlock. A task inherits the contexts of the code that creates it.

    A context entered in an async generator belongs to this generator only (PEP 789 describes the problem). It counts for
    everything that the generator runs, in any task; while the generator is suspended at a ``yield``, it counts neither for
    the consumer nor for other generators. An enforced context never cancels the consumer: if the deadline comes at a
    ``yield``, it interrupts the generator when the generator next waits, or raises `TimeoutError` at the end of the block.
    It interrupts only the task that entered it. Tasks that a generator creates inherit the contexts of the coroutines that
    it awaits, not the generator's contexts. The generator of an `asynccontextmanager` is the exception: a context that it
    enters before its ``yield`` counts in the body.

    Args:
        timeout: seconds from the entry; None for no deadline except that of an outer context.
        enforce: whether to cancel the body at the deadline.

    Raises:
        ValueError: ``timeout`` is NaN.
    """

    def __init__(self, timeout: float | None, *, enforce: bool = False) -> None:
        refuse_nan("timeout", timeout)
        self.timeout = timeout
        self.enforce = enforce
        self._loop: asyncio.AbstractEventLoop | None = None
        self._now: Callable[[], float] = time.perf_counter
        self._deadline = math.inf
        self._outer: WindowsSafeTimeoutContext | None = None
        self._generator: FrameType | None = None
        self._enforcer: asyncio.Timeout | ExactTimeout | TimeoutInGenerator | None = None
        self._timed_out = False
        self._has_ended = False

    @property
    def is_timed_out(self) -> bool:
        """Whether the deadline has passed; after the end of the block, whether it had passed by then."""
        return self._timed_out or self.check_timeout()

    def check_timeout(self) -> bool:
        """Read the clock, and return whether the deadline has passed."""
        if self._loop is not None and not self._has_ended and self._now() >= self._deadline:
            self._timed_out = True
        return self._timed_out

    def remaining_time(self) -> float:
        """Seconds until the deadline: 0.0 after it, infinity without one.

        Raises:
            RuntimeError: the context has not been entered.
        """
        if self._loop is None:
            raise RuntimeError("the timeout context has not been entered; use it as `async with context:`")
        return max(0.0, self._deadline - self._now())

    async def __aenter__(self) -> "WindowsSafeTimeoutContext":
        if self._loop is not None:
            raise RuntimeError("a timeout context can be entered once; make a new one")
        loop = self._loop = asyncio.get_running_loop()
        self._now = exact_clock(loop)
        caller = sys._getframe(1)
        own = math.inf if self.timeout is None else self._now() + self.timeout
        self._deadline = min([own, *(context._deadline for context in _entered_around(caller, loop))])
        self._generator = owning_generator(caller)
        if self.enforce and self._deadline < math.inf:
            self._enforcer = (
                timeout_at(loop, self._deadline)
                if self._generator is None
                else TimeoutInGenerator(self._generator, self._deadline)
            )
            await self._enforcer.__aenter__()
        if self._generator is None:
            self._outer = _not_ended(_innermost.get())
            _innermost.set(self)
        else:
            of_generators = _in_generators.setdefault(loop, {})
            self._outer = of_generators.get(self._generator)
            of_generators[self._generator] = self
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.check_timeout()
        self._has_ended = True
        if self._generator is not None:
            _leave(self._generator)
            self._generator = None
        elif _innermost.get() is self:
            _innermost.set(self._outer)
        if self._enforcer is not None:
            await self._enforcer.__aexit__(kind, error, traceback)


def _entered_around(frame: FrameType, loop: asyncio.AbstractEventLoop) -> list[WindowsSafeTimeoutContext]:
    """The contexts that enclose this frame: the ordinary one, and those of the generators that the frame runs in."""
    of_generators = _in_generators.get(loop, {})
    innermost = [_innermost.get(), *(of_generators.get(generator) for generator in running_generators(frame))]
    return [context for context in map(_not_ended, innermost) if context is not None]


def _leave(generator: FrameType) -> None:
    of_generators = _in_generators.get(asyncio.get_running_loop(), {})
    innermost = _not_ended(of_generators.pop(generator, None))
    if innermost is not None:
        of_generators[generator] = innermost


def _not_ended(context: WindowsSafeTimeoutContext | None) -> WindowsSafeTimeoutContext | None:
    while context is not None and context._has_ended:
        context = context._outer
    return context

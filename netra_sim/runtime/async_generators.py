"""Timeouts inside asynchronous generators that never cancel the consumer of the generator (PEP 789).

A context that an async generator enters stays entered while the generator is suspended at a ``yield``. Meanwhile the
consumer runs in the same task with the same context variables. So this module finds a generator's contexts by the stack, and
cancels a task only while it waits inside the generator.
"""

import asyncio
import contextlib
import dis
import gc
import inspect
import types
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from types import FrameType, TracebackType
from typing import Any

from netra_sim.runtime.alarms import Alarm

_GET_AWAITABLE = dis.opmap["GET_AWAITABLE"]
_OF_ASYNC_WITH = 1
"""The argument of GET_AWAITABLE in the code with which an ``async with`` statement awaits ``__aenter__``."""

_BACK_TO_GET_AWAITABLE = range(4, 10, 2)
"""The bytes from the waiting instruction back to GET_AWAITABLE; caches and long arguments differ between Python versions."""

_ENTERS_FOR_A_BODY = contextlib._AsyncGeneratorContextManager.__aenter__.__code__
"""The code that runs the generator of an `asynccontextmanager` up to its ``yield``."""


def running_generators(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the async generators that this frame runs in, innermost first, up to the coroutine of the task."""
    task = asyncio.current_task()
    first = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    while frame is not None:
        if frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR:
            yield frame
        frame = None if frame is first else frame.f_back


def owning_generator(frame: FrameType) -> FrameType | None:
    """The async generator that owns the context that this frame enters now: it may be suspended before the context exits.

    None for ordinary code. An ``async with`` statement of a coroutine ends before the coroutine does. A context that the
    generator of an `asynccontextmanager` enters is meant for the body of the ``async with`` that enters the manager.
    """
    if frame.f_code.co_flags & inspect.CO_COROUTINE and _is_in_async_with(frame):
        return None
    for generator in running_generators(frame):
        if generator.f_back is None or generator.f_back.f_code is not _ENTERS_FOR_A_BODY:
            return generator
    return None


def _is_in_async_with(frame: FrameType) -> bool:
    code = frame.f_code.co_code
    before = [frame.f_lasti - back for back in _BACK_TO_GET_AWAITABLE if frame.f_lasti >= back]
    return next((code[at + 1] == _OF_ASYNC_WITH for at in before if code[at] == _GET_AWAITABLE), False)


class TimeoutInGenerator:
    """`asyncio.timeout_at` for a block in an async generator; it never cancels the consumer.

    If the deadline comes while the generator is suspended at a ``yield``, it interrupts the generator the next time that the
    generator waits, or raises `TimeoutError` at the end of the block. Like `asyncio.timeout`, it belongs to the task that
    enters the block: if another task continues the generator, it does not interrupt, and raises at the end of the block.

    Args:
        generator: the frame of the generator.
        deadline: seconds of the loop's `exact_clock`.
    """

    def __init__(self, generator: FrameType, deadline: float) -> None:
        self._generator = generator
        self._deadline = deadline
        self._is_late = False
        self._has_cancelled = False
        self._has_ended = False

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an enforced timeout context works inside a task only")
        self._task = task
        self._cancelling = task.cancelling()
        self._alarm = Alarm(self._loop, self._deadline, self._interrupt)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._has_ended = True
        self._alarm.cancel()
        if self._has_cancelled:
            is_ours = self._task.uncancel() <= self._cancelling
            if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from error
        elif self._is_late and kind is None:
            raise TimeoutError

    def _interrupt(self, _: object = None) -> None:
        if self._has_ended or self._task.done():
            return
        self._is_late = True
        if waits_inside(self._task, self._generator):
            self._has_cancelled = True
            self._task.cancel()
            return
        # The consumer is running: look again when its task continues.
        waits_for: asyncio.Future[Any] | None = getattr(self._task, "_fut_waiter", None)
        if waits_for is None:
            self._loop.call_soon(self._interrupt)
        else:
            waits_for.add_done_callback(self._interrupt)


def waits_inside(task: "asyncio.Task[Any]", generator: FrameType) -> bool:
    """Whether a task, which is not running now, waits inside this async generator."""
    awaited: object = task.get_coro()
    while awaited is not None:
        if getattr(awaited, "ag_frame", None) is generator:
            return True
        awaited = _awaited_by(awaited)
    return False


def _awaited_by(waiting: object) -> object:
    if isinstance(waiting, types.CoroutineType):
        return waiting.cr_await
    if isinstance(waiting, types.AsyncGeneratorType):
        return waiting.ag_await
    if isinstance(waiting, types.GeneratorType):
        return waiting.gi_yieldfrom
    if isinstance(waiting, asyncio.Future):
        return None  # another task, or an event
    # The objects that `anext` and `asend` return do not expose their generator; the garbage collector does.
    held = gc.get_referents(waiting)
    return next((one for one in held if isinstance(one, Coroutine | AsyncGenerator | Generator)), None)

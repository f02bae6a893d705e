"""`new_event_loop` makes the platform's event loop; `run` runs a coroutine from synchronous code."""

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

if sys.platform == "win32":
    from netra_sim.runtime.windows_event_loop import WindowsEventLoop

T = TypeVar("T")

_INTERRUPT_CHECK = 0.25
"""Seconds between two checks for Ctrl+C on Windows, where waiting for a thread cannot be interrupted."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a new event loop of the best kind for the platform; use it as ``asyncio.Runner(loop_factory=new_event_loop)``.

    On Windows this is a Proactor loop: it has no limit of 512 sockets and can start subprocesses. Its servers survive
    clients that disconnect before they are accepted, and it closes open transports before it ends. Elsewhere this is the
    selector loop. It neither reads nor sets an event-loop policy, since policies are deprecated from Python 3.14 on.
    """
    if sys.platform == "win32":
        return WindowsEventLoop()
    return asyncio.SelectorEventLoop()


def is_fragile(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a server on this loop stops accepting when a client disconnects before it is accepted (gh-93821).

    That is so on the stock Proactor loop of Windows.
    """
    kinds = {one.__name__ for one in type(loop).__mro__}
    return "ProactorEventLoop" in kinds and "WindowsEventLoop" not in kinds


def run(
    coroutine: Coroutine[Any, Any, T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop
) -> T:
    """Run a coroutine and return its result, in scripts and in notebook cells alike.

    If no event loop is running, this is `asyncio.Runner.run`. If one is running, as in a notebook cell, the coroutine runs
    on a new loop in a new thread, with the caller's context variables. Tasks that it leaves behind are cancelled, so nothing
    leaks from one cell into the next. Ctrl+C, or a notebook's interrupt, cancels the coroutine, waits for its clean-up, and
    raises KeyboardInterrupt.

    Args:
        coroutine: the coroutine.
        loop_factory: makes the event loop.

    Raises:
        BaseException: the error that the coroutine raises.
    """
    if _loop_is_running():
        return _Worker(coroutine, loop_factory).result()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(coroutine)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Worker(Generic[T]):
    """Runs one coroutine on a new loop in a new thread."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        self._coroutine = coroutine
        self._loop_factory = loop_factory
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[T] | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._has_begun = threading.Event()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="netra_sim.run", daemon=True)

    def result(self) -> T:
        try:
            self._thread.start()
            self._wait()
        except KeyboardInterrupt:
            if self._thread.ident is not None:
                self._cancel()
                self._wait()
            raise
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _wait(self) -> None:
        # Thread.join alone is wrong: after an interrupt it takes the thread for ended (bpo-45274).
        while not self._has_ended.wait(_INTERRUPT_CHECK):
            pass
        self._thread.join()

    def _cancel(self) -> None:
        self._has_begun.wait()
        if self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                self._result.append(runner.run(self._main(), context=self._context))
        except BaseException as error:
            self._error = error
        finally:
            self._has_begun.set()
            self._has_ended.set()

    async def _main(self) -> T:
        self._task = asyncio.current_task()
        self._has_begun.set()
        return await self._coroutine

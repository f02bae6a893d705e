"""Event loops for every platform, and one synchronous way into asynchronous code: `run`."""

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
"""Seconds between looks for Ctrl+C where waiting for a thread cannot be interrupted (Windows)."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop of the platform's best kind, for ``asyncio.Runner(loop_factory=new_event_loop)``.

    On Windows that is a Proactor loop, which has no limit of 512 sockets and can start subprocesses; its servers outlive
    clients that are gone before they are accepted, and it closes the transports that are left open before it ends itself.
    Elsewhere it is the selector loop. No event-loop policy is read or set: policies are deprecated since Python 3.14.
    """
    if sys.platform == "win32":
        return WindowsEventLoop()
    return asyncio.SelectorEventLoop()


def is_fragile(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a server on this loop ends when a client is gone before it is accepted: Windows' own Proactor (gh-93821)."""
    kinds = {one.__name__ for one in type(loop).__mro__}
    return "ProactorEventLoop" in kinds and "WindowsEventLoop" not in kinds


def run(
    coroutine: Coroutine[Any, Any, T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop
) -> T:
    """Run a coroutine to its end and return its result, in scripts and in notebook cells alike.

    Where no event loop runs this is `asyncio.Runner.run`. Where one does, as in a notebook's cell, the coroutine gets a
    fresh loop in a thread of its own, with the caller's context variables; tasks that it leaves behind are cancelled, so
    nothing leaks from one cell into the next. Ctrl+C, or a notebook's interrupt, cancels the coroutine, waits until it
    has cleaned up, and comes out as KeyboardInterrupt.

    Args:
        coroutine: is awaited to its end.
        loop_factory: makes the event loop.

    Raises:
        BaseException: whatever the coroutine raises.
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
    """One coroutine on a fresh loop in a thread."""

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
        # Not Thread.join alone: interrupted, it takes the thread for ended (bpo-45274).
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

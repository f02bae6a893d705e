"""Signals that ask a program to stop, on every platform."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))
"""What service managers, Ctrl+C and (on Windows) Ctrl+Break send."""


@contextmanager
def on_stop_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Have ``stop`` called on the running loop at each signal that asks the process to stop; in the main thread only.

    ``loop.add_signal_handler`` does not exist on Windows; a plain handler that wakes the loop works everywhere. A signal
    that the parent has had ignored, as a shell does with Ctrl+C for its background jobs, stays ignored, but for SIGTERM.
    """
    loop = asyncio.get_running_loop()
    before = {}
    for number in STOP_SIGNALS:
        if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop) and None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """While it lasts, SIGTERM, by which CI cancels, and Windows' Ctrl+Break do what Ctrl+C does; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS if number is not signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

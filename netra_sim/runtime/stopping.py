"""Handles the signals that ask a process to stop, on every platform."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))
"""The signals that service managers, Ctrl+C and (on Windows) Ctrl+Break send."""


@contextmanager
def on_stop_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the running loop at each stop signal, for the length of a block; only in the main thread.

    It uses plain signal handlers that wake the loop, because ``loop.add_signal_handler`` does not exist on Windows. A signal
    that the parent process set to be ignored stays ignored, as Ctrl+C for a shell's background jobs, except SIGTERM.
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
    """Let SIGTERM (with which CI cancels) and Windows' Ctrl+Break do what Ctrl+C does, for the length of a block.

    In another thread than the main one this does nothing, because signal handlers can only be set in the main thread.
    """
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

"""Ends a simulation when the code under test computes for ever, as in a loop without an await."""

import ctypes
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import process_time

from netra_sim.exceptions import SystemFailedError
from netra_sim.simulation.escapes import innermost_line
from netra_sim.simulation.loop import VirtualTimeLoop

PATIENCE = 60.0
"""Seconds of CPU time for which one step of the loop may compute."""

_LOOKS = 60
"""How often a step is looked at within this time."""


class _EndlessStep(BaseException):
    """Raised within the step."""


@contextmanager
def ending_endless_steps(loop: VirtualTimeLoop, cancel: Callable[[], None]) -> Generator[None]:
    """Interrupt a step of the loop that takes `PATIENCE` seconds of CPU time, in the thread that opens the context.

    Code that calls C, such as a regular expression, is interrupted when it comes back.

    Args:
        loop: the loop.
        cancel: called on the loop after the interruption; it ends what runs there.

    Raises:
        SystemFailedError: a step was interrupted; it names the line that ran.
    """
    thread, is_over, lines = threading.get_ident(), threading.Event(), list[str]()

    def watch() -> None:
        steps, began = -1, 0.0
        while not is_over.wait(PATIENCE / _LOOKS):
            if loop.steps != steps or not loop.is_running():
                steps, began = loop.steps, process_time()
            elif process_time() - began > PATIENCE:
                lines.append(innermost_line(sys._current_frames().get(thread)))
                loop.call_soon_threadsafe(cancel)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_EndlessStep))
                began = process_time()

    watcher = threading.Thread(target=watch, name="netra-sim endless steps", daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        if not lines:
            raise
    finally:
        is_over.set()
        watcher.join()
    if lines:
        raise SystemFailedError(
            f"the system computes at {lines[0]} for {PATIENCE:g} s of CPU time without an await; everybody else waits"
        )

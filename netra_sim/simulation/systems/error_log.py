"""Records the errors that a system logs, as those of code that did not handle them."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from netra_sim.recording import Recorder, describe_loop_error
from netra_sim.simulation.hosts.host import PROCESS

_PARTINGS = ("WebSocketDisconnect", "ClientDisconnect", "ClientDisconnected")
"""Exceptions by which frameworks tell a handler that its client has left, which is no error of the system."""


class _ErrorLog(logging.Handler):
    """Records each logged exception."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.ERROR)
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and type(error).__name__ not in _PARTINGS:
            self._recorder.loop_error(*describe_loop_error({"message": record.getMessage(), "exception": error}))


@contextmanager
def errors_of_threads(recorder: Recorder) -> Iterator[None]:
    """Record the exceptions that end threads of the simulated program; those of other threads are shown as always."""
    before = threading.excepthook

    def record(ended: threading.ExceptHookArgs) -> None:
        if PROCESS.get() is None or ended.exc_value is None:
            before(ended)
        else:
            name = ended.thread.name if ended.thread else "unknown"
            context = {"message": f"Exception in thread {name}", "exception": ended.exc_value}
            recorder.loop_error(*describe_loop_error(context))

    threading.excepthook = record
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def errors_logged(recorder: Recorder, name: str | None = None) -> Iterator[None]:
    """Record the exceptions that are logged meanwhile; what is logged is shown nowhere else.

    Args:
        recorder: takes them.
        name: of the logger; None for everything that anything logs.
    """
    handler = _ErrorLog(recorder)
    known = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    # A logger that keeps to itself what it gets, as uvicorn's once a real server was set up, is listened to as well.
    apart = [logging.getLogger(name), *(one for one in known if not name and not one.propagate)]
    before = [(one, one.handlers[:], one.propagate, one.disabled, one.level) for one in dict.fromkeys((*apart, *known))]
    for one in apart:
        one.handlers[:], one.propagate = [handler], False
    for one in known:
        one.disabled, one.level = False, min(one.level, logging.ERROR)
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]  # of what each logger takes
    try:
        yield
    finally:
        for one, handlers, propagates, is_disabled, level in before:
            one.handlers[:], one.propagate, one.disabled, one.level = handlers, propagates, is_disabled, level
        logging.root.manager._clear_cache()  # type: ignore[attr-defined]

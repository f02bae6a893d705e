"""Records the errors that a system logs, as those of code that did not handle them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

from netra_sim.recording import Recorder, describe_loop_error

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
def errors_logged(recorder: Recorder, name: str | None = None) -> Iterator[None]:
    """Record the exceptions that are logged meanwhile; what is logged is shown nowhere else.

    Args:
        recorder: takes them.
        name: of the logger; None for everything that anything logs.
    """
    handler = _ErrorLog(recorder)
    # A logger that does not pass on what it gets, as uvicorn's once a real server was set up, must be listened to as well.
    others = [] if name else [one for one in logging.root.manager.loggerDict.values() if _is_apart(one)]
    loggers = [logging.getLogger(name), *others]
    before = [(one.handlers[:], one.propagate, one.disabled) for one in loggers]
    for one in loggers:
        one.handlers[:], one.propagate, one.disabled = [handler], False, False
    try:
        yield
    finally:
        for one, (handlers, propagates, is_disabled) in zip(loggers, before, strict=True):
            one.handlers[:], one.propagate, one.disabled = handlers, propagates, is_disabled


def _is_apart(logger: object) -> TypeGuard[logging.Logger]:
    return isinstance(logger, logging.Logger) and (not logger.propagate or logger.disabled)

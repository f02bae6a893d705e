"""Records the errors that a system logs, as those of code that did not handle them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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
    logger, handler = logging.getLogger(name), _ErrorLog(recorder)
    before = logger.handlers[:], logger.propagate
    logger.handlers[:], logger.propagate = [handler], False
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before

"""Failures of code that is not the bridge's own: which errors count, how they are reported, and how observers are called."""

import asyncio
import logging
from typing import TypeVar, cast

T = TypeVar("T")

log = logging.getLogger(__name__)


def is_failure(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    """Whether code that a task ran has failed by itself, so that the failure can be contained.

    ``SystemExit``, ``GeneratorExit`` and other errors that are no ``Exception`` count as failures when the code raised
    them: asyncio would let ``SystemExit`` out of a task and end the whole process with everybody's runs.

    Three errors are orders to stop and must go on: ``KeyboardInterrupt``, the cancellation of the task, and the
    ``GeneratorExit`` with which the interpreter closes a coroutine that nothing runs any more.

    Args:
        error: what came out of the code.
        task: the task that ran it, from before it was called.
    """
    if isinstance(error, KeyboardInterrupt):
        return False
    if isinstance(error, asyncio.CancelledError):
        return task is not None and not task.cancelling()
    if isinstance(error, GeneratorExit):
        return task is not None and _running_task() is task
    return True


def _running_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop is running
        return None


def report(message: str, error: BaseException) -> None:
    """Hand a contained failure to the running loop's exception handler, which logs it unless told otherwise."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        log.error(message, exc_info=error)
    else:
        loop.call_exception_handler({"message": message, "exception": error})


def contained(observer: T) -> T:
    """The observer, so that a failing method of it is reported and never comes back to whoever it was told by."""
    return cast(T, _Contained(observer))


class _Contained:
    """Passes calls on; a method is looked up again at each call, as it may be replaced."""

    def __init__(self, observer: object) -> None:
        self._observer = observer

    def __getattr__(self, name: str) -> object:
        def tell(*arguments: object) -> None:
            try:
                getattr(self._observer, name)(*arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                report(f"an observer failed at {name!r}; what it observes goes on", error)

        setattr(self, name, tell)
        return tell

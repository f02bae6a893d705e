"""Contains failures of user code: which errors count as failures, how to report one, and how to call an observer safely."""

import asyncio
import logging
from typing import TypeVar, cast

T = TypeVar("T")

log = logging.getLogger(__name__)


def is_failure(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    """Whether an error is a failure of the code that raised it, which the caller can contain.

    ``SystemExit``, ``GeneratorExit`` and other errors outside ``Exception`` count as failures if the code raised them:
    asyncio would let ``SystemExit`` out of a task, and that would end the process with the runs of all users.

    Three errors are orders to stop, and the caller must raise them again: ``KeyboardInterrupt``, the cancellation of the
    task, and the ``GeneratorExit`` with which the interpreter closes a coroutine that no task runs any more.

    Args:
        error: the error that the code raised.
        task: the task that ran the code, read before the call.
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
    """Pass a contained failure to the exception handler of the running loop, which logs it by default."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        log.error(message, exc_info=error)
    else:
        loop.call_exception_handler({"message": message, "exception": error})


def contained(observer: T) -> T:
    """Wrap an observer so that an error of its methods is reported and never reaches the caller."""
    return cast(T, _Contained(observer))


class _Contained:
    """Passes calls on. It looks the method up at each call, because a method may be replaced."""

    def __init__(self, observer: object) -> None:
        self._observer = observer

    def __getattr__(self, name: str) -> object:
        def call(*arguments: object) -> None:
            try:
                getattr(self._observer, name)(*arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                report(f"an observer failed at {name!r}; what it observes goes on", error)

        setattr(self, name, call)
        return call

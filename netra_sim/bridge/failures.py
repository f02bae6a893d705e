"""Which errors are a failure of the code that raised them, and which are an order to stop."""

import asyncio


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

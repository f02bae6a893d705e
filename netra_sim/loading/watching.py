"""Nothing that goes wrong beside the main work of a load run goes unnoticed."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from netra_sim.recording import Recorder, describe_loop_error

T = TypeVar("T")


async def alongside(work: Coroutine[Any, Any, T], *background: Coroutine[Any, Any, None]) -> T:
    """Run work to its end beside background work, which is then cancelled.

    Raises:
        BaseException: what the work, or any of the background work, raised first; all else is cancelled.
        RuntimeError: background work ended by itself before the work did.
    """
    main = asyncio.create_task(work)
    tasks = [main, *map(asyncio.create_task, background)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1:]:
            if task.done():
                task.result()
                raise RuntimeError(f"{task.get_coro()} ended before the load run did")
        return await main
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # The first error is raised, the others are of no use.


@contextmanager
def loop_errors_recorded(recorder: Recorder) -> Iterator[None]:
    """Record errors that reach the running event loop because no code handled them; they are logged as before."""
    loop = asyncio.get_running_loop()
    earlier = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        recorder.loop_error(*describe_loop_error(context))
        if earlier is None:
            loop.default_exception_handler(context)
        else:
            earlier(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(earlier)

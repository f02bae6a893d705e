"""Errors in the background of a load run: failing tasks end it, and errors of the event loop are recorded."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from netra_sim.recording import Recorder, describe_loop_error

T = TypeVar("T")


async def all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all works at the same time, to their end.

    Raises:
        ExceptionGroup: with the errors of the works; all other works are cancelled.
    """
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def alongside(work: Coroutine[Any, Any, T], *background: Coroutine[Any, Any, None]) -> T:
    """Run work to its end together with background work, which is then cancelled.

    Raises:
        BaseException: the first error of the work or of background work; all other work is cancelled.
        RuntimeError: background work ended before the work did.
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
        await asyncio.gather(*tasks, return_exceptions=True)  # only the first error is raised


@contextmanager
def loop_errors_recorded(recorder: Recorder) -> Iterator[None]:
    """Record errors that no code handled and that reach the running event loop; they are still logged."""
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

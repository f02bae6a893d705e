"""Runs trials on all cores, and hands their results on in the order in which they were asked for."""

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import Any, TypeVar

from loky import ProcessPoolExecutor

T = TypeVar("T")


def in_order(
    work: Callable[..., T], calls: Iterable[tuple[Any, ...]], jobs: int | None = None
) -> Generator[T, None, None]:
    """The results of ``work(*call)`` for each call, in order, computed by ``jobs`` processes; all cores by default.

    The work may be defined anywhere, in a notebook too. The results do not depend on the number of processes. Closing the
    iterator cancels what has not begun.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        yield from (work(*call) for call in calls)
        return
    waiting: list[Future[T]] = []
    pending = iter(calls)
    pool = ProcessPoolExecutor(jobs)
    try:
        waiting.extend(pool.submit(work, *call) for call in islice(pending, 2 * jobs))
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(work, *call) for call in islice(pending, 1))
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(wait=False)

"""Runs trials on all cores, and hands their results on in the order in which they were asked for."""

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


def in_order(
    work: Callable[..., T], calls: Iterable[tuple[Any, ...]], jobs: int | None = None
) -> Generator[T, None, None]:
    """The results of ``work(*call)`` for each call, in order, computed by ``jobs`` processes; all cores by default.

    The results do not depend on the number of processes. Closing the iterator cancels what has not begun.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        yield from (work(*call) for call in calls)
        return
    waiting: list[Future[T]] = []
    pending = iter(calls)
    # Not fork: the caller may have threads, as a notebook has.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            waiting.extend(pool.submit(work, *call) for call in islice(pending, 2 * jobs))
            while waiting:
                yield waiting.pop(0).result()
                waiting.extend(pool.submit(work, *call) for call in islice(pending, 1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

"""Runs trials on all cores, and hands their results on in the order in which they were asked for."""

import os
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import wait
from typing import Any, TypeVar

from netra_sim.processes import ProcessChannel, Worker, WorkerError, can_start_workers, sent_error

T = TypeVar("T")


def in_order(
    work: Callable[..., T], calls: Iterable[tuple[Any, ...]], jobs: int | None = None
) -> Generator[T, None, None]:
    """The results of ``work(*call)`` for each call, in order, computed by ``jobs`` processes; all cores by default.

    The work may be defined anywhere, in a notebook too. The results do not depend on the number of processes. Closing the
    iterator ends the processes. At most ``2 * jobs`` results are computed ahead. In a process that may not start others,
    such as a worker, this process does the work.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or not can_start_workers():
        yield from (work(*call) for call in calls)
        return
    pool = _Pool(work, jobs)
    try:
        yield from pool.results(iter(calls))
    finally:
        pool.stop()


class _Pool:
    """Workers that make one call each at a time, and start when there is a call for them."""

    def __init__(self, work: Callable[..., Any], jobs: int) -> None:
        self._work = work
        self._jobs = jobs
        self._idle: list[Worker] = []
        self._busy: dict[Any, tuple[Worker, int]] = {}

    def results(self, calls: Iterable[tuple[Any, ...]]) -> Generator[Any, None, None]:
        calls, begun, given = iter(calls), 0, 0
        outcomes: dict[int, tuple[bool, Any]] = {}
        while True:
            while len(self._busy) < self._jobs and begun < given + 2 * self._jobs:
                if (call := next(calls, None)) is None:
                    break
                self._begin(begun, call)
                begun += 1
            if given == begun:
                return
            if given not in outcomes:
                self._take(outcomes)
                continue
            is_done, outcome = outcomes.pop(given)
            if not is_done:
                raise outcome
            given += 1
            yield outcome

    def _begin(self, number: int, call: tuple[Any, ...]) -> None:
        worker = self._idle.pop() if self._idle else Worker(_answer_calls, self._work)
        self._busy[worker.channel.connection] = worker, number
        worker.send(call)

    def _take(self, outcomes: dict[int, tuple[bool, Any]]) -> None:
        """Wait until one worker at least has finished, and take what is there."""
        for connection in wait(list(self._busy)):
            worker, number = self._busy.pop(connection)
            try:
                outcomes[number] = worker.receive()
            except WorkerError as error:  # raised in its turn, after the results of earlier calls
                outcomes[number] = False, error
                worker.stop()
            else:
                self._idle.append(worker)

    def stop(self) -> None:
        for worker in (*self._idle, *(worker for worker, _ in self._busy.values())):
            worker.stop()


def _answer_calls(channel: ProcessChannel, work: Callable[..., Any]) -> None:
    while True:
        call = channel.receive()
        try:
            outcome = (True, work(*call))
        except Exception as error:
            channel.send((False, sent_error(error)))
            continue
        try:
            channel.send(outcome)
        except Exception as error:
            channel.send((False, sent_error(error)))

"""Gives the executors of a program new threads for the time of a simulation.

An executor may be older than the simulation, as those of a module are. Its threads then belong to no gate.
"""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from netra_sim.simulation.hosts.gate import Gate

_PARTS = ("_work_queue", "_threads", "_idle_semaphore")
_adopted: WeakKeyDictionary[Gate, WeakKeyDictionary[ThreadPoolExecutor, tuple[Any, ...]]] = WeakKeyDictionary()


class _Threads(dict[threading.Thread, None]):
    """A set in the order of insertion: `shutdown` joins the threads in the order of their set."""

    def add(self, thread: threading.Thread) -> None:
        self[thread] = None


class _Idle:
    """Whether an idle thread can take what is in a queue, for `submit`, which starts a thread otherwise.

    The count of the standard library differs between Python 3.11 and 3.12.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def acquire(self, timeout: float = 0) -> bool:
        return bool(len(self._queue.waiters) >= self._queue.qsize())

    def release(self) -> None:
        pass


def adopt(executor: ThreadPoolExecutor, gate: Gate, new_queue: Callable[[], Any]) -> None:
    """Give an executor a queue and threads of this gate, if it has none yet."""
    adopted = _adopted.setdefault(gate, WeakKeyDictionary())
    if executor not in adopted:
        adopted[executor] = tuple(getattr(executor, part) for part in _PARTS)
        queue = new_queue()
        _set(executor, (queue, _Threads(), _Idle(queue)))


@contextmanager
def giving_back(gate: Gate) -> Generator[None]:
    """Shut down the executors that have threads of this gate, and put back at the end what they had before."""
    adopted = list(_adopted.pop(gate, {}).items())
    were_shut_down = [executor._shutdown for executor, _ in adopted]
    for executor, _ in adopted:
        executor._shutdown = True
        executor._work_queue.put(None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for (executor, before), was_shut_down in zip(adopted, were_shut_down, strict=True):
            executor._shutdown = was_shut_down
            _set(executor, before)


def _set(executor: ThreadPoolExecutor, parts: tuple[Any, ...]) -> None:
    for name, part in zip(_PARTS, parts, strict=True):
        setattr(executor, name, part)

"""The blocking calls of `threading` and `queue`, so that a thread of a gate lets others run while it is blocked.

Everything in the standard library that waits for a thread does it by one of these: `threading.Lock` and `RLock`, the lock
that each `Condition.wait` makes and waits for (and so events, semaphores, barriers, `queue.Queue` and `Future.result`),
`queue.SimpleQueue`, and `Thread.join`. To a thread of no gate they are what they always were.
"""

import _queue
import _thread
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from netra_sim.simulation.hosts.executors import adopt
from netra_sim.simulation.hosts.gate import Member, here, wake_one
from netra_sim.simulation.hosts.host import PROCESS, Process
from netra_sim.simulation.hosts.rebinding import rebound, replaced
from netra_sim.simulation.hosts.sqlite_locks import gated_sqlite

_start, _join, _submit = threading.Thread.start, threading.Thread.join, ThreadPoolExecutor.submit
_real_time = threading._time  # type: ignore[attr-defined]


class Lock:
    """A `threading.Lock` for which a thread of a gate waits in virtual time."""

    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._waiters: deque[Member] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.Lock`."""
        if self._lock.acquire(False):
            return True
        member = here.member
        if member is None or not blocking:
            return self._lock.acquire(blocking, timeout)
        return member.wait_for(self._take, self._waiters, None if timeout == -1 else timeout)

    def _take(self) -> bool:
        return self._lock.acquire(False)

    def release(self) -> None:
        """See `threading.Lock`."""
        self._lock.release()
        if self._waiters:
            wake_one(self._waiters)

    def locked(self) -> bool:
        """See `threading.Lock`."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]


class SimpleQueue(_queue.SimpleQueue[Any]):
    """A `queue.SimpleQueue` for which a thread of a gate waits in virtual time.

    Attributes:
        waiters: the threads that are blocked, or have not gone on since something was put.
    """

    def __init__(self) -> None:
        self.waiters: deque[Member] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """See `queue.SimpleQueue`."""
        super().put(item)
        if self.waiters:
            wake_one(self.waiters)

    def put_nowait(self, item: Any) -> None:
        """See `queue.SimpleQueue`."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """See `queue.SimpleQueue`."""
        member = here.member
        if member is None or not block or self.qsize():
            return super().get(block, timeout)
        member.wait_for(lambda: self.qsize() > 0, self.waiters, timeout)
        return super().get(False)


def _monotonic() -> float:
    """The clock by which `threading` and `queue` count the rest of a time-out."""
    return _real_time() if here.member is None else here.member.gate.loop.time()


def _started(thread: threading.Thread) -> None:
    member = here.member
    if member is None or member.gate.is_over:
        _start(thread)
    else:
        member.gate.start(thread, _start)


def _joined(thread: threading.Thread, timeout: float | None = None) -> None:
    member = here.member
    worker = None if member is None else member.gate.workers.get(thread)
    if member is None or worker is None or worker is member:
        _join(thread, timeout)
    else:
        member.wait_for(lambda: thread not in member.gate.workers, worker.joiners, timeout)


def _submitted(executor: ThreadPoolExecutor, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
    member = here.member
    if member is None or member.gate.is_over:
        return _submit(executor, fn, *args, **kwargs)
    adopt(executor, member.gate, SimpleQueue)
    return _submit(executor, _call_in, PROCESS.get(), fn, *args, **kwargs)


def _call_in(process: Process | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function in a thread that may have been started by another simulated process."""
    outside = PROCESS.set(process)
    try:
        return fn(*args, **kwargs)
    finally:
        PROCESS.reset(outside)


_REPLACEMENTS: tuple[tuple[object, str, object], ...] = (
    (threading, "Lock", Lock),
    (threading, "_allocate_lock", Lock),
    (threading, "_CRLock", None),  # then `RLock` is the one in Python, which is made of a lock
    (threading, "_time", _monotonic),
    (threading.Thread, "start", _started),
    (threading.Thread, "join", _joined),
    (queue, "SimpleQueue", SimpleQueue),
    (queue, "time", _monotonic),
    (ThreadPoolExecutor, "submit", _submitted),
)
_users = 0
_undo = ExitStack()


@contextmanager
def gated_threading() -> Generator[None]:
    """Put these calls in the place of the real ones, in all modules; contexts may overlap."""
    global _users
    _users += 1
    if _users == 1:
        _undo.enter_context(rebound({threading.Lock: Lock, queue.SimpleQueue: SimpleQueue}))
        _undo.enter_context(gated_sqlite())
        for owner, name, replacement in _REPLACEMENTS:
            _undo.enter_context(replaced(owner, name, replacement))
        # The default names of threads are the same in every run.
        _undo.enter_context(replaced(threading, "_counter", itertools.count(1).__next__))
        _undo.enter_context(replaced(ThreadPoolExecutor, "_counter", itertools.count().__next__))
    try:
        yield
    finally:
        _users -= 1
        if not _users:
            _undo.close()

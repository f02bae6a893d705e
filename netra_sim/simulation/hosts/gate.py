"""Lets the threads of a simulated program work one at a time, as steps of its virtual-time loop.

A thread that was started by the program runs until it blocks or ends, and the thread of the loop waits meanwhile. A thread
that can go on is one more ready step of the loop, and the order of the loop decides when it runs. So the clock stands still
while a thread works, and nothing depends on how the operating system schedules threads.

Prior art: Loom (https://docs.rs/loom) and Coyote (https://microsoft.github.io/coyote) test threads in turns too.
"""

import math
import sys
import threading
import warnings
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from functools import partial

from netra_sim.exceptions import NetraSimError
from netra_sim.simulation.diagnosis import DeadlockError, waits_report
from netra_sim.simulation.escapes import innermost_line
from netra_sim.simulation.hosts.host import PROCESS, Process
from netra_sim.simulation.loop import VirtualTimeLoop

PATIENCE = 30.0
"""Seconds of real time for which a thread may work without blocking; then the loop raises `StuckThreadError`."""

_TURNS_AT_CLOSE = 10_000
_TRIES_TO_END = 100


class StuckThreadError(NetraSimError, RuntimeError):
    """A worker thread neither ended nor blocked for `PATIENCE` seconds of real time.

    Attributes:
        thread: its name.
        where: the innermost line at which it is.
    """

    def __init__(self, thread: str, where: str) -> None:
        super().__init__(
            f"worker thread {thread!r} works at {where} for {PATIENCE:g} s of real time; it must end, or wait by means of "
            "threading, queue or concurrent.futures. A lock made before the simulation began cannot be waited for"
        )
        self.thread = thread
        self.where = where


class Member:
    """A thread that takes turns with the others of its gate."""

    def __init__(self, gate: "Gate") -> None:
        self.gate = gate

    def pause(self, deadline: float | None) -> None:
        """Let others run until someone wakes this thread, or until the deadline in virtual time."""
        raise NotImplementedError

    def wake(self) -> bool:
        """Let the thread go on when its turn comes; returns whether it could not before. Any thread may call this."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        self.wait_for(bool, deque(), seconds)

    def wait_for(self, attempt: Callable[[], bool], waiters: "deque[Member]", timeout: float | None = None) -> bool:
        """Block until the attempt succeeds; whoever makes that possible wakes one of the waiters.

        Args:
            attempt: tries to take what this thread waits for, and returns whether it did.
            waiters: those who wait for it too, the first first; see `wake_one`.
            timeout: virtual seconds after which to give up.

        Returns:
            Whether the attempt succeeded.
        """
        loop = self.gate.loop
        deadline = None if timeout is None else loop.time() + timeout
        waiters.append(self)
        try:
            while not attempt():
                if deadline is not None and loop.time() >= deadline:
                    return False
                self.pause(deadline)
            return True
        finally:
            waiters.remove(self)


class _Here(threading.local):
    member: Member | None = None


here = _Here()
"""Its `member` is the calling thread as a member of a gate, or None."""


class Gate:
    """The threads of one loop.

    Attributes:
        loop: the loop.
        loop_thread: the thread of the loop as a member.
        workers: the threads that were started and have not ended, in the order of their start.
        runnable: those of them that can go on and wait for their turn, the first first, each with the simulated process for
            which it does.
        sleepers: when those of them wake that wait for a limited time, in virtual seconds.
        has_failed: whether some thread can never end by itself.
        is_over: whether the threads must end.
        new_number: numbers the workers among the tasks of the loop.
        enqueue: makes a turn of a worker a ready step of the loop, as part of a simulated process.
    """

    def __init__(
        self,
        loop: VirtualTimeLoop,
        new_number: Callable[[], int],
        enqueue: Callable[[Process | None, Callable[[], None]], None],
    ) -> None:
        self.loop = loop
        self.loop_thread = LoopThread(self)
        self.workers: dict[threading.Thread, WorkerThread] = {}
        self.runnable: dict[WorkerThread, Process | None] = {}
        self.sleepers: dict[WorkerThread, float] = {}
        self.has_failed = False
        self.is_over = False
        self.new_number = new_number
        self.enqueue = enqueue

    def start(self, thread: threading.Thread, start: Callable[[threading.Thread], None]) -> None:
        """Start a thread as a worker; it begins when its turn comes.

        Args:
            thread: a thread that was not started.
            start: starts a thread.
        """
        worker = WorkerThread(self, thread)
        thread.run = partial(worker.main, thread.run)  # type: ignore[method-assign]
        starter, here.member = here.member, None  # until the new thread waits for its turn, both run
        try:
            start(thread)
        finally:
            here.member = starter
        self.workers[thread] = worker
        worker.wake()

    def run_first(self) -> bool:
        """Let the worker go on that has waited longest for its turn; returns whether there was one."""
        for worker in list(self.runnable):
            worker.take_turn()
            return True
        return False

    def finish_turns(self) -> None:
        """Let the workers go on until each is blocked."""
        for _ in range(_TURNS_AT_CLOSE):
            if not self.run_first():
                return

    def end_workers(self) -> None:
        """Raise SystemExit in every thread that is left, where it is blocked, and wait for its end."""
        self.is_over = True
        for worker in list(self.workers.values()):
            for _ in range(_TRIES_TO_END):
                if worker.has_ended or worker.is_stuck:
                    break
                worker.wake()
                worker.take_turn()
            else:
                message = f"worker thread {worker.thread.name!r} catches SystemExit and does not end"
                warnings.warn(message, ResourceWarning, stacklevel=2)

    def report(self) -> str:
        """What the tasks and the threads wait for."""
        lines = [
            f"  1 x thread {worker.thread.name!r} at {line_of(worker.thread)} is blocked"
            for worker in self.workers.values()
        ]
        return "\n".join([waits_report(self.loop), *lines])


class LoopThread(Member):
    """The thread of the loop. While it is blocked, the workers run and the clock goes on, and no task runs."""

    def pause(self, deadline: float | None) -> None:
        """See `Member`.

        Raises:
            DeadlockError: no thread is left that could wake this one.
        """
        gate = self.gate
        if gate.run_first():
            return
        sleepers = {worker: when for worker, when in gate.sleepers.items() if not is_dead(worker.process)}
        first = min(sleepers.values(), default=math.inf)
        until = min(first, math.inf if deadline is None else deadline)
        if until == math.inf:
            raise DeadlockError(
                gate.loop.time(),
                f"{gate.report()}\n  1 x the loop's own thread at {innermost_line(sys._getframe())} is blocked",
            )
        gate.loop.spend(max(0.0, until - gate.loop.time()))
        for worker, when in sleepers.items():
            if when <= until:
                worker.wake()

    def wake(self) -> bool:
        """Do nothing: the thread looks for itself after every turn of another."""
        return False


class WorkerThread(Member):
    """A thread that the program started. To a schedule of the loop it is a task.

    Attributes:
        thread: the thread.
        process: the simulated process for which it works, if any.
        has_ended: whether its function has returned.
        is_stuck: whether it was given up, and runs on by itself.
        joiners: those who wait for its end.
    """

    def __init__(self, gate: Gate, thread: threading.Thread) -> None:
        super().__init__(gate)
        self.thread = thread
        self.process = PROCESS.get()
        self.has_ended = False
        self.is_stuck = False
        self.joiners: deque[Member] = deque()
        self._number = gate.new_number()
        self._target = getattr(thread, "_target", None) or thread.run
        self._turn, self._turn_ended = allocate_lock(), allocate_lock()
        self._turn.acquire()
        self._turn_ended.acquire()

    def get_name(self) -> str:
        """The name of the thread, as `asyncio.Task` has it."""
        return self.thread.name

    def get_coro(self) -> object:
        """The function that it runs, in place of the coroutine of an `asyncio.Task`."""
        return self._target

    def main(self, run: Callable[[], None]) -> None:
        """Be the thread: wait for the first turn, then run its function."""
        vars(self.thread).pop("run", None)
        here.member = self
        PROCESS.set(self.process)
        self._turn.acquire()
        try:
            if not self.gate.is_over:
                run()
        except SystemExit:
            if not (self.gate.is_over or self.is_stuck):
                raise
        finally:
            here.member = None
            self.has_ended = True
            self._turn_ended.release()

    def take_turn(self) -> None:
        """Let the thread run until it blocks or ends; the thread of the loop calls this, and waits.

        Raises:
            StuckThreadError: it did neither for `PATIENCE` seconds.
        """
        gate = self.gate
        if self not in gate.runnable:
            return  # it had its turn while the thread of the loop was blocked
        if is_dead(gate.runnable.pop(self)) and not gate.is_over:
            return
        self._turn.release()
        if not self._turn_ended.acquire(timeout=PATIENCE):
            self.is_stuck = gate.has_failed = True
            raise StuckThreadError(self.thread.name, line_of(self.thread))
        if self.has_ended:
            here.member, before = None, here.member
            self.thread.join(PATIENCE)
            here.member = before
            gate.workers.pop(self.thread, None)
            for waiter in self.joiners:
                waiter.wake()

    def pause(self, deadline: float | None) -> None:
        """See `Member`.

        Raises:
            SystemExit: the simulation is over, or has given up this thread.
        """
        gate = self.gate
        if self.is_stuck:
            raise SystemExit
        self.process = PROCESS.get()
        if deadline is not None:
            timer = gate.loop.call_at(deadline, self.wake)
            gate.sleepers[self] = deadline
        self._turn_ended.release()
        self._turn.acquire()
        if deadline is not None:
            timer.cancel()
            del gate.sleepers[self]
        if gate.is_over:
            raise SystemExit

    def wake(self) -> bool:
        """See `Member`.

        A thread of a dead process goes on only for another process, which has given it work, as to a thread of a pool.
        """
        gate = self.gate
        if self.has_ended or (self in gate.runnable and not is_dead(gate.runnable[self])):
            return False
        process = gate.runnable[self] = PROCESS.get() if is_dead(self.process) else self.process
        gate.enqueue(process, self.take_turn)
        return True


def wake_one(waiters: deque[Member]) -> None:
    """Wake the first that is not awake."""
    for waiter in waiters:
        if waiter.wake():
            return


def line_of(thread: threading.Thread) -> str:
    """The line at which a thread is, such as ``app.py:12 (answer)``."""
    return innermost_line(sys._current_frames().get(thread.ident or 0))


def is_dead(process: Process | None) -> bool:
    """Whether a simulated process was killed, so that none of its code runs any more."""
    return process is not None and process.is_dead

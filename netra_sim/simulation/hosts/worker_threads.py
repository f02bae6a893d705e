"""A virtual-time loop whose program may use real threads."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from netra_sim.simulation.diagnosis import DeadlockError
from netra_sim.simulation.hosts.executors import giving_back
from netra_sim.simulation.hosts.gate import Gate, here, is_dead
from netra_sim.simulation.hosts.gated_threading import gated_threading
from netra_sim.simulation.hosts.host import PROCESS, Process
from netra_sim.simulation.loop import VirtualTimeLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_END_OF_RUN = asyncio.base_events._run_until_complete_cb.__code__  # type: ignore[attr-defined]

DEFAULT_THREADS = 32
"""Threads of the default executor at most. Asyncio's own number depends on the machine, and is 32 on a large one."""


class WorkerThreadLoop(VirtualTimeLoop):
    """A loop in virtual time whose program may start threads, directly or by a library.

    `asyncio.to_thread`, `run_in_executor`, anyio's and asgiref's threads, aiosqlite and every `threading.Thread` that is
    started while the loop is open work in real threads, one at a time: each runs until it blocks, as a step of the loop. So
    virtual time stands still while a thread works, and a seed selects the order of threads as it does that of tasks: every
    run of a seed is the same. Time-outs of locks, queues, futures and joins count virtual time. A deadlock of threads and
    tasks is found.

    What a thread does between two waits is not interrupted; races within it stay hidden. A thread that waits for something
    else than a thread, such as a real socket, takes real time and stops all others.

    From its first run until it is closed, the loop replaces some functions of `threading` and `queue` in the whole process,
    which behave as before to other threads. At its end SystemExit is raised in every thread that is left.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        is_apart = self._is_drawn if self._strategy is None else not self._strategy.in_one_queue
        self._enqueue_task = self._ready_tasks.append if is_apart else self._ready.append
        self._gate = Gate(self, self._task_numbers.__next__, self._enqueue_turn)
        self._executors: dict[Process | None, Executor] = {}
        self._open = ExitStack()
        self._is_gated = False

    def run_forever(self) -> None:
        """Run until `stop` is called."""
        if not self._is_gated:
            self._open.enter_context(gated_threading())
            self._is_gated = True
        before, here.member = here.member, self._gate.loop_thread
        try:
            super().run_forever()
        finally:
            here.member = before

    def close(self) -> None:
        """Close the loop, and end the threads that its program left."""
        if not self.is_running() and not self.is_closed():
            before, here.member = here.member, self._gate.loop_thread
            try:
                self._gate.finish_turns()
                with giving_back(self._gate):
                    self._gate.finish_turns()
                    self._gate.end_workers()
            finally:
                here.member = before
                self._open.close()
        super().close()

    def stop(self) -> None:
        """See `asyncio.loop.stop`; the audit event lets `refusing_boundaries` refuse it to the code under test."""
        if sys._getframe(1).f_code is not _END_OF_RUN:
            sys.audit("asyncio.loop.stop")
        super().stop()

    def sleep_here(self, seconds: float) -> None:
        """Block the calling thread for this much virtual time; on the thread of the loop this is `spend`.

        Raises:
            RuntimeError: the thread is none of this loop's.
        """
        member = here.member
        if member is None or member.gate is not self._gate:
            raise RuntimeError("only the thread of the loop and the threads that it started can sleep in its time")
        member.sleep(seconds)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Run a function in a thread; each simulated process has a default executor of its own."""
        if executor is None:
            self._check_default_executor()  # type: ignore[attr-defined]
            executor = self._executors.get(PROCESS.get())
            if executor is None:
                executor = ThreadPoolExecutor(DEFAULT_THREADS, thread_name_prefix="asyncio")
                self.set_default_executor(executor)
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def set_default_executor(self, executor: Any) -> None:
        """Set the default executor of the running simulated process."""
        super().set_default_executor(executor)
        self._executors[PROCESS.get()] = executor

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        """Wait for the threads of the default executors to end.

        This does not wait for those of dead processes and, after a deadlock, for any; `close` ends them.
        """
        for process, executor in list(self._executors.items()):
            if not (self._gate.has_failed or is_dead(process)):
                super().set_default_executor(executor)  # type: ignore[arg-type]
                await super().shutdown_default_executor(*timeout)

    def _enqueue_turn(self, process: Process | None, take_turn: Callable[[], None]) -> None:
        context = Context()
        context.run(PROCESS.set, process)
        step = (None, context.run, take_turn)
        if here.member is None:  # a thread of no gate, which runs at the same time as the loop
            self._ready.append(step)
            self._write_to_self()
        else:
            self._enqueue_task(step)

    def _wait_for_a_thread(self) -> None:
        self._gate.has_failed = True
        self._fail(DeadlockError(self._now, self._gate.report()))

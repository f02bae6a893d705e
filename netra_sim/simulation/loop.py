"""An asyncio event loop in virtual time: it runs real asyncio code without ever waiting.

Prior art: trio's ``MockClock``, aiotools' ``VirtualClock``, async-solipsism, and the deterministic simulators of
FoundationDB and TigerBeetle. This one has no selector at all, which makes it fast, and it owns the order of what is ready
at the same instant, which makes interleavings explorable from a seed.
"""

import asyncio
import heapq
import math
import random
import threading
import types
from asyncio import base_events, events, futures
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, Literal, NoReturn, TypeVar, TypeVarTuple

from netra_sim.runtime import run
from netra_sim.simulation.diagnosis import waits_report

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SPIN_LIMIT = 20_000_000
"""Steps without any virtual time passing, after which a loop is held to be spinning."""

COARSE_STEP_COST = 1e-6
"""Seconds that a step takes at least on a coarse clock, so that code that waits for the next tick gets there."""

_wake_sleeper = getattr(futures, "_set_result_unless_cancelled", None)
_heappush, _heappop = heapq.heappush, heapq.heappop


class DeadlockError(RuntimeError):
    """Tasks are left, nothing is ready and no timer runs: they wait for each other, or for nobody.

    Attributes:
        report: which task waits on what, where.
    """

    how = "deadlock"

    def __init__(self, now: float, report: str) -> None:
        super().__init__(f"deadlock at {now:.6f} s of virtual time; nothing is ready and no timer runs:\n{report}")
        self.report = report


class VirtualTimeLimitError(RuntimeError):
    """The virtual time limit was reached, or time stood still for `SPIN_LIMIT` steps.

    Attributes:
        how: "time limit" or "spinning".
        report: which task waits on what, where.
    """

    def __init__(self, reason: str, report: str, *, is_spinning: bool = False) -> None:
        super().__init__(f"{reason}:\n{report}")
        self.how = "spinning" if is_spinning else "time limit"
        self.report = report


class VirtualTimeLoop(base_events.BaseEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready.

    Tasks, timeouts, locks, queues, task groups, async generators, context variables and the exception handler are
    asyncio's own. `asyncio.to_thread` and the default executor run their function on the loop, in its turn. There are no
    sockets, pipes, subprocesses or signals; asking for one raises NotImplementedError. A deadlock is raised at once.

    Do not use it where real input or output takes part: time does not pass while that is under way.

    Args:
        seed: of the order in which ready tasks run, if that is random.
        order: "fifo" is the order of stock asyncio. "random" draws the next task from all that are ready at the same
            instant; plain callbacks keep their order among themselves, as asyncio promises.
        tick: resolution of `time` in seconds, or 0 for an exact clock. With a tick timers fire up to a tick early, as on a
            busy loop of Windows' (1/64 s, gh-110695).
        step_cost: seconds of CPU that every step takes; it delays everybody.
        time_limit: virtual seconds after which `VirtualTimeLimitError` is raised.

    Attributes:
        steps: that were taken so far.
        on_stuck: is told of a deadlock, or of a limit that was reached, before that is raised and the tasks are cancelled.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        order: Literal["fifo", "random"] = "fifo",
        tick: float = 0.0,
        step_cost: float = 0.0,
        time_limit: float | None = None,
    ) -> None:
        super().__init__()
        self.steps = 0
        self.on_stuck: Callable[[DeadlockError | VirtualTimeLimitError], None] | None = None
        self._now = 0.0
        self._tick = tick
        self._clock_resolution = tick or 1e-9
        self._step_cost = max(step_cost, COARSE_STEP_COST) if tick else step_cost
        self._time_limit = math.inf if time_limit is None else time_limit
        self._random = random.Random(seed).random if order == "random" else None
        self._ready: deque[Any] = deque()
        self._ready_tasks: list[Any] = []
        self._timers: list[tuple[float, int, Any, Any]] = []
        self._timers_made = 0
        self._compact_at = 1024
        self._from_threads: deque[Any] = deque()
        self._thread_called = threading.Event()
        self._jobs_elsewhere = 0
        self._install_call_soon()
        # As BaseEventLoop.create_future, without a Python frame for each of the many futures.
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    def time(self) -> float:
        """Virtual seconds since the loop was made, in whole ticks."""
        return math.floor(self._now / self._tick) * self._tick if self._tick else self._now

    @property
    def has_plans(self) -> bool:
        """Whether anything is ready, or will be when its time comes."""
        return bool(self._ready or self._ready_tasks) or any(not _is_dead(entry) for entry in self._timers)

    def spend(self, seconds: float) -> None:
        """Let the callback that runs now take this much CPU time: everybody on the loop is held up."""
        if not seconds >= 0:
            raise ValueError(f"seconds must not be negative, and is {seconds}; time cannot go backwards")
        self._now += seconds

    def _install_call_soon(self) -> None:
        """Give the instance a `call_soon` that takes steps of C tasks without making a Handle of each."""
        enqueue_task = self._ready_tasks.append if self._random else self._ready.append
        enqueue = self._ready.append
        loop, handle_class, task_class, builtin = self, events.Handle, asyncio.Task, types.BuiltinFunctionType

        def call_soon(callback: Any, *args: Any, context: Context | None = None) -> Any:
            if context is not None:
                kind = type(callback)
                if kind is _STEP or (kind is builtin and type(callback.__self__) is task_class):
                    return enqueue_task((context, callback, args))
            handle = handle_class(callback, args, loop, context)
            enqueue((_HANDLES, handle, ()))
            return handle

        self.call_soon = call_soon  # type: ignore[assignment]

    def close(self) -> None:
        """Close the loop; what was still scheduled never runs."""
        if not self.is_running():
            self.__dict__.pop("call_soon", None)
            self.__dict__.pop("create_future", None)
            self._timers.clear()
            self._ready_tasks.clear()
        super().close()

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> "events.TimerHandle | _Sleeper":
        """Call back after ``delay`` virtual seconds."""
        if callback is _wake_sleeper and delay > 0:
            when = self._due(self.time() + delay) if self._tick else self._now + delay
            self._timers_made = number = self._timers_made + 1
            _heappush(self._timers, (when, number, args, None))
            if number >= self._compact_at:
                self._compact()
            return _SLEEPER
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Call back at a virtual time; timers of the same time fire in the order in which they were made."""
        if when is None:
            raise TypeError("when must be a number of seconds, and is None")
        self._check_closed()  # type: ignore[attr-defined]
        timer = events.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        if when <= self._now:
            self._ready.append((_HANDLES, timer, ()))
            return timer
        self._timers_made = number = self._timers_made + 1
        _heappush(self._timers, (self._due(when), number, None, timer))
        if number >= self._compact_at:
            self._compact()
        return timer

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """Call back soon, from whichever thread."""
        self._check_closed()  # type: ignore[attr-defined]
        handle = events.Handle(callback, args, self, context)
        self._from_threads.append((_HANDLES, handle, ()))
        self._thread_called.set()
        return handle

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Run a function: on the loop, in its turn, or in the executor that is given."""
        if executor is not None:
            future = asyncio.wrap_future(executor.submit(func, *args), loop=self)
            self._jobs_elsewhere += 1
            future.add_done_callback(self._job_ended)
            return future
        result: asyncio.Future[T] = self.create_future()
        self.call_soon(_run_job, result, func, args)
        return result

    def _job_ended(self, _future: object) -> None:
        self._jobs_elsewhere -= 1

    def _due(self, when: float) -> float:
        return math.floor(when / self._tick) * self._tick if self._tick else when

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Learn of a cancelled timer; nothing is done, as `_compact` finds it."""

    def _compact(self) -> None:
        """Drop cancelled timers now and then, so that they cost no more than the live ones."""
        self._timers[:] = [entry for entry in self._timers if not _is_dead(entry)]
        heapq.heapify(self._timers)
        self._compact_at = self._timers_made + max(1024, len(self._timers))

    def _run_once(self) -> None:
        """Run all that is ready and let time pass until the next timer, again and again until the loop is to stop."""
        run_ready = self._run_ready if self._random is None and not self._step_cost else self._run_ready_in_drawn_order
        while True:
            run_ready()
            if self._stopping:  # type: ignore[attr-defined]
                return
            self._advance()

    def _run_ready(self) -> None:
        """Run what is ready, first come, first served, in no time."""
        ready = self._ready
        next_ready = ready.popleft
        taken = 0
        while ready and not self._stopping:  # type: ignore[attr-defined]
            batch = len(ready)
            for _ in range(batch):
                context, callback, args = next_ready()
                context.run(callback, *args)
            taken += batch
            self.steps += batch
            if taken > SPIN_LIMIT:
                self._fail_spinning()

    def _run_ready_in_drawn_order(self) -> None:
        """Run what is ready, drawing which task is next, each step at its cost."""
        ready, tasks, timers, draw, cost = self._ready, self._ready_tasks, self._timers, self._random, self._step_cost
        left = SPIN_LIMIT
        try:
            while ready or tasks:
                left -= 1
                if tasks and draw is not None and (index := int(draw() * (len(tasks) + len(ready)))) < len(tasks):
                    entry, tasks[index] = tasks[index], tasks[-1]
                    tasks.pop()
                else:
                    entry = ready.popleft()
                context, callback, args = entry
                self._now += cost
                context.run(callback, *args)
                if self._stopping:  # type: ignore[attr-defined]
                    return
                if cost and timers and timers[0][0] <= self._now:
                    self._check_time_limit(self._now)
                    self._fire_due()
                if not left:
                    self._fail_spinning()
        finally:
            self.steps += SPIN_LIMIT - left

    def _advance(self) -> None:
        """Fire the timers of the next instant at which there is one."""
        if self._from_threads:
            self._take_from_threads()
            return
        timers, now, has_fired = self._timers, self._now, False
        while timers:
            when, _, sleeper, timer = timers[0]
            if when > now and has_fired:
                return
            _heappop(timers)
            if sleeper[0].done() if timer is None else timer._cancelled:
                continue
            if when > now:
                self._check_time_limit(when)
                self._now = now = when
            has_fired = True
            if timer is None:
                sleeper[0].set_result(sleeper[1])
            else:
                self._ready.append((_HANDLES, timer, ()))
        if not has_fired:
            self._wait_for_threads()

    def _wait_for_threads(self) -> None:
        if not self._jobs_elsewhere:
            self._fail(DeadlockError(self._now, waits_report(self)))
        self._thread_called.wait()
        self._take_from_threads()

    def _fire_due(self) -> None:
        timers, ready, now = self._timers, self._ready, self._now
        while timers and timers[0][0] <= now:
            _, _, sleeper, timer = _heappop(timers)
            if timer is None:
                future, result = sleeper
                if not future.done():
                    future.set_result(result)
            elif not timer._cancelled:
                ready.append((_HANDLES, timer, ()))

    def _take_from_threads(self) -> None:
        self._thread_called.clear()
        while self._from_threads:
            self._ready.append(self._from_threads.popleft())

    def _check_time_limit(self, when: float) -> None:
        if when > self._time_limit:
            reason = f"the virtual time limit of {self._time_limit:g} s was reached"
            self._fail(VirtualTimeLimitError(reason, waits_report(self)))

    def _fail_spinning(self) -> None:
        reason = f"{SPIN_LIMIT:,} steps were taken at {self._now:.6f} s without time passing; a task is spinning"
        self._fail(VirtualTimeLimitError(reason, waits_report(self), is_spinning=True))

    def _fail(self, error: "DeadlockError | VirtualTimeLimitError") -> NoReturn:
        if self.on_stuck is not None:
            self.on_stuck(error)
        raise error

    def _process_events(self, event_list: object) -> None:
        """There is no selector, so there are no events."""

    def _write_to_self(self) -> None:
        self._thread_called.set()


def run_virtual(coroutine: Coroutine[Any, Any, T], **options: Any) -> T:
    """Run a coroutine on a new `VirtualTimeLoop`, which is made with the options given."""
    return run(coroutine, loop_factory=lambda: VirtualTimeLoop(**options))


class _Sleeper:
    """The handle of a sleep: the future itself is what cancels it."""

    __slots__ = ()

    # Nothing to do, in no time: the loop looks at the future when its time comes.
    cancel = bool

    def cancelled(self) -> bool:
        return False


_SLEEPER = _Sleeper()


def _is_dead(entry: tuple[float, int, Any, Any]) -> bool:
    _, _, sleeper, timer = entry
    return bool(sleeper[0].done() if timer is None else timer._cancelled)


class _Handles:
    """Stands where a task's step has its context: a handle enters its own."""

    __slots__ = ()

    @staticmethod
    def run(handle: Any) -> None:
        if not handle._cancelled:
            handle._run()


_HANDLES = _Handles()


def _run_job(result: "asyncio.Future[T]", func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if result.cancelled():
        return
    try:
        value = func(*args)
    except Exception as error:
        result.set_exception(error)
    else:
        result.set_result(value)


def _step_type() -> type:
    """The type of the callable with which a C task asks the loop for its next step; asyncio does not export it."""
    steps: list[Any] = []

    class Probe:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, callback: object, *args: object, context: Context | None = None) -> None:
            steps.append(callback)

    async def nothing() -> None:
        pass

    coroutine = nothing()
    task = asyncio.Task(coroutine, loop=Probe())  # type: ignore[arg-type]
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine.close()
    return type(steps[0])


_STEP = _step_type()

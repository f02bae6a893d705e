"""An asyncio event loop in virtual time: it runs real asyncio code without waiting.

Prior art: trio's ``MockClock``, aiotools' ``VirtualClock``, async-solipsism, and the deterministic simulators of
FoundationDB and TigerBeetle. This loop has no selector, which makes it fast. It decides the order of tasks that are ready at
the same instant, so a seed selects the interleaving.
"""

import asyncio
import heapq
import itertools
import math
import random
import threading
import types
from asyncio import base_events, events, futures
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError, waits_report
from netra_sim.simulation.schedule import IN_THE_LOOP, Entry, refuse_unless_schedule, strategy_of
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.stepping import run_taken, runner_of
from netra_sim.simulation.timers import SLEEPER, Sleeper, each_timer, is_dead, run_handle

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SPIN_LIMIT = 20_000_000
"""Steps without any progress of virtual time, after which the loop reports that a task is spinning."""

_COMPACT_FROM = 1024
_NO_ARGUMENT: Any = object()
_wake_sleeper = getattr(futures, "_set_result_unless_cancelled", None)
_heappush, _heappop = heapq.heappush, heapq.heappop


class VirtualTimeLoop(base_events.BaseEventLoop):
    """An event loop with a clock that jumps to the next timer when nothing is ready.

    Tasks, timeouts, locks, queues, task groups, async generators, context variables and the exception handler are those of
    asyncio. `asyncio.to_thread` and the default executor run their function on the loop, as one of its steps. There are no
    sockets, pipes, subprocesses or signals; asking for one raises NotImplementedError. The loop raises `DeadlockError` as
    soon as nothing can run any more.

    Do not use it with real input or output: virtual time does not pass while that is under way.

    Args:
        seed: determines the order in which ready tasks run, if the order leaves it open.
        order: "fifo" is the order of stock asyncio. "random" draws the next task from all that are ready at the same
            instant; plain callbacks keep their order among themselves, as asyncio promises. Other orders: see
            `netra_sim.simulation.schedule`.
        step_cost: seconds of CPU time that every step takes.
        time_limit: virtual seconds after which the loop raises `VirtualTimeLimitError`.
        spin_limit: steps without any progress of virtual time, after which the loop reports that a task is spinning;
            `SPIN_LIMIT` by default.
        log: is told of every step; this makes the loop slow and changes nothing else.

    Attributes:
        steps: the number of steps so far.
        kernel_steps: the number of these that were of a virtual operating system or of the schedule, and of no program.
        busy: the seconds of CPU time that were spent so far.
        trail: a hash of the order in which the steps of tasks ran; set it to 0 before the loop runs, with an order that is
            neither "fifo" nor "random". It is the same in every process.
        marks: a hash of the operations marked with `netra_sim.simulation.mark`, in their order; 0 if there were none.
        on_stuck: called with a deadlock or a reached limit before the loop raises it and the tasks are cancelled.
    """

    _closed = True  # until it is made: a loop that was refused has nothing to close

    def __init__(
        self,
        *,
        seed: int = 0,
        order: str = "fifo",
        step_cost: float = 0.0,
        time_limit: float | None = None,
        spin_limit: int | None = None,
        log: ScheduleLog | None = None,
    ) -> None:
        refuse_unless_schedule(order)
        super().__init__()
        self.steps = self.kernel_steps = 0
        self.busy = 0.0
        self.trail: int | None = None
        self.marks = 0
        self.on_stuck: Callable[[DeadlockError | VirtualTimeLimitError], None] | None = None
        self._now = 0.0
        self._clock_resolution = 1e-9
        self._step_cost = step_cost
        self._time_limit = math.inf if time_limit is None else time_limit
        self._draw = random.Random(seed).random
        self._spin_limit = spin_limit
        self._is_drawn = order == "random"
        self._strategy = strategy_of(order, seed) if order not in IN_THE_LOOP or log is not None else None
        self._run_ready = runner_of(order) if log is None else run_taken
        if self._strategy is not None:
            self._strategy.clock = self.exact_time
            self._strategy.call_later = self._call_strategy_later
            self._take = self._strategy.take if log is None else log.watch(self._strategy, self.exact_time)
        self._ready: deque[Entry] = deque() if self._strategy is None else self._strategy.ready
        self._ready_tasks: list[Entry] = [] if self._strategy is None else self._strategy.tasks
        # A heap of the instants that have timers (floats compare fast), and the timer of each instant, or a list of them.
        self._due: list[float] = []
        self._timers: dict[float, Any] = {}
        self._timers_sharing = 0  # timers that follow another of the same instant
        self._compact_at = _COMPACT_FROM
        self._thread_called = threading.Event()
        self._jobs_elsewhere = 0
        self._task_numbers = itertools.count()
        self._install_call_soon()
        # Same result as BaseEventLoop.create_future, without a Python frame for every future.
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    def set_debug(self, enabled: bool) -> None:
        """Switch asyncio's debug mode on or off."""
        super().set_debug(enabled)
        # Every new future calls this: same result as BaseEventLoop.get_debug, without a Python frame.
        self.get_debug = partial(bool, enabled)  # type: ignore[method-assign]

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def exact_time(self) -> float:
        """Virtual seconds since the loop was made, exact even if the clock of the loop is coarse."""
        return self._now

    @property
    def steps_ready(self) -> int:
        """How many steps could run now, and wait for their turn."""
        return len(self._ready) + len(self._ready_tasks)

    def has_plans(self, ignoring: Collection["asyncio.Task[Any]"] = ()) -> bool:
        """Whether anything is ready or scheduled, except the sleeps of the tasks to ignore."""
        sleeps = [getattr(task, "_fut_waiter", None) for task in ignoring]
        return bool(self._ready or self._ready_tasks) or any(
            not is_dead(timer) and not (type(timer) is tuple and any(timer[0] is sleep for sleep in sleeps))
            for timers in self._timers.values()
            for timer in each_timer(timers)
        )

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], **settings: Any
    ) -> "asyncio.Task[T]":
        """Start a task with a stable hash: sets of tasks, as in `asyncio.TaskGroup`, always iterate in the same order."""
        if self.get_task_factory() is not None:
            return super().create_task(coro, **settings)
        self._check_closed()  # type: ignore[attr-defined]
        return _Task(next(self._task_numbers), coro, loop=self, **settings)

    def spend(self, seconds: float) -> None:
        """Let the current callback take this much CPU time; the whole loop is blocked meanwhile."""
        if not seconds >= 0:
            raise ValueError(f"seconds must not be negative, and is {seconds}; time cannot go backwards")
        self._now += seconds
        self.busy += seconds

    def _install_call_soon(self) -> None:
        """Give the instance a `call_soon` that makes no Handle for the steps of C tasks."""
        enqueue = self._ready.append
        is_apart = self._is_drawn if self._strategy is None else not self._strategy.in_one_queue
        enqueue_task = self._ready_tasks.append if is_apart else enqueue
        loop, handle_class, task_class, builtin = self, events.Handle, _Task, types.BuiltinFunctionType

        # The first argument has a name: a wake-up has exactly one, and then needs no tuple.
        def call_soon(callback: Any, argument: Any = _NO_ARGUMENT, *more: Any, context: Context | None = None) -> Any:
            if context is not None:
                if type(callback) is builtin and type(callback.__self__) is task_class:
                    return enqueue_task((context, callback, argument))
                if type(callback) is _STEP:
                    return enqueue_task((None, context.run, callback))
            handle = handle_class(callback, () if argument is _NO_ARGUMENT else (argument, *more), loop, context)
            enqueue((None, run_handle, handle))
            return handle

        self.call_soon = call_soon  # type: ignore[assignment]

    def close(self) -> None:
        """Close the loop; what was still scheduled never runs."""
        if not self.is_running():
            self.__dict__.pop("call_soon", None)
            self.__dict__.pop("create_future", None)
            self._timers.clear()
            self._due.clear()
            self._ready_tasks.clear()
        super().close()

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> "events.TimerHandle | Sleeper":
        """Call back after ``delay`` virtual seconds."""
        if callback is _wake_sleeper and delay > 0:
            when = self.time() + delay
            if self._timers.setdefault(when, args) is args:
                _heappush(self._due, when)
            else:
                self._add_timer(when, args)
            return SLEEPER
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Call back at a virtual time; timers of the same time fire in the order of their creation."""
        if when is None:
            raise TypeError("when must be a number of seconds, and is None")
        self._check_closed()  # type: ignore[attr-defined]
        timer = events.TimerHandle(when, callback, args, self, context)
        if when <= self._now:
            self._ready.append((None, run_handle, timer))
        else:
            self._add_timer(when, timer)
        return timer

    def call_at_exactly(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Call back at an `exact_time`: for events of another machine, which does not share the clock of the loop."""
        return self.call_at(when, callback, *args, context=context)

    def end_pauses(self) -> None:
        """Let all tasks that pause go on now, and let no task pause any more; see `netra_sim.simulation.schedule`."""
        if self._strategy is not None:
            self._strategy.end_pauses()

    def _call_strategy_later(
        self, milliseconds: int, callback: Callable[[int], None], argument: int, context: Context
    ) -> events.TimerHandle:
        ends = self.exact_time() + milliseconds / 1000
        return self.call_at_exactly(ends, self._run_for_strategy, callback, argument, context=context)

    def _run_for_strategy(self, callback: Callable[[int], None], argument: int) -> None:
        self.kernel_steps += 1
        callback(argument)

    async def sleep_exactly(self, seconds: float) -> None:
        """Sleep by `exact_time`, as another machine does."""
        await asyncio.sleep(seconds)

    def _add_timer(self, when: float, timer: Any) -> None:
        """Add a timer after the others of its instant."""
        others = self._timers.setdefault(when, timer)
        if others is timer:
            _heappush(self._due, when)
            return
        if type(others) is not list:
            self._timers[when] = others = [others]
        others.append(timer)
        self._timers_sharing += 1
        if self._timers_sharing > self._compact_at:
            self._compact()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """Call back soon; any thread may call this."""
        self._check_closed()  # type: ignore[attr-defined]
        handle = events.Handle(callback, args, self, context)
        self._ready.append((None, run_handle, handle))
        self._thread_called.set()
        return handle

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Run a function as a step of the loop, or in the given executor."""
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

    def _compact(self) -> None:
        """Drop cancelled timers, so that they take no more memory than the live ones."""
        live = [(when, one) for when, timers in self._timers.items() for one in each_timer(timers) if not is_dead(one)]
        self._compact_at = 2 * len(live) + _COMPACT_FROM
        self._timers_sharing = 0
        self._timers.clear()
        self._due.clear()
        for when, timer in live:
            self._add_timer(when, timer)

    def _run_once(self) -> None:
        """Repeat until the loop is to stop: run all that is ready, and jump to the next timer."""
        ready, due, timers, steps = self._ready, self._due, self._timers, self.steps
        next_ready, in_order = ready.popleft, self._strategy is None and not self._is_drawn and not self._step_cost
        spin_limit = SPIN_LIMIT if self._spin_limit is None else self._spin_limit
        while True:
            # The most frequent case is inlined: a step costs only as much as a few function calls.
            if in_order:
                spins_at = steps + spin_limit
                while left := len(ready):
                    self.steps = steps = steps + left
                    while left:
                        left -= 1
                        context, callback, argument = next_ready()
                        if context is None:
                            callback(argument)
                        else:
                            context.run(callback, argument)
                    if self._stopping:  # type: ignore[attr-defined]
                        return
                    if steps > spins_at:
                        self._fail_spinning()
            else:
                self._run_ready(self, spin_limit, due)
                if (ready or self._ready_tasks) and not self._stopping:  # type: ignore[attr-defined]
                    self._fail_spinning()
            if self._stopping:  # type: ignore[attr-defined]
                return
            if not 0 < len(due) <= self._compact_at:
                self._advance()
                continue
            when = _heappop(due)
            timer = timers.pop(when)
            if type(timer) is tuple and self._now < when <= self._time_limit and not timer[0].done():
                self._now = when
                timer[0].set_result(timer[1])
            else:
                self._fire(when, timer)

    def _advance(self) -> None:
        """Jump to the next instant that has timers; without one, wait for a thread."""
        if len(self._due) > self._compact_at:
            self._compact()
        if self._due:
            self._fire(when := _heappop(self._due), self._timers.pop(when))
        elif not self._ready:
            self._wait_for_a_thread()

    def _wait_for_a_thread(self) -> None:
        if not self._jobs_elsewhere:
            self._fail(DeadlockError(self._now, waits_report(self)))
        self._thread_called.wait()
        self._thread_called.clear()

    def _fire(self, when: float, timers: Any) -> None:
        """Fire the timers of an instant, and all other timers that are past."""
        while True:
            self._timers_sharing -= len(each_timer(timers)) - 1
            for timer in each_timer(timers):
                if is_dead(timer):
                    continue
                if when > self._now:
                    self._check_time_limit(when)
                    self._now = when
                if type(timer) is tuple:
                    timer[0].set_result(timer[1])
                else:
                    self._ready.append((None, run_handle, timer))
            if not self._due or self._due[0] > self._now:
                return
            timers = self._timers.pop(when := _heappop(self._due))

    def _check_time_limit(self, when: float) -> None:
        if when > self._time_limit:
            reason = f"the virtual time limit of {self._time_limit:g} s was reached"
            self._fail(VirtualTimeLimitError(reason, waits_report(self)))

    def _fail_spinning(self) -> None:
        limit = SPIN_LIMIT if self._spin_limit is None else self._spin_limit
        reason = f"{limit:,} steps were taken at {self._now:.6f} s without time passing; a task is spinning"
        self._fail(VirtualTimeLimitError(reason, waits_report(self), is_spinning=True))

    def _fail(self, error: "DeadlockError | VirtualTimeLimitError") -> NoReturn:
        if self.on_stuck is not None:
            self.on_stuck(error)
        raise error

    def _write_to_self(self) -> None:
        self._thread_called.set()


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """A task that hashes by its number: its address would order sets of tasks differently in every process."""

    __slots__ = ("_number",)

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **settings: Any) -> None:
        self._number = number
        super().__init__(coro, **settings)

    def __hash__(self) -> int:
        return self._number


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
    """The type of the callable by which a C task asks the loop for its next step; asyncio does not export it."""
    steps: list[Any] = []
    loop: Any = types.SimpleNamespace(get_debug=bool, call_soon=lambda step, **_: steps.append(step))
    coroutine = asyncio.sleep(0)
    task = asyncio.Task(coroutine, loop=loop)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine.close()
    return type(steps[0])


_STEP = _step_type()

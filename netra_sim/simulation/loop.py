"""An asyncio event loop in virtual time: it runs real asyncio code without ever waiting.

Prior art: trio's ``MockClock``, aiotools' ``VirtualClock``, async-solipsism, and the deterministic simulators of
FoundationDB and TigerBeetle. This one has no selector at all, which makes it fast, and it owns the order of what is ready
at the same instant, which makes interleavings explorable from a seed.
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
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, Literal, NoReturn, TypeVar, TypeVarTuple

from netra_sim.runtime import run
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError, waits_report

__all__ = ["DeadlockError", "VirtualTimeLimitError", "VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SPIN_LIMIT = 20_000_000
"""Steps without any virtual time passing, after which a loop is held to be spinning."""

COARSE_STEP_COST = 1e-6
"""Seconds that a step takes at least on a coarse clock, so that code that waits for the next tick gets there."""

_COARSE_WAIT = 0.001
"""Seconds of which a wait has a whole number on a coarse clock: `IocpProactor` asks Windows to wait for milliseconds."""

_COMPACT_FROM = 1024
_NO_ARGUMENT: Any = object()
_wake_sleeper = getattr(futures, "_set_result_unless_cancelled", None)
_heappush, _heappop = heapq.heappush, heapq.heappop


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
        tick: resolution of `time` in seconds, or 0 for an exact clock. With a tick the loop works as the Proactor loop of
            Windows up to Python 3.12 does, whose tick is 1/64 s: it runs a timer up to a tick before its time, which may
            have been computed from a time that was up to a tick old (gh-88494, gh-110695); and it waits in milliseconds.
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
        self._draw = random.Random(seed).random
        self._is_drawn = order == "random"
        # A task to wake: its context, its wake-up, what it waited for. Anything else: None, a function, its argument.
        self._ready: deque[tuple[Context | None, Callable[..., object], Any]] = deque()
        self._ready_tasks: list[tuple[Context | None, Callable[..., object], Any]] = []
        # A heap of the instants at which there are timers, as floats compare fast, and each one's timer, or a list of them.
        self._due: list[float] = []
        self._timers: dict[float, Any] = {}
        self._timers_beside = 0
        self._compact_at = _COMPACT_FROM
        # On a coarse clock, what other machines do: a heap of when, a number that decides between equals, and the timer.
        self._elsewhere: list[tuple[float, int, events.TimerHandle]] = []
        self._made_elsewhere = itertools.count()
        self._thread_called = threading.Event()
        self._jobs_elsewhere = 0
        self._task_numbers = itertools.count()
        self._install_call_soon()
        # As BaseEventLoop.create_future, without a Python frame for each of the many futures.
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    def set_debug(self, enabled: bool) -> None:
        """Switch asyncio's debug mode on or off."""
        super().set_debug(enabled)
        # As BaseEventLoop.get_debug, which every new future calls, without a Python frame.
        self.get_debug = partial(bool, enabled)  # type: ignore[method-assign]

    def time(self) -> float:
        """Virtual seconds since the loop was made, in whole ticks."""
        return math.floor(self._now / self._tick) * self._tick if self._tick else self._now

    def exact_time(self) -> float:
        """Virtual seconds since the loop was made, as a stopwatch beside it would show them."""
        return self._now

    def has_plans(self, beside: Collection["asyncio.Task[Any]"] = ()) -> bool:
        """Whether anything is ready, or will be when its time comes, beside the sleep of tasks that never end."""
        sleeps = [getattr(task, "_fut_waiter", None) for task in beside]
        if any(not timer.cancelled() for _, _, timer in self._elsewhere):
            return True
        return bool(self._ready or self._ready_tasks) or any(
            not _is_dead(timer) and not (type(timer) is tuple and any(timer[0] is sleep for sleep in sleeps))
            for timers in self._timers.values()
            for timer in _each(timers)
        )

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], **settings: Any
    ) -> "asyncio.Task[T]":
        """Start a task; sets of tasks, such as those of a `asyncio.TaskGroup`, have the same order in every process."""
        if self.get_task_factory() is not None:
            return super().create_task(coro, **settings)
        self._check_closed()  # type: ignore[attr-defined]
        return _Task(next(self._task_numbers), coro, loop=self, **settings)

    def spend(self, seconds: float) -> None:
        """Let the callback that runs now take this much CPU time: everybody on the loop is held up."""
        if not seconds >= 0:
            raise ValueError(f"seconds must not be negative, and is {seconds}; time cannot go backwards")
        self._now += seconds

    def _install_call_soon(self) -> None:
        """Give the instance a `call_soon` that takes steps of C tasks without making a Handle of each."""
        enqueue = self._ready.append
        enqueue_task = self._ready_tasks.append if self._is_drawn else enqueue
        loop, handle_class, task_class, builtin = self, events.Handle, _Task, types.BuiltinFunctionType

        # The first argument by name, as a wake-up has one and needs no tuple for it.
        def call_soon(callback: Any, argument: Any = _NO_ARGUMENT, *more: Any, context: Context | None = None) -> Any:
            if context is not None:
                if type(callback) is builtin and type(callback.__self__) is task_class:
                    return enqueue_task((context, callback, argument))
                if type(callback) is _STEP:
                    return enqueue_task((None, context.run, callback))
            handle = handle_class(callback, () if argument is _NO_ARGUMENT else (argument, *more), loop, context)
            enqueue((None, _run_handle, handle))
            return handle

        self.call_soon = call_soon  # type: ignore[assignment]

    def close(self) -> None:
        """Close the loop; what was still scheduled never runs."""
        if not self.is_running():
            self.__dict__.pop("call_soon", None)
            self.__dict__.pop("create_future", None)
            self._timers.clear()
            self._due.clear()
            self._elsewhere.clear()
            self._ready_tasks.clear()
        super().close()

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> "events.TimerHandle | _Sleeper":
        """Call back after ``delay`` virtual seconds."""
        if callback is _wake_sleeper and delay > 0:
            when = self.time() + delay
            if self._timers.setdefault(when, args) is args:
                _heappush(self._due, when)
            else:
                self._add_timer(when, args)
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
        if when <= self._now:
            self._ready.append((None, _run_handle, timer))
        else:
            self._add_timer(when, timer)
        return timer

    def call_at_exactly(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> events.TimerHandle:
        """Call back at a time of `exact_time`: for what another machine does, such as sending what arrives then."""
        if not self._tick:
            return self.call_at(when, callback, *args)
        self._check_closed()  # type: ignore[attr-defined]
        timer = events.TimerHandle(when, callback, args, self)
        _heappush(self._elsewhere, (when, next(self._made_elsewhere), timer))
        return timer

    async def sleep_exactly(self, seconds: float) -> None:
        """Sleep as long as another machine does, whose clock is not the loop's."""
        if not self._tick or seconds <= 0:
            await asyncio.sleep(seconds)
            return
        woken: asyncio.Future[None] = self.create_future()
        timer = self.call_at_exactly(self._now + seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def _add_timer(self, when: float, timer: Any) -> None:
        """Let a timer be the first of its instant, or follow the others."""
        others = self._timers.setdefault(when, timer)
        if others is timer:
            _heappush(self._due, when)
            return
        if type(others) is not list:
            self._timers[when] = others = [others]
        others.append(timer)
        self._timers_beside += 1
        if self._timers_beside > self._compact_at:
            self._compact()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """Call back soon, from whichever thread."""
        self._check_closed()  # type: ignore[attr-defined]
        handle = events.Handle(callback, args, self, context)
        self._ready.append((None, _run_handle, handle))
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

    def _compact(self) -> None:
        """Drop cancelled timers now and then, so that they cost no more than the live ones."""
        live = [(when, one) for when, timers in self._timers.items() for one in _each(timers) if not _is_dead(one)]
        self._compact_at = 2 * len(live) + _COMPACT_FROM
        self._timers_beside = 0
        self._timers.clear()
        self._due.clear()
        for when, timer in live:
            self._add_timer(when, timer)

    def _run_once(self) -> None:
        """Run all that is ready and let time pass until the next timer, again and again until the loop is to stop."""
        if self._tick:
            self._run_turns_on_a_coarse_clock()
            return
        ready, due, timers, steps = self._ready, self._due, self._timers, self.steps
        next_ready, in_order = ready.popleft, not self._is_drawn and not self._step_cost
        while True:
            # What is commonest stands here, without calls: a step costs as much as a few of those.
            if in_order:
                spins_at = steps + SPIN_LIMIT
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
                self._run_ready_in_drawn_order()
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

    def _run_turns_on_a_coarse_clock(self) -> None:
        """Do what `BaseEventLoop._run_once` does each turn: run what is ready, wait if nothing is, look for due timers."""
        spins_at = self.steps + SPIN_LIMIT
        while True:
            self._run_ready_in_drawn_order(len(self._ready) + len(self._ready_tasks))
            if self._stopping:  # type: ignore[attr-defined]
                return
            if self._ready or self._ready_tasks:
                if self.steps > spins_at:
                    self._fail_spinning()
            else:
                self._wait_as_a_proactor()
                spins_at = self.steps + SPIN_LIMIT
            while self._elsewhere and self._elsewhere[0][0] <= self._now:
                self._ready.append((None, _run_handle, heapq.heappop(self._elsewhere)[2]))
            due, soon = self._due, self.time() + self._tick
            while due and due[0] < soon:
                self._ring(self._timers.pop(heapq.heappop(due)))

    def _wait_as_a_proactor(self) -> None:
        """Wait for whole milliseconds until the next timer's time, or until another machine does something."""
        while self._elsewhere and self._elsewhere[0][2].cancelled():
            heapq.heappop(self._elsewhere)
        while self._due and all(map(_is_dead, _each(self._timers[self._due[0]]))):
            self._ring(self._timers.pop(heapq.heappop(self._due)))
        if not self._due and not self._elsewhere:
            self._wait_for_a_thread()
            return
        ends = math.inf
        if self._due:
            ends = self._now + math.ceil(max(0.0, self._due[0] - self.time()) / _COARSE_WAIT) * _COARSE_WAIT
        if self._elsewhere:
            ends = max(self._now, min(ends, self._elsewhere[0][0]))
        self._check_time_limit(ends)
        self._now = ends

    def _ring(self, timers: Any) -> None:
        """Have the timers of an instant run in the next turn."""
        self._timers_beside -= len(_each(timers)) - 1
        for timer in _each(timers):
            if _is_dead(timer):
                continue
            if type(timer) is tuple:
                timer[0].set_result(timer[1])
            else:
                self._ready.append((None, _run_handle, timer))

    def _run_ready_in_drawn_order(self, most: int = SPIN_LIMIT) -> None:
        """Run what is ready, up to so many steps, drawing which task is next, each step at its cost."""
        ready, tasks, due, draw, cost = self._ready, self._ready_tasks, self._due, self._draw, self._step_cost
        next_ready, left, is_turn = ready.popleft, most, most < SPIN_LIMIT
        try:
            while ready or tasks:
                left -= 1
                if len(tasks) == 1 and not ready:
                    draw()  # one a step, however many tasks are ready
                    context, callback, argument = tasks.pop()
                elif tasks and (index := int(draw() * (len(tasks) + len(ready)))) < len(tasks):
                    context, callback, argument = tasks[index]
                    tasks[index] = tasks[-1]  # no name for it: that would keep its task
                    del tasks[-1]
                else:
                    context, callback, argument = next_ready()
                if cost:
                    self._now += cost
                if context is None:
                    callback(argument)
                else:
                    context.run(callback, argument)
                if self._stopping:  # type: ignore[attr-defined]
                    return
                if cost and due and due[0] <= self._now and not is_turn:
                    self._check_time_limit(self._now)
                    self._fire(when := _heappop(due), self._timers.pop(when))
                if not left:
                    if is_turn:
                        return
                    self._fail_spinning()
        finally:
            self.steps += most - left

    def _advance(self) -> None:
        """Let time pass until the next instant at which there are timers, or wait for a thread."""
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
        """Fire the timers of an instant, and of all others that are past."""
        while True:
            self._timers_beside -= len(_each(timers)) - 1
            for timer in _each(timers):
                if _is_dead(timer):
                    continue
                if when > self._now:
                    self._check_time_limit(when)
                    self._now = when
                if type(timer) is tuple:
                    timer[0].set_result(timer[1])
                else:
                    self._ready.append((None, _run_handle, timer))
            if not self._due or self._due[0] > self._now:
                return
            timers = self._timers.pop(when := _heappop(self._due))

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

    def _write_to_self(self) -> None:
        self._thread_called.set()


def run_virtual(coroutine: Coroutine[Any, Any, T], **options: Any) -> T:
    """Run a coroutine on a new `VirtualTimeLoop`, which is made with the options given."""
    return run(coroutine, loop_factory=lambda: VirtualTimeLoop(**options))


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """A task that hashes by its number, as an address would order sets of tasks differently in every process."""

    __slots__ = ("_number",)

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **settings: Any) -> None:
        self._number = number
        super().__init__(coro, **settings)

    def __hash__(self) -> int:
        return self._number


class _Sleeper:
    """The handle of a sleep: the future itself is what cancels it."""

    __slots__ = ()

    cancel = bool  # nothing to do, in no time: the loop looks at the future when its time comes

    def cancelled(self) -> bool:
        return False


_SLEEPER = _Sleeper()


def _each(timers: Any) -> Sequence[Any]:
    return timers if type(timers) is list else (timers,)


def _is_dead(timer: Any) -> bool:
    """Of a timer, which is a TimerHandle, or of a sleep: the future that wakes its task, and the result of that."""
    return bool(timer[0].done() if type(timer) is tuple else timer._cancelled)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _run_handle(handle: Any) -> None:
    if not handle._cancelled:
        handle._run()


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
    loop: Any = types.SimpleNamespace(get_debug=bool, call_soon=lambda step, **_: steps.append(step))
    coroutine = asyncio.sleep(0)
    task = asyncio.Task(coroutine, loop=loop)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine.close()
    return type(steps[0])


_STEP = _step_type()

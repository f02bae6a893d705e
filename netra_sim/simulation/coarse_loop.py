"""A virtual-time loop with the coarse clock of Windows: it works in turns, as the Proactor loop does."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Collection
from contextvars import Context
from typing import Any, TypeVarTuple

from netra_sim.simulation.loop import SPIN_LIMIT, VirtualTimeLoop
from netra_sim.simulation.timers import each_timer, is_dead, run_handle

Ts = TypeVarTuple("Ts")

STEP_COST = 1e-6
"""The least CPU time of a step, in seconds, so that code that polls for the next tick reaches it."""

_WAIT_UNIT = 0.001
"""Seconds; every wait is a whole number of these: `IocpProactor` asks Windows to wait for milliseconds."""


class CoarseClockLoop(VirtualTimeLoop):
    """A `VirtualTimeLoop` with a clock that moves in ticks, as on Windows up to Python 3.12 (gh-88494, gh-110695).

    It runs a timer up to a tick before its time. That time may itself have been computed from a clock reading that was up to
    a tick old. It waits in whole milliseconds. Other machines have exact clocks: see `call_at_exactly`.

    Args:
        tick: the resolution of `time`, in seconds; 1/64 on Windows.
        step_cost: seconds of CPU time that every step takes; at least `STEP_COST`.
        options: the other arguments of `VirtualTimeLoop`.
    """

    def __init__(self, *, tick: float, step_cost: float = 0.0, **options: Any) -> None:
        super().__init__(step_cost=max(step_cost, STEP_COST), **options)
        self._tick = tick
        self._clock_resolution = tick
        # What other machines do: a heap of the time, a number that orders equal times, and the timer.
        self._elsewhere: list[tuple[float, int, Any]] = []
        self._made_elsewhere = itertools.count()

    def time(self) -> float:
        """Virtual seconds since the loop was made, in whole ticks."""
        return math.floor(self._now / self._tick) * self._tick

    def has_plans(self, ignoring: Collection["asyncio.Task[Any]"] = ()) -> bool:
        """See `VirtualTimeLoop.has_plans`."""
        return any(not timer.cancelled() for _, _, timer in self._elsewhere) or super().has_plans(ignoring)

    def close(self) -> None:
        """Close the loop; what was still scheduled never runs."""
        if not self.is_running():
            self._elsewhere.clear()
        super().close()

    def call_at_exactly(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `VirtualTimeLoop.call_at_exactly`."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._add_elsewhere(when, timer)
        return timer

    def _add_elsewhere(self, when: float, timer: Any) -> None:
        heapq.heappush(self._elsewhere, (when, next(self._made_elsewhere), timer))

    async def sleep_exactly(self, seconds: float) -> None:
        """See `VirtualTimeLoop.sleep_exactly`."""
        if seconds <= 0:
            await asyncio.sleep(seconds)
            return
        woken: asyncio.Future[None] = self.create_future()
        timer = self.call_at_exactly(self._now + seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def _run_once(self) -> None:
        """Repeat the turn of `BaseEventLoop._run_once`: run what is ready, wait if nothing is, and fire due timers."""
        spins_at = self.steps + SPIN_LIMIT
        while True:
            self._run_ready(self, len(self._ready) + len(self._ready_tasks), ())
            if self._stopping:  # type: ignore[attr-defined]
                return
            if self._ready or self._ready_tasks:
                if self.steps > spins_at:
                    self._fail_spinning()
            else:
                self._wait()
                spins_at = self.steps + SPIN_LIMIT
            while self._elsewhere and self._elsewhere[0][0] <= self._now:
                self._ready.append((None, run_handle, heapq.heappop(self._elsewhere)[2]))
            soon = self.time() + self._tick
            while self._due and self._due[0] < soon:
                self._fire(self._now, self._pop_timers())

    def _wait(self) -> None:
        """Wait for whole milliseconds until the next timer's time, or until another machine does something."""
        while self._elsewhere and self._elsewhere[0][2].cancelled():
            heapq.heappop(self._elsewhere)
        while self._due and all(map(is_dead, each_timer(self._timers[self._due[0]]))):
            self._timers_sharing -= len(each_timer(self._pop_timers())) - 1
        if not self._due and not self._elsewhere:
            self._wait_for_a_thread()
            return
        ends = math.inf
        if self._due:
            ends = self._now + math.ceil(max(0.0, self._due[0] - self.time()) / _WAIT_UNIT) * _WAIT_UNIT
        if self._elsewhere:
            ends = max(self._now, min(ends, self._elsewhere[0][0]))
        self._check_time_limit(ends)
        self._now = ends

    def _pop_timers(self) -> Any:
        return self._timers.pop(heapq.heappop(self._due))


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)

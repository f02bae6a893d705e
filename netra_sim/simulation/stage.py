"""What every simulation has: a loop, a recorder, faults that begin and end, background work, and a History at the end."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from netra_sim.history import LOOP_STEPS, History
from netra_sim.recording import Recorder, describe_loop_error, without_addresses
from netra_sim.simulation.diagnosis import (
    DeadlockError,
    HarnessError,
    VirtualTimeLimitError,
    blaming,
    harness_error,
)
from netra_sim.simulation.fault_state import FaultState, Injection
from netra_sim.simulation.faults import Fault
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.scenario import Scenario


class StageUser(Protocol):
    """A user as a `Stage` knows it."""

    user_id: str
    is_present: bool


class Stage:
    """One simulation. A subclass says what takes part, by `play`, and how faults change it, by `adapt`.

    Args:
        scenario: what happens.
        seed: decides everything that the scenario leaves to chance.
        loop: the loop that everything runs on.
        on_answer: called at the end of every request.

    Attributes:
        users: all who take part, present or not; none before they begin.
        recorder: takes what is observed.
        faults: which faults are active.
        failure: the error of a part of the simulation itself, or None.
        counts_steps: whether the History gets the number of steps of the loop, as a measure of the server's work.
    """

    counts_steps = True
    users: Sequence[StageUser] = ()

    def __init__(self, scenario: Scenario, seed: int, loop: VirtualTimeLoop, on_answer: Callable[[], None]) -> None:
        self.scenario = scenario
        self.seed = seed
        self.loop = loop
        self.on_answer = on_answer
        self.recorder = Recorder(loop.exact_time)
        self.faults = FaultState(scenario.faults, seed)
        self.failure: HarnessError | None = None
        self._background: dict[asyncio.Task[Any], None] = {}
        self._late_errors: list[tuple[str, str]] = []
        self._main: asyncio.Task[Any] | None = None
        self._partial_history: History | None = None
        loop.on_stuck = self._on_stuck
        loop.set_exception_handler(self._on_loop_error)

    async def play(self) -> None:
        """Everything that happens, from the start of the server to its shutdown."""
        raise NotImplementedError

    def adapt(self) -> None:
        """Apply the active faults."""
        raise NotImplementedError

    def adapt_user(self, user: Any) -> None:
        """Apply the active faults to one of the users, who is present."""
        raise NotImplementedError

    def meta(self) -> dict[str, Any]:
        """What made the History."""
        raise NotImplementedError

    def begin_fault(self, fault: Fault) -> None:
        """Let a fault act as it begins."""
        fault.begin(self)  # type: ignore[arg-type]

    def end_fault(self, fault: Fault) -> None:
        """Let a fault act as it ends."""
        fault.end(self)  # type: ignore[arg-type]

    @property
    def partial_history(self) -> History:
        """The History up to the moment at which the loop was stuck.

        Raises:
            RuntimeError: the loop was not stuck.
        """
        if self._partial_history is None:
            raise RuntimeError("the simulation was not stuck")
        return self._partial_history

    async def run(self) -> History:
        """Run the simulation, from the start of the server to its shutdown.

        Raises:
            HarnessError: a fault, a probe or a simulated user failed.
        """
        self._main = asyncio.current_task()
        try:
            await self.play()
        except asyncio.CancelledError:
            if self.failure is None:
                raise
        if self.failure is not None:
            raise self.failure
        return self._history()

    def cancel(self) -> None:
        """End the simulation without a History."""
        if self._main is not None:
            self._main.cancel()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start background work; an error in it ends the simulation with a `HarnessError` of this name."""
        task = asyncio.create_task(work, name=name)
        self._background[task] = None
        task.add_done_callback(self._ended)
        return task

    async def end_background(self) -> None:
        """Cancel what is left of the background work, and end the faults.

        No task pauses from now on: what is left over is counted as soon as the servers have stopped.
        """
        self.loop.end_pauses()
        for task in (left := list(self._background)):
            task.cancel()
        if left:
            await asyncio.wait(left)
        for injection in self.faults.injections:
            # This also records a fault that had not begun when the last user left, and so hit nothing.
            if not injection.has_ended:
                self._end(injection)

    def begin_first_faults(self, also: type[Fault] | tuple[()] = ()) -> None:
        """Begin the faults that are on from the start, and all faults of the type `also`."""
        for injection in self.faults.injections:
            if injection.fault.at == 0 or isinstance(injection.fault, also):
                self.begin(injection)

    def schedule_faults(self, besides: type[Fault] | tuple[()] = ()) -> None:
        """Let each fault begin and end at its time, except faults of the type `besides`."""
        for injection in self.faults.injections:
            if not isinstance(injection.fault, besides):
                self.spawn(self._inject(injection), f"fault {injection.fault.name}")

    def begin_again(self, fault: Fault, seconds: float) -> None:
        """Let a fault act once more, so many seconds from now."""

        async def act() -> None:
            await self.loop.sleep_exactly(seconds)
            self.begin_fault(fault)

        self.spawn(act(), f"fault {fault.name}")

    def begin(self, injection: Injection[Any]) -> None:
        """Begin a fault."""
        self.recorder.fault_began(injection.fault.name)
        injection.is_on = True
        with blaming(f"the beginning of fault {injection.fault.name}"):
            self.begin_fault(injection.fault)
        if injection.striking is not None:
            self.spawn(self._strike_each(injection, injection.striking), f"fault {injection.fault.name}")
        self.adapt()

    async def _strike_each(self, injection: Injection[Fault], striking: set[str]) -> None:
        for user in self.users:
            if injection.is_for(user.user_id):
                strikes = self._strike(injection.times_of(user.user_id), user, striking)
                self.spawn(strikes, f"fault {injection.fault.name} of {user.user_id}")

    async def _strike(self, times: list[tuple[float, float]], user: StageUser, striking: set[str]) -> None:
        """Let a fault strike a user at the times that are drawn for it."""
        for begins, ends in times:
            for moment, change in ((begins, striking.add), (ends, striking.discard)):
                await self.loop.sleep_exactly(max(0.0, moment - self.loop.exact_time()))
                change(user.user_id)
                if user.is_present:
                    self.adapt_user(user)

    async def _inject(self, injection: Injection[Fault]) -> None:
        fault = injection.fault
        if not injection.is_on:
            await self.loop.sleep_exactly(fault.at - self.loop.exact_time())
            self.begin(injection)
        # At least one microsecond: users that came due while the loop was blocked run first, and meet the fault.
        await self.loop.sleep_exactly(max(fault.at + fault.lasts - self.loop.exact_time(), 1e-6))
        self._end(injection)
        self.adapt()

    def _end(self, injection: Injection[Fault]) -> None:
        was_on, injection.is_on, injection.has_ended = injection.is_on, False, True
        if was_on:
            with blaming(f"the end of fault {injection.fault.name}"):
                self.end_fault(injection.fault)
        self.recorder.fault_ended(injection.fault.name, len(injection.hit))

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._background[task]
        if task.cancelled() or (error := task.exception()) is None or self.failure is not None:
            return
        self.failure = harness_error(task.get_name(), error)
        self.failure.__cause__ = error
        self.cancel()

    def _history(self) -> History:
        gc.collect()  # asyncio reports the error of a task that was never awaited when the task is freed.
        for error in sorted(self._late_errors):
            self.recorder.loop_error(*error)
        if self.counts_steps:
            self.recorder.sample(LOOP_STEPS, self.loop.steps - self.loop.kernel_steps)
        return self.recorder.finish(self.meta())

    def _on_stuck(self, error: DeadlockError | VirtualTimeLimitError) -> None:
        if self._partial_history is None:
            for line in error.report.splitlines():
                self.recorder.stuck(error.how, without_addresses(line.strip()))
            self._partial_history = self._history()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if "handle" in context:
            self.recorder.loop_error(*describe_loop_error(context))
        else:
            # asyncio reports most of these when an object is freed, at a time that differs between processes.
            self._late_errors.append(describe_loop_error(context))

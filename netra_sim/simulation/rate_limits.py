"""The rate limit of a model service, and agents that ask again after a refusal."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from weakref import ref

import msgspec

from netra_sim.exceptions import NetraSimError
from netra_sim.factory import UserExecutionContext
from netra_sim.randomness import key, uniform
from netra_sim.recording import Recorder
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import RateLimited


class ModelRefusedError(NetraSimError, RuntimeError):
    """The model refused all attempts of a step because of its rate limit."""


class RateLimit:
    """The limit of one fault, at work: a bucket of steps that fills with time.

    Args:
        injection: the fault.
        seed: determines the pauses of agents.
        recorder: takes every refusal.
        clock: the time in seconds.

    Attributes:
        fault: its settings.
    """

    def __init__(
        self, injection: Injection[RateLimited], seed: int, recorder: Recorder, clock: Callable[[], float]
    ) -> None:
        self.fault = injection.fault
        self._injection = injection
        self._seed = seed
        self._recorder = recorder
        self._clock = clock
        self._most = max(1.0, self.fault.per_second)
        self._left, self._since, self._taken = self._most, 0.0, 0

    def takes(self, context: UserExecutionContext) -> bool:
        """Whether the model takes a step of a run now; if so, it is counted, and else the refusal is recorded."""
        if not (self._injection.is_on and self._injection.is_for(context.run_id)):
            return True
        now, quota = self._clock(), self.fault.quota
        self._left = min(self._most, self._left + (now - self._since) * self.fault.per_second)
        self._since = now
        if self._left >= 1.0 - 1e-9 and (quota is msgspec.UNSET or self._taken < quota):
            self._left -= 1.0
            self._taken += 1
            return True
        self._injection.strikes(context.run_id)
        self._recorder.visited("model", context.run_id, context.user_id, "refused", 0.0)
        return False

    def pause(self, context: UserExecutionContext, step: str, refusals: int) -> float:
        """The seconds for which an agent waits after so many refusals of a step."""
        longest = self.fault.pause * 2.0 ** (refusals - 1)
        stream = key(self._seed, "asking the model again", context.run_id, step)
        return round(longest * (0.5 + 0.5 * uniform(stream, refusals)), 6)


class AskingAgain:
    """A visit to a model with limits. It does not keep them alive: what the agents of two users hold would be shared state.

    Args:
        limits: of the model.
        visit: what follows when the model takes the step.
        context: of the run.
        step: the name of the step.
    """

    __slots__ = ("_context", "_limits", "_step", "_visit")

    def __init__(
        self,
        limits: Sequence[ref[RateLimit]],
        visit: AbstractAsyncContextManager[object],
        context: UserExecutionContext,
        step: str,
    ) -> None:
        self._limits = limits
        self._visit = visit
        self._context = context
        self._step = step

    async def __aenter__(self) -> object:
        for limit in self._limits:
            refusals = 0
            while not _at_work(limit).takes(self._context):
                refusals += 1
                if refusals >= _at_work(limit).fault.attempts:
                    raise ModelRefusedError(f"the model refused the step {refusals} times: too many requests")
                await asyncio.sleep(_at_work(limit).pause(self._context, self._step, refusals))
        return await self._visit.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._visit.__aexit__(*error)  # type: ignore[arg-type]


def _at_work(limit: ref[RateLimit]) -> RateLimit:
    found = limit()
    assert found is not None  # noqa: S101 - the simulation keeps its limits until all runs have ended
    return found

"""Faults of agents and their tools."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import msgspec

from netra_sim.distributions import Positive
from netra_sim.factory import AgentSession
from netra_sim.simulation.faults.base import Fault


class AgentFault(Fault, frozen=True):
    """A fault of one agent, drawn for each run that it hits; it acts when that agent begins its work."""

    async def disturb(self, session: AgentSession) -> None:
        """Act before the agent does its work."""
        raise NotImplementedError


class AgentCrash(AgentFault, frozen=True, tag="agent-crash"):
    """An agent raises: its run ends with agent_error.

    Incidents: F7.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Raise."""
        raise RuntimeError("the agent crashed, as it was told to")


class AgentHang(AgentFault, frozen=True, tag="agent-hang"):
    """An agent hangs: it is cancelled at its time limit, and its run ends with agent_error.

    Incidents: F5, W7.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


class AgentNeverEnds(AgentFault, frozen=True, tag="agent-never-ends"):
    """An agent ignores its cancellation for ``stubborn`` seconds: its run ends late, and no other run waits.

    Incidents: F5.
    """

    stubborn: Positive = 60.0

    async def disturb(self, session: AgentSession) -> None:
        """Go on in spite of cancellations."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.stubborn
        while loop.time() < ends:
            try:
                await asyncio.sleep(ends - loop.time())
            except asyncio.CancelledError:
                continue
        raise RuntimeError("the agent ended at last")


class CleanupRaises(AgentFault, frozen=True, tag="cleanup-raises"):
    """An agent is cancelled, and its clean-up raises: its run ends with agent_error, and its place is released.

    Incidents: F6.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Wait for the cancellation, and raise instead of cleaning up."""
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the clean-up failed, as it was told to")


class UnserialisablePayload(AgentFault, frozen=True, tag="unserialisable-payload"):
    """An agent emits an object that has no JSON form: the agent gets an error, and the run ends for the user.

    Incidents: B11, B12.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Emit such an object."""
        session.think({"session": object()})


class OversizedPayload(AgentFault, frozen=True, tag="oversized-payload"):
    """An agent emits ``size`` bytes in one event: the agent gets an error, and the run ends for the user.

    Incidents: B11.
    """

    size: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000

    async def disturb(self, session: AgentSession) -> None:
        """Emit the bytes."""
        session.think("x" * self.size)


class ToolFailure(AgentFault, frozen=True, tag="tool-failure"):
    """A tool raises, and its agent does not handle it: the user sees the tool complete with an error, and the run end.

    Incidents: F7.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Call the failing tool."""
        await session.use_tool(_Tool("failing_tool", _fail))


class ToolHang(AgentFault, frozen=True, tag="tool-hang"):
    """A tool never answers: its agent is cancelled at its time limit.

    Incidents: F5, S11.
    """

    async def disturb(self, session: AgentSession) -> None:
        """Call the hanging tool."""
        await session.use_tool(_Tool("hanging_tool", asyncio.Event().wait))


class _Tool:
    __slots__ = ("_work", "name")

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self._work = work

    async def __call__(self) -> object:
        return await self._work()


async def _fail() -> object:
    raise ConnectionError("the tool failed, as it was told to")


class PaceFault(Fault, frozen=True):
    """A fault that slows the steps of the default pipeline while it is on, for a share of the runs.

    Only the part of a step that falls into the time of the fault takes longer. Several such faults multiply.

    Attributes:
        step: how the names of the steps end.
        factor: how many times as long they take.
    """

    step: ClassVar[str]

    factor: Annotated[float, msgspec.Meta(ge=1, le=1e6)] = 10.0


class SlowAgents(PaceFault, frozen=True, tag="slow-agents"):
    """Agents think ``factor`` times as long, as when the model service is slow; what exceeds the time limit is cut off.

    Incidents: F5, W7.
    """

    step: ClassVar[str] = ".think"


class SlowTools(PaceFault, frozen=True, tag="slow-tools"):
    """Tools take ``factor`` times as long, as when their back ends are slow.

    Incidents: F5, S17.
    """

    step: ClassVar[str] = ".tool"


class RateLimited(Fault, frozen=True, tag="rate-limited"):
    """The model refuses steps beyond ``per_second``, or all after ``quota`` steps, and agents ask again with growing pauses.

    After each refusal an agent waits for between half of and the whole of ``pause``, which doubles each time. After
    ``attempts`` refusals it fails, and its run ends with agent_error. A second's worth of steps may come at once.

    Incidents: S10, S11.
    """

    per_second: Positive = 1.0
    quota: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | msgspec.UnsetType = msgspec.UNSET
    attempts: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5
    pause: Positive = 1.0


class Cancellation(Fault, frozen=True, tag="cancellation"):
    """Requests are cancelled within ``within`` seconds, at any await: all is released, and the user is notified.

    Incidents: F6.
    """

    within: Positive = 5.0

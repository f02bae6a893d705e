"""Faults of the server: its back ends, process, event loop, clock and memory. They hit all users."""

from typing import Annotated, ClassVar

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.distributions import Seconds
from netra_sim.simulation.faults.base import Fault, FaultTarget


class ServerFault(Fault, frozen=True):
    """A fault that hits every user who is present while it is active."""


class BackendFault(Fault, frozen=True):
    """A back end of the bridge is down; the fault hits the requests that arrive while the bridge is not ready."""


class BackendNotReady(BackendFault, frozen=True, tag="backend-not-ready"):
    """A back end does not answer probes: runs are refused at once instead of hanging.

    Incidents: F12, S4, S12.
    """


class BridgeLost(BackendFault, frozen=True, tag="bridge-lost"):
    """The health check of the bridge fails: the bridge reports it, refuses runs, and recovers by itself.

    Incidents: B5, S13.
    """


class Deploy(ServerFault, frozen=True, tag="deploy"):
    """The server drains for ``drain`` seconds, goes down, and comes up after ``lasts``: runs that outlast the drain fail.

    Incidents: S9, S15.
    """

    works_on_systems: ClassVar[bool] = True

    drain: Seconds = 2.0


class BrokerBlip(Fault, frozen=True, tag="broker-blip"):
    """A message broker between the bridge and its connections holds all that the bridge sends; requests pass.

    The runtime has no broker: this puts one into the way. It hands everything over when it is back, so that events come
    late. With ``loses`` it has lost what it held, and closes the connections that miss something; their clients return, and
    the bridge replays or announces a gap.

    Incidents: B7, S13.
    """

    loses: bool = False

    def end(self, target: FaultTarget) -> None:
        """Let it work again."""
        target.repair_broker()


class ResetBeforeAccept(Fault, frozen=True, tag="reset-before-accept"):
    """A client resets its connection before the server accepts it.

    If ``platform.loop`` is "proactor", the server stops listening until it is restarted (gh-93821): open connections stay,
    and no client can connect. Every other loop accepts the next client.

    Incidents: W7.
    """

    def begin(self, target: FaultTarget) -> None:
        """Reset a connection before it is accepted."""
        target.reset_before_accept(self)


class LoopStall(ServerFault, frozen=True, tag="loop-stall"):
    """The event loop is blocked for ``lasts`` seconds: all users wait, and clients with unanswered pings disconnect.

    Incidents: F11.
    """

    works_on_systems: ClassVar[bool] = True

    def begin(self, target: FaultTarget) -> None:
        """Block the loop."""
        target.block_loop(self.at + self.lasts)


class ClockJump(ServerFault, frozen=True, tag="clock-jump"):
    """The wall clock is moved by ``seconds``: timestamps jump, and no wait changes.

    Incidents: W5.
    """

    works_on_systems: ClassVar[bool] = True

    seconds: float = -30.0


class LimitsFault(ServerFault, frozen=True):
    """A wrong setting of the bridge during the whole simulation: ``at`` and ``lasts`` have no effect."""

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """The limits of the bridge under this fault."""
        raise NotImplementedError


class SweepNotRunning(LimitsFault, frozen=True, tag="sweep-not-running"):
    """The bridge never forgets finished runs by age: what it keeps grows to its bound, and no further.

    Incidents: B9, F4, S9.
    """

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Keep events of finished runs for ever."""
        return msgspec.structs.replace(limits, replay_seconds=1e9)


class MemoryPressure(LimitsFault, frozen=True, tag="memory-pressure"):
    """The bridge keeps only ``events`` events per run: a client that missed more receives a gap.

    Incidents: B8, B9.
    """

    events: Annotated[int, msgspec.Meta(ge=1)] = 3

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Keep fewer events."""
        return msgspec.structs.replace(limits, replay_events=self.events)

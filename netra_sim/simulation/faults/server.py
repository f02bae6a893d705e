"""Faults of the server: its back ends, its process, its event loop, its clocks, its memory. They hit everybody."""

from typing import Annotated

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.simulation.distributions import Seconds
from netra_sim.simulation.faults.base import Fault, FaultTarget


class ServerFault(Fault, frozen=True):
    """A fault that hits every user who is there while it is on."""


class BackendFault(Fault, frozen=True):
    """A back end of the bridge's is down: it hits the requests that find the bridge not ready."""


class BackendNotReady(BackendFault, frozen=True, tag="backend-not-ready"):
    """A back end answers no probe: runs are refused at once instead of hanging.

    Incidents: F12, S4, S12.
    """


class BridgeLost(BackendFault, frozen=True, tag="bridge-lost"):
    """The bridge's health check fails: it says so, refuses runs, and recovers by itself when it can.

    Incidents: B5, S13.
    """


class Deploy(ServerFault, frozen=True, tag="deploy"):
    """The server drains for ``drain`` seconds, goes down, and comes up after ``lasts``: runs that did not end are ended.

    Incidents: S9, S15.
    """

    drain: Seconds = 2.0


class ResetBeforeAccept(Fault, frozen=True, tag="reset-before-accept"):
    """A client resets its connection before the server accepts it.

    Where ``platform.loop`` is Windows' own Proactor loop, the server listens no more until it is started anew (gh-93821):
    who is connected notices nothing, and nobody else gets in. Every other loop accepts the next client.

    Incidents: W7.
    """

    def begin(self, target: FaultTarget) -> None:
        """Reset a connection."""
        target.reset_before_accept(self)


class LoopStall(ServerFault, frozen=True, tag="loop-stall"):
    """Something blocks the event loop for ``lasts`` seconds: everybody waits, and clients give up unanswered pings.

    Incidents: F11.
    """

    def begin(self, target: FaultTarget) -> None:
        """Spend the time on the loop."""
        target.block_loop(self.at + self.lasts)


class ClockJump(ServerFault, frozen=True, tag="clock-jump"):
    """The wall clock is set by ``seconds``: timestamps jump, and nothing that waits may notice.

    Incidents: W5.
    """

    seconds: float = -30.0


class LimitsFault(ServerFault, frozen=True):
    """A wrong setting of the bridge's. It is there from the beginning to the end: ``at`` and ``lasts`` mean nothing."""

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """The bridge's limits under this fault."""
        raise NotImplementedError


class SweepNotRunning(LimitsFault, frozen=True, tag="sweep-not-running"):
    """For the whole run nothing forgets finished runs: what is kept grows to its bound, and no further.

    Incidents: B9, F4, S9.
    """

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Never forget by age."""
        return msgspec.structs.replace(limits, replay_seconds=1e9)


class MemoryPressure(LimitsFault, frozen=True, tag="memory-pressure"):
    """For the whole run the bridge keeps ``events`` events a run only: who was away for longer learns of a gap.

    Incidents: B8, B9.
    """

    events: Annotated[int, msgspec.Meta(ge=1)] = 3

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Keep less."""
        return msgspec.structs.replace(limits, replay_events=self.events)

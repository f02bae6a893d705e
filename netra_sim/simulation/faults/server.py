"""Faults of the server: its back ends, its process, its event loop, its clocks, its memory."""

from typing import TYPE_CHECKING, Annotated

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.simulation.distributions import Seconds
from netra_sim.simulation.faults.base import Fault

if TYPE_CHECKING:
    from netra_sim.simulation.world import World


class BackendNotReady(Fault, frozen=True, tag="backend-not-ready"):
    """A back end answers no probe: runs are refused at once instead of hanging.

    Incidents: F12, S4, S12.
    """

    def begin(self, world: "World") -> None:
        """Take the back end down."""
        world.conditions.backend_is_up = False

    def end(self, world: "World") -> None:
        """Bring it up."""
        world.conditions.backend_is_up = True


class BridgeLost(Fault, frozen=True, tag="bridge-lost"):
    """The bridge's health check fails: it says so, refuses runs, and recovers by itself when it can.

    Incidents: B5, S13.
    """

    def begin(self, world: "World") -> None:
        """Take its back end down, and have the health checked."""
        world.conditions.backend_is_up = False
        world.check_health()

    def end(self, world: "World") -> None:
        """Bring it up, and have the bridge recover."""
        world.conditions.backend_is_up = True
        world.check_health()


class Deploy(Fault, frozen=True, tag="deploy"):
    """The server drains for ``drain`` seconds, goes down, and comes up after ``lasts``: runs that did not end are ended.

    Incidents: S9, S15.
    """

    drain: Seconds = 2.0

    def begin(self, world: "World") -> None:
        """Go down."""
        world.stop_instance(self.drain)

    def end(self, world: "World") -> None:
        """Come up, as another process with another memory."""
        world.replace_instance()


class LoopStall(Fault, frozen=True, tag="loop-stall"):
    """Something blocks the event loop for ``lasts`` seconds: everybody on it waits.

    Incidents: F11.
    """

    def begin(self, world: "World") -> None:
        """Spend the time on the loop."""
        world.loop.spend(self.lasts)


class ClockJump(Fault, frozen=True, tag="clock-jump"):
    """The wall clock is set by ``seconds``: timestamps jump, and nothing that waits may notice.

    Incidents: W5.
    """

    seconds: float = -30.0

    def begin(self, world: "World") -> None:
        """Set the clock."""
        world.conditions.clock_offset += self.seconds

    def end(self, world: "World") -> None:
        """Set it back."""
        world.conditions.clock_offset -= self.seconds


class SweepNotRunning(Fault, frozen=True, tag="sweep-not-running"):
    """For the whole run nothing forgets finished runs: what is kept grows to its bound, and no further.

    Incidents: B9, F4, S9.
    """

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Never forget by age."""
        return msgspec.structs.replace(limits, replay_seconds=1e9)


class MemoryPressure(Fault, frozen=True, tag="memory-pressure"):
    """For the whole run the bridge keeps ``events`` events a run only: who was away for longer learns of a gap.

    Incidents: B8, B9.
    """

    events: Annotated[int, msgspec.Meta(ge=1)] = 3

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """Keep less."""
        return msgspec.structs.replace(limits, replay_events=self.events)

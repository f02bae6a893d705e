"""Faults of connections: slow, stalled, dead, cut, moved to another server, too many, late."""

import asyncio
import math
from typing import Annotated, ClassVar

import msgspec

from netra_sim.distributions import Positive
from netra_sim.simulation.faults.base import Fault, FaultTarget


class Line(msgspec.Struct):
    """The state of one user's connections under the active faults.

    Attributes:
        bandwidth: the maximum number of bytes per second that clients read.
        is_stalled: clients do not read.
        is_offline: there is no network, and both sides notice at once.
        is_silent: nothing gets through, and neither side is notified.
        is_elsewhere: connections lead to another server.
    """

    bandwidth: float = math.inf
    is_stalled: bool = False
    is_offline: bool = False
    is_silent: bool = False
    is_elsewhere: bool = False


class LineFault(Fault, frozen=True):
    """A fault of all connections that a user has or opens while the fault is active."""

    def affect(self, line: Line) -> None:
        """Apply this fault to the state of a user's connections."""
        raise NotImplementedError


class SlowConsumer(LineFault, frozen=True, tag="slow-consumer"):
    """Clients read only ``bytes_per_second``: their events are late, and a client too far behind is disconnected.

    Incidents: B6, S17.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    bytes_per_second: Positive = 200.0

    def affect(self, line: Line) -> None:
        """Throttle the clients; of several such faults the slowest counts."""
        line.bandwidth = min(line.bandwidth, self.bytes_per_second)


class StalledSocket(LineFault, frozen=True, tag="stalled-socket"):
    """Clients stop reading and stay connected: the events that they missed arrive when they resume.

    Incidents: B6.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    def affect(self, line: Line) -> None:
        """Stop reading."""
        line.is_stalled = True


class DeadSocket(LineFault, frozen=True, tag="dead-socket"):
    """Half-open connections: clients vanish without a close and return after ``lasts``; the server notices by its pings.

    Incidents: B6.
    """

    works_on_systems: ClassVar[bool] = True

    def affect(self, line: Line) -> None:
        """Let nothing through, and notify neither side."""
        line.is_silent = True


class Disconnect(LineFault, frozen=True, tag="disconnect"):
    """Connections are reset, and none can be opened for ``lasts`` seconds: events in flight are lost and must be replayed.

    Incidents: B8.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    def affect(self, line: Line) -> None:
        """Take the network away."""
        line.is_offline = True


class DisconnectStorm(Fault, frozen=True, tag="disconnect-storm"):
    """All affected connections are reset every ``every`` seconds, and reconnect at once.

    Incidents: S10.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    every: Positive = 2.0

    def begin(self, target: FaultTarget) -> None:
        """Reset the connections, and begin again while the fault lasts."""
        target.reset_connections(self)
        if self.is_active(asyncio.get_running_loop().time() + self.every):
            target.begin_again(self, self.every)


class AnotherInstance(LineFault, frozen=True, tag="another-instance"):
    """Clients are moved to another server, which knows none of their runs, and back at the end: they receive gaps.

    Incidents: S5, S6.
    """

    def affect(self, line: Line) -> None:
        """Lead connections to the other server."""
        line.is_elsewhere = True


class TabMultiplication(Fault, frozen=True, tag="tab-multiplication"):
    """Users open ``tabs`` more tabs: connections beyond the limit are refused, and open ones stay.

    Incidents: S7, S8.
    """

    tabs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8


class HandshakeRace(Fault, frozen=True, tag="handshake-race"):
    """Handshakes take ``delay`` seconds longer while clients send at once: nothing is lost, and the first events are late.

    Incidents: S2, S3.
    """

    delay: Positive = 2.0


class LateAuthentication(Fault, frozen=True, tag="late-authentication"):
    """The token service does not answer: no client can connect meanwhile, and clients try again with growing pauses.

    Incidents: B13, S1, S16.
    """

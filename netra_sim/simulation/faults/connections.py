"""Faults of connections: slow, stalled, dead, cut, moved, too many, late."""

import asyncio
import math
from typing import Annotated

import msgspec

from netra_sim.simulation.distributions import Positive
from netra_sim.simulation.faults.base import Fault, FaultTarget


class Line(msgspec.Struct):
    """What the faults that are on make of one user's connections.

    Attributes:
        bandwidth: the most bytes per second that clients read.
        is_stalled: clients do not read.
        is_offline: there is no network, and both sides know it.
        is_silent: nothing gets through, and neither side is told.
        is_elsewhere: connections lead to another server.
    """

    bandwidth: float = math.inf
    is_stalled: bool = False
    is_offline: bool = False
    is_silent: bool = False
    is_elsewhere: bool = False


class LineFault(Fault, frozen=True):
    """A fault of all connections that a user has, or makes, while it is on."""

    def affect(self, line: Line) -> None:
        """Add this fault to those that are on."""
        raise NotImplementedError


class SlowConsumer(LineFault, frozen=True, tag="slow-consumer"):
    """Clients read at ``bytes_per_second`` only: their events come late, and who falls too far behind is cut off.

    Incidents: B6, S17.
    """

    bytes_per_second: Positive = 200.0

    def affect(self, line: Line) -> None:
        """Throttle the clients: the slowest wins."""
        line.bandwidth = min(line.bandwidth, self.bytes_per_second)


class StalledSocket(LineFault, frozen=True, tag="stalled-socket"):
    """Clients stop reading and stay connected: what they should see comes when they read on.

    Incidents: B6.
    """

    def affect(self, line: Line) -> None:
        """Stop reading."""
        line.is_stalled = True


class DeadSocket(LineFault, frozen=True, tag="dead-socket"):
    """Half-open connections: clients vanish without a word and come back after ``lasts``; the server learns by its pings.

    Incidents: B6.
    """

    def affect(self, line: Line) -> None:
        """Let nothing through, and tell nobody."""
        line.is_silent = True


class Disconnect(LineFault, frozen=True, tag="disconnect"):
    """Connections are reset, and stay so for ``lasts`` seconds: events in flight are lost and must be replayed.

    Incidents: B8.
    """

    def affect(self, line: Line) -> None:
        """Reset, and let nobody of those in."""
        line.is_offline = True


class DisconnectStorm(Fault, frozen=True, tag="disconnect-storm"):
    """Every ``every`` seconds all connections hit are reset, and all reconnect at once.

    Incidents: S10.
    """

    every: Positive = 2.0

    def begin(self, target: FaultTarget) -> None:
        """Reset, and again, and again."""
        target.reset_connections(self)
        if self.is_active(asyncio.get_running_loop().time() + self.every):
            target.begin_again(self, self.every)


class AnotherInstance(LineFault, frozen=True, tag="another-instance"):
    """Clients are moved to another server, which knows none of their runs, and back at the end: they learn of gaps.

    Incidents: S5, S6.
    """

    def affect(self, line: Line) -> None:
        """Lead them to the other server."""
        line.is_elsewhere = True


class TabMultiplication(Fault, frozen=True, tag="tab-multiplication"):
    """Users have ``tabs`` more tabs open: at the limit of connections new ones are refused, and the old ones stay.

    Incidents: S7, S8.
    """

    tabs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8


class HandshakeRace(Fault, frozen=True, tag="handshake-race"):
    """Handshakes take ``delay`` seconds longer while clients send at once: nothing may be lost, first events come late.

    Incidents: S2, S3.
    """

    delay: Positive = 2.0


class LateAuthentication(Fault, frozen=True, tag="late-authentication"):
    """The token service does not answer: nobody gets in until it does, and clients try again with growing pauses.

    Incidents: B13, S1, S16.
    """

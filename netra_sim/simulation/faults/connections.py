"""Faults of connections: slow, stalled, dead, cut, moved to another server, too many, late."""

import asyncio
import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec

from netra_sim.distributions import Positive, Seconds
from netra_sim.randomness import uniform
from netra_sim.simulation.faults.base import Fault, FaultTarget

Pause = Annotated[float, msgspec.Meta(ge=0.001, le=1e12)]
"""Seconds from one cut to the next."""

_MOST_CUTS = 100_000


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


class Flapping(LineFault, frozen=True, tag="flapping"):
    """Each client loses its network again and again for ``off`` seconds, at times of its own: events must be replayed.

    The first cut comes within ``every`` seconds, and each other one ``every`` seconds after the one before, plus up to
    ``jitter`` seconds. All of it is drawn for each user.

    Incidents: B8, S8.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True
    has_own_times: ClassVar[bool] = True

    every: Pause = 20.0
    off: Positive = 2.0
    jitter: Seconds = 1.0

    def __post_init__(self) -> None:
        _refuse_too_many(self.every, self.lasts)
        if self.off >= self.every:
            raise ValueError(f"off must be less than every, which is {self.every:g}, and is {self.off:g}")

    def times_of(self, stream: int) -> Iterator[tuple[float, float]]:
        """See `Fault.times_of`."""
        begins, number = self.at + self.every * uniform(stream), 1
        while (begins := round(begins, 6)) < self.at + self.lasts:
            yield begins, begins + self.off
            begins += self.every + self.jitter * uniform(stream, number)
            number += 1

    def affect(self, line: Line) -> None:
        """Take the network away."""
        line.is_offline = True


class DisconnectStorm(Fault, frozen=True, tag="disconnect-storm"):
    """All affected connections are reset every ``every`` seconds, and reconnect at once.

    Incidents: S10.
    """

    works_on_systems: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    every: Pause = 2.0

    def __post_init__(self) -> None:
        _refuse_too_many(self.every, self.lasts)

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


class TokenExpiry(Fault, frozen=True, tag="token-expiry"):
    """The tokens of users end as it begins, and their next ones every ``every`` seconds: connections are closed with 4401.

    Each client gets a new token, connects again, and goes on where it was.

    Incidents: S3, S16.
    """

    every: Annotated[float, msgspec.Meta(ge=1, le=1e12)] = 10.0

    def begin(self, target: FaultTarget) -> None:
        """Let the tokens end, and again while the fault lasts."""
        target.end_tokens(self)
        if self.is_active(asyncio.get_running_loop().time() + self.every):
            target.begin_again(self, self.every)

    def next_end(self, now: float) -> float:
        """When a token that is issued at a time ends; infinite if the fault is over by then."""
        number = max(0, math.floor((now - self.at) / self.every) + 1)
        ends = self.at + number * self.every
        return ends if self.is_active(ends) else math.inf


class Logout(Fault, frozen=True, tag="logout"):
    """Users log out, each at a moment of its own while the fault lasts, and do not return: nothing reaches them any more.

    The server closes their connections with 4401 and refuses their tokens. Their runs go on, as after any disconnect.

    Incidents: B13, S7.
    """

    has_own_times: ClassVar[bool] = True

    def times_of(self, stream: int) -> Iterator[tuple[float, float]]:
        """See `Fault.times_of`."""
        moment = round(self.at + self.lasts * uniform(stream), 6)
        yield moment, moment + 0.001


class LateAuthentication(Fault, frozen=True, tag="late-authentication"):
    """The token service does not answer: no client can connect meanwhile, and clients try again with growing pauses.

    Incidents: B13, S1, S16.
    """


def _refuse_too_many(every: float, lasts: float) -> None:
    if lasts / every > _MOST_CUTS:
        raise ValueError(f"at most {_MOST_CUTS:,} cuts, and every {every:g} s for {lasts:g} s are more")

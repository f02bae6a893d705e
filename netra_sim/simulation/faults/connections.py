"""Faults of connections: slow, stalled, dead, cut, moved, too many, late."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec

from netra_sim.simulation.distributions import Positive
from netra_sim.simulation.faults.base import Fault

if TYPE_CHECKING:
    from netra_sim.simulation.world import World

KEEPALIVE = 40.0
"""Seconds after which a server that pings, as `websockets` does, knows that a silent client is gone."""


class SlowConsumer(Fault, frozen=True, tag="slow-consumer"):
    """Clients read at ``bytes_per_second`` only: their events come late, and who falls too far behind is cut off.

    Incidents: B6, S17.
    """

    bytes_per_second: Positive = 200.0

    def begin(self, world: "World") -> None:
        """Throttle the clients."""
        for client in world.clients_hit(self):
            client.throttle(self.bytes_per_second)

    def end(self, world: "World") -> None:
        """Give them their bandwidth back."""
        for client in world.clients_hit(self):
            client.throttle(None)


class StalledSocket(Fault, frozen=True, tag="stalled-socket"):
    """Clients stop reading and stay connected: what they should see comes when they read on.

    Incidents: B6.
    """

    def begin(self, world: "World") -> None:
        """Stop reading."""
        for client in world.clients_hit(self):
            client.stall()

    def end(self, world: "World") -> None:
        """Read on."""
        for client in world.clients_hit(self):
            client.resume()


class DeadSocket(Fault, frozen=True, tag="dead-socket"):
    """Half-open connections: clients vanish without a word and come back after ``lasts``; the server learns by its pings.

    Incidents: B6.
    """

    def begin(self, world: "World") -> None:
        """Lose the connections, and tell nobody."""
        for client in world.clients_hit(self):
            client.vanish(KEEPALIVE)

    def end(self, world: "World") -> None:
        """The clients notice, and connect again."""
        for client in world.clients_hit(self):
            client.notice_loss()


class Disconnect(Fault, frozen=True, tag="disconnect"):
    """Connections are reset, and stay so for ``lasts`` seconds: events in flight are lost and must be replayed.

    Incidents: B8.
    """

    def begin(self, world: "World") -> None:
        """Reset, and let nobody of those in again."""
        for client in world.clients_hit(self):
            client.is_offline = True
            client.cut()

    def end(self, world: "World") -> None:
        """Let them in."""
        for client in world.clients_hit(self):
            client.is_offline = False


class DisconnectStorm(Fault, frozen=True, tag="disconnect-storm"):
    """Every ``every`` seconds all connections hit are reset, and all reconnect at once.

    Incidents: S10.
    """

    every: Positive = 2.0

    def begin(self, world: "World") -> None:
        """Reset, and again, and again."""
        for client in world.clients_hit(self):
            client.cut()
        loop = asyncio.get_running_loop()
        if self.is_active(loop.time() + self.every):
            loop.call_later(self.every, self.begin, world)


class AnotherInstance(Fault, frozen=True, tag="another-instance"):
    """Clients are cut off and reconnect to another server, which knows none of their runs: they learn of a gap.

    Incidents: S5, S6.
    """

    def begin(self, world: "World") -> None:
        """Start another server, and move the clients."""
        other = world.start_instance()
        for client in world.clients_hit(self):
            client.home = other
            client.cut()


class TabMultiplication(Fault, frozen=True, tag="tab-multiplication"):
    """Users open ``tabs`` more tabs each: at the limit of connections new ones are refused, and the old ones stay.

    Incidents: S7, S8.
    """

    tabs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8

    def begin(self, world: "World") -> None:
        """Open the tabs."""
        for user in world.users_hit(self):
            user.open_more_tabs(self.tabs)


class HandshakeRace(Fault, frozen=True, tag="handshake-race"):
    """Handshakes take ``delay`` seconds longer while clients send at once: nothing may be lost, first events come late.

    Incidents: S2, S3.
    """

    delay: Positive = 2.0

    def begin(self, world: "World") -> None:
        """Slow the handshakes."""
        world.conditions.handshake_delay += self.delay

    def end(self, world: "World") -> None:
        """Let them be as they were."""
        world.conditions.handshake_delay -= self.delay


class LateAuthentication(Fault, frozen=True, tag="late-authentication"):
    """The token service does not answer: nobody gets in until it does, and clients try again with growing pauses.

    Incidents: B13, S1, S16.
    """

    def begin(self, world: "World") -> None:
        """Let every handshake fail."""
        world.conditions.handshakes_fail = True

    def end(self, world: "World") -> None:
        """Let them succeed."""
        world.conditions.handshakes_fail = False

"""What a tab on the wire needs from the simulation that it takes part in."""

import asyncio
from typing import Protocol

from netra_sim.simulation.client_environment import ClientEnvironment
from netra_sim.simulation.hosts.host import Host
from netra_sim.simulation.hosts.network_loop import NetworkLoop

SERVER, PORT = "server", 80
"""The name and the port under which clients find the server that they are to talk to."""


class WireEnvironment(ClientEnvironment, Protocol):
    """The simulation as tabs on the wire see it.

    Attributes:
        loop: the clock and the network.
        leaving: the tasks of tabs that were closed and have not left yet.
    """

    loop: NetworkLoop
    leaving: set[asyncio.Task[None]]

    def new_host(self, user_id: str, tab: int) -> Host:
        """Make the machine of a tab."""

    def throttle(self, host: Host, bandwidth: float) -> None:
        """Limit what the machine of a tab receives, in bytes a second."""

    def issue_token(self, user_id: str) -> str:
        """Issue a token for a user."""

    def revoke(self, user_id: str) -> None:
        """Let all servers end the connections of a user, and refuse its tokens."""

    def turn_away(self, user_id: str, reason: str) -> None:
        """Record that a user cannot connect now."""

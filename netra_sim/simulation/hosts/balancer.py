"""`Balancer`: an address behind which several hosts serve."""

from collections.abc import Sequence
from typing import Literal

from netra_sim.randomness import key
from netra_sim.simulation.hosts.host import Host


class Balancer:
    """Chooses the host for each new connection, among those on which something listens.

    Args:
        hosts: those behind it.
        kind: "round-robin" takes them in turn; "sticky" takes the same one for the same client while it listens.
    """

    def __init__(self, hosts: Sequence[Host], kind: Literal["round-robin", "sticky"]) -> None:
        self._hosts = tuple(hosts)
        self._kind = kind
        self._connections = 0

    def choose(self, client: Host, port: int) -> Host:
        """The host for a connection of a client; any of them if nothing listens anywhere."""
        hosts = [host for host in self._hosts if host.has_power and port in host.process.listeners] or self._hosts
        if self._kind == "round-robin":
            self._connections += 1
            return hosts[(self._connections - 1) % len(hosts)]
        favourite = self._hosts[key("balancer", client.name) % len(self._hosts)]
        return favourite if favourite in hosts else hosts[key("balancer", client.name) % len(hosts)]

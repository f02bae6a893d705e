"""`Host`: a virtual machine with an address, ports, processes, a clock and signal handlers."""

import asyncio
import signal
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol
from weakref import WeakSet

from netra_sim.simulation.hosts.endpoint import Endpoint, OpenSockets
from netra_sim.simulation.hosts.links import LineConditions

_EPHEMERAL = range(32_768, 61_000)
"""The ports that Linux chooses from for outgoing connections: ``net.ipv4.ip_local_port_range``."""


class Listening(Protocol):
    """What the operating system asks of a listening socket."""

    def is_serving(self) -> bool:
        """Whether it takes connections."""

    def accept(self, endpoint: Endpoint) -> None:
        """Take a connection, and begin to serve it."""


class Process:
    """What runs on a host from its start to its end; a host that starts again has a new one.

    Attributes:
        host: where it runs.
        is_dead: whether it was killed; none of its code runs any more.
        handlers: what it does on signals.
        listeners: its listening sockets, by port.
        endpoints: its ends of connections that are open, or are being opened.
        tasks: its tasks.
        generators: its asynchronous generators.
    """

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.is_dead = False
        self.handlers: dict[signal.Signals, tuple[Callable[..., object], tuple[object, ...], Context]] = {}
        self.listeners: dict[int, Listening] = {}
        self.endpoints = OpenSockets()
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.generators: WeakSet[Any] = WeakSet()


class Host:
    """A virtual machine.

    Args:
        name: under which others find it.
        address: its IPv4 address.
        uplink: the conditions of what it sends; None for those of the network.
        downlink: the conditions of what it receives; None for those of the network.

    Attributes:
        clock_offset: seconds by which its wall clock is ahead.
        has_power: whether it runs at all.
        cuts: how many `isolate` calls of the network cut it off now; it is reachable again when all are taken back.
        process: what runs on it now.
    """

    def __init__(
        self, name: str, address: str, uplink: LineConditions | None = None, downlink: LineConditions | None = None
    ) -> None:
        self.name = name
        self.address = address
        self.uplink = uplink
        self.downlink = downlink
        self.clock_offset = 0.0
        self.has_power = True
        self.cuts = 0
        self.process = Process(self)
        self._next_port = 0

    def free_port(self) -> int:
        """A port that nothing on this host listens on."""
        for _ in _EPHEMERAL:
            port = _EPHEMERAL[self._next_port % len(_EPHEMERAL)]
            self._next_port += 1
            if port not in self.process.listeners:
                return port
        raise OSError(f"the host {self.name} has no free port")


PROCESS: ContextVar[Process | None] = ContextVar("netra_sim.process", default=None)
"""The simulated process that the running code belongs to; None for the simulator itself."""

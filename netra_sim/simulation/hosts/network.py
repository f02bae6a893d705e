"""`VirtualNetwork`: the hosts, their names and addresses, the lines between them, and how connections are made."""

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

from netra_sim.distributions import Constant
from netra_sim.exceptions import NetraSimError
from netra_sim.randomness import key
from netra_sim.simulation.hosts.balancer import Balancer
from netra_sim.simulation.hosts.connecting import GIVES_UP_AFTER, Connecting, connect_timeout
from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.host import PROCESS, Host, Listening, Process
from netra_sim.simulation.hosts.links import LineConditions, NetworkLink

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop

_LOOPBACK = LineConditions(latency=Constant(0.00002), bandwidth=1e9, split=0.0)

_MOST_HOSTS = 1 << 24


class NetworkError(NetraSimError, ValueError):
    """A host that does not exist, or a second one of the same name."""


class VirtualNetwork:
    """A virtual network of hosts with IPv4 addresses in 10.0.0.0/8.

    Args:
        loop: the clock and the timers.
        seed: determines all that the conditions leave open.
        inside: the conditions between hosts that have none of their own.
    """

    def __init__(self, loop: "VirtualTimeLoop", seed: int, inside: LineConditions | None = None) -> None:
        self._loop = loop
        self._seed = seed
        self._inside = inside or LineConditions()
        self._hosts: dict[str, Host] = {}
        self._by_address: dict[str, Host] = {}
        self._links: dict[tuple[Host, Host], NetworkLink] = {}
        self._balancers: dict[str, Balancer] = {}
        self._connections: dict[tuple[Host, Host, int], int] = {}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in the order in which they were added."""
        return tuple(dict.fromkeys(self._hosts.values()))

    def add_host(
        self,
        name: str,
        *,
        uplink: LineConditions | None = None,
        downlink: LineConditions | None = None,
        aliases: tuple[str, ...] = (),
    ) -> Host:
        """Add a host with an address of its own.

        Args:
            name: under which others find it, such as "model".
            uplink: the conditions of what it sends, to all others; by default those of the other host's downlink.
            downlink: the conditions of what it receives; by default those of the other host's uplink.
            aliases: other names, such as "api.openai.com".

        Raises:
            NetworkError: a host of one of these names exists.
        """
        number = len(self._by_address) + 1
        if number >= _MOST_HOSTS:
            raise NetworkError(f"a network has at most {_MOST_HOSTS:,} hosts")
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        host = Host(name, address, uplink, downlink)
        for one in (name, *aliases):
            if one.lower() in self._hosts:
                raise NetworkError(f"there is a host {one!r} already")
        for one in (name, *aliases):
            self._hosts[one.lower()] = host
        self._by_address[address] = host
        return host

    def add_balancer(self, name: str, balancer: Balancer) -> None:
        """Let clients find several hosts under one name and address.

        Raises:
            NetworkError: a host of this name exists.
        """
        self._balancers[self.add_host(name).address] = balancer

    def host(self, name: str) -> Host:
        """The host of a name or address.

        Raises:
            NetworkError: there is none.
        """
        found = self._by_address.get(name) or self._hosts.get(name.lower())
        if found is None:
            raise NetworkError(f"there is no host {name!r}; there are {', '.join(self._hosts) or 'none'}")
        return found

    def current_process(self) -> Process:
        """The process that the running code belongs to; that of the host "machine" for code that was given none."""
        process = PROCESS.get()
        if process is not None:
            return process
        if "machine" not in self._hosts:
            self.add_host("machine")
        return self._hosts["machine"].process

    def resolve(self, name: str) -> str:
        """The IPv4 address of a name, as the running code sees it.

        Raises:
            socket.gaierror: there is no such host.
        """
        if name in ("", "localhost", "0.0.0.0", "::", "::1") or name.startswith("127."):  # noqa: S104 - no real address
            return "127.0.0.1"
        found = self._by_address.get(name) or self._hosts.get(name.lower().rstrip("."))
        if found is None:
            known = ", ".join(one for one in self._hosts if not one.startswith("user-"))
            raise socket.gaierror(
                socket.EAI_NONAME,
                f"Name or service not known: the virtual network has no host {name!r}, only {known}",
            )
        return found.address

    def link(self, sender: Host, receiver: Host) -> NetworkLink:
        """The direction from one host to another."""
        link = self._links.get((sender, receiver))
        if link is None:
            conditions = _LOOPBACK if sender is receiver else sender.uplink or receiver.downlink or self._inside
            cuts = 0 if sender is receiver else sender.cuts + receiver.cuts
            link = self._links[sender, receiver] = NetworkLink(conditions, cuts)
        return link

    def bind(self, process: Process, name: tuple[str, int], server: Listening) -> None:
        """Give a port to a server.

        Raises:
            OSError: another server of the host has the port, or the address is that of another host.
        """
        if name[0] not in ("0.0.0.0", "127.0.0.1", process.host.address):  # noqa: S104 - no real address
            raise _bind_error(errno.EADDRNOTAVAIL, name)
        if name[1] in process.listeners:
            raise _bind_error(errno.EADDRINUSE, name)
        process.listeners[name[1]] = server

    async def connect(self, address: str, port: int) -> Endpoint:
        """Connect the running process to a port of a host, as TCP does.

        Raises:
            ConnectionRefusedError: nothing listens there.
            TimeoutError: no answer came; after 127 seconds, as on Linux.
        """
        process = self.current_process()
        host = process.host
        other = host if address.startswith("127.") else self._by_address.get(address)
        if (balancer := self._balancers.get(address)) is not None:
            other = balancer.choose(host, port)
        if other is None:
            await asyncio.sleep(GIVES_UP_AFTER)
            raise connect_timeout()
        there, back = self.link(host, other), self.link(other, host)
        stream = self.stream(host, other, port)
        local = address if other is host else host.address
        client = Endpoint(self._loop, (local, host.free_port()), there, key(stream, "client"))
        server = Endpoint(self._loop, (address, port), back, key(stream, "server"))
        client.peer, server.peer = server, client
        client.open_in(process.endpoints)
        connecting = Connecting(self._loop, client, there, back, other, stream)
        try:
            await connecting.established
        except BaseException:
            connecting.abandon()
            raise
        return client

    def stream(self, sender: Host, receiver: Host, port: int) -> int:
        """The key of the draws of the next connection between two hosts; it does not depend on other hosts."""
        count = self._connections.get((sender, receiver, port), 0)
        self._connections[sender, receiver, port] = count + 1
        return key(self._seed, "connection", sender.name, receiver.name, port, count)

    def close_all(self, host: Host) -> Process:
        """End the process of a host, as its operating system sees it: all its sockets are closed."""
        process = self._end_process(host)
        for endpoint in list(process.endpoints):
            endpoint.close()
        return process

    def power_off(self, host: Host) -> Process:
        """Cut the power of a host: all others hear nothing more from it."""
        process = self._end_process(host)
        for endpoint in list(process.endpoints):
            endpoint.vanish()
        if host.has_power:
            host.has_power = False
            self.isolate(host)
        return process

    def power_on(self, host: Host) -> None:
        """Give a host power again; it answers packets of old connections with a reset."""
        if not host.has_power:
            host.has_power = True
            self.rejoin(host)

    def stall(self, process: Process) -> None:
        """Let a process read nothing from its connections, until `resume`."""
        process.endpoints.is_stalled = True

    def resume(self, process: Process) -> None:
        """Let a process read again."""
        process.endpoints.is_stalled = False
        for endpoint in list(process.endpoints):
            if endpoint.owner is not None and endpoint.is_readable:
                endpoint.owner.on_readable()

    def cut(self, name: str, other: str, *, both_ways: bool = True) -> None:
        """Let nothing pass between two hosts, or only from the second to the first."""
        for link in self._between(name, other, both_ways=both_ways):
            link.cut()

    def heal(self, name: str, other: str, *, both_ways: bool = True) -> None:
        """Take a `cut` back."""
        for link in self._between(name, other, both_ways=both_ways):
            link.heal()

    def _between(self, name: str, other: str, *, both_ways: bool) -> list[NetworkLink]:
        first, second = self.host(name), self.host(other)
        return [self.link(first, second), *([self.link(second, first)] if both_ways else [])]

    def isolate(self, host: Host) -> None:
        """Let nothing pass between a host and all others, those included that are added later, until `rejoin`."""
        host.cuts += 1
        for link in self._lines(host):
            link.cut()

    def rejoin(self, host: Host) -> None:
        """Take an `isolate` back."""
        if host.cuts:
            host.cuts -= 1
            for link in self._lines(host):
                link.heal()

    def _lines(self, host: Host) -> list[NetworkLink]:
        return [link for pair, link in self._links.items() if host in pair and pair[0] is not pair[1]]

    def _end_process(self, host: Host) -> Process:
        process, host.process = host.process, Process(host)
        process.is_dead = True
        process.listeners.clear()
        self.forget(process)
        return process

    def forget(self, process: Process) -> None:
        """Let no transport of a process do anything any more."""
        for endpoint in process.endpoints:
            if endpoint.owner is not None:
                endpoint.owner.forget()


def _bind_error(number: int, name: tuple[str, int]) -> OSError:
    return OSError(number, f"error while attempting to bind on address {name!r}: {os.strerror(number).lower()}")

"""`Network`: the hosts, their names and addresses, the lines between them, and how connections are made."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from netra_sim.distributions import Constant
from netra_sim.exceptions import NetraSimError
from netra_sim.randomness import key, uniform
from netra_sim.simulation.hosts.balancer import Balancer
from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.host import PROCESS, Host, Listening, Process
from netra_sim.simulation.hosts.links import Conditions, Link

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop

_LOOPBACK = Conditions(latency=Constant(0.00002), bandwidth=1e9, split=0.0)

CONNECT_RETRIES = 6
"""Retransmissions of the first packet of a connection, after 1, 2, 4 ... seconds: ``net.ipv4.tcp_syn_retries`` of Linux."""

_MOST_HOSTS = 1 << 24


class NetworkError(NetraSimError, ValueError):
    """A host that does not exist, or a second one of the same name."""


class Network:
    """A virtual network of hosts with IPv4 addresses in 10.0.0.0/8.

    Args:
        loop: the clock and the timers.
        seed: determines all that the conditions leave open.
        inside: the conditions between hosts that have none of their own.
    """

    def __init__(self, loop: "VirtualTimeLoop", seed: int, inside: Conditions | None = None) -> None:
        self.kernel = Context()
        self._loop = loop
        self._seed = seed
        self._inside = inside or Conditions()
        self._hosts: dict[str, Host] = {}
        self._by_address: dict[str, Host] = {}
        self._links: dict[tuple[Host, Host], Link] = {}
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
        uplink: Conditions | None = None,
        downlink: Conditions | None = None,
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
        own = self.current_process().host
        if name in ("", "localhost", "0.0.0.0", "::", "::1") or name.startswith("127."):  # noqa: S104 - no real address
            return "127.0.0.1" if name != own.address else name
        found = self._by_address.get(name) or self._hosts.get(name.lower().rstrip("."))
        if found is None:
            known = ", ".join(one for one in self._hosts if not one.startswith("user-"))
            raise socket.gaierror(
                socket.EAI_NONAME,
                f"Name or service not known: the virtual network has no host {name!r}, only {known}",
            )
        return found.address

    def link(self, sender: Host, receiver: Host) -> Link:
        """The direction from one host to another."""
        link = self._links.get((sender, receiver))
        if link is None:
            conditions = _LOOPBACK if sender is receiver else sender.uplink or receiver.downlink or self._inside
            link = self._links[sender, receiver] = Link(conditions)
            for host in (sender, receiver):
                if not host.has_power:
                    link.cut()
        return link

    def listen(self, process: Process, name: tuple[str, int], server: Listening) -> None:
        """Let a server take connections to a port.

        Raises:
            OSError: another server of the host listens on the port.
        """
        if name[1] in process.listeners:
            raise OSError(
                errno.EADDRINUSE,
                f"error while attempting to bind on address {name!r}: {os.strerror(errno.EADDRINUSE).lower()}",
            )
        process.listeners[name[1]] = server

    async def connect(self, address: str, port: int) -> Endpoint:
        """Connect the running process to a port of a host, as TCP does.

        Raises:
            ConnectionRefusedError: nothing listens there.
            TimeoutError: no answer came; after 127 seconds, as on Linux.
        """
        process = self.current_process()
        other = process.host if address.startswith("127.") else self._by_address.get(address)
        if (balancer := self._balancers.get(address)) is not None:
            other = balancer.choose(process.host, port)
        connecting = _Connecting(self._loop, self, process, other, address, port)
        try:
            return await connecting.result
        except asyncio.CancelledError:
            connecting.abandon()
            raise

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
            self._each_link(host, Link.cut)
            host.has_power = False
        return process

    def power_on(self, host: Host) -> None:
        """Give a host power again; it answers packets of old connections with a reset."""
        if not host.has_power:
            host.has_power = True
            self._each_link(host, Link.heal)

    def stall(self, process: Process) -> None:
        """Let a process read nothing from its connections, until `resume`."""
        process.is_stalled = True

    def resume(self, process: Process) -> None:
        """Let a process read again."""
        process.is_stalled = False
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

    def _between(self, name: str, other: str, *, both_ways: bool) -> list[Link]:
        first, second = self.host(name), self.host(other)
        return [self.link(first, second), *([self.link(second, first)] if both_ways else [])]

    def isolate(self, host: Host) -> None:
        """Let nothing pass between a host and all others, until `rejoin`."""
        self._each_link(host, Link.cut)

    def rejoin(self, host: Host) -> None:
        """Take an `isolate` back."""
        self._each_link(host, Link.heal)

    def _each_link(self, host: Host, act: Callable[[Link], None]) -> None:
        for other in self.hosts:
            if other is not host:
                for pair in ((host, other), (other, host)):
                    act(self.link(*pair))

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


class _Connecting:
    """The three packets with which a connection begins."""

    def __init__(
        self, loop: "VirtualTimeLoop", network: Network, process: Process, other: Host | None, address: str, port: int
    ) -> None:
        self.result: asyncio.Future[Endpoint] = loop.create_future()
        self._loop = loop
        self._kernel = network.kernel
        self._attempts = 0
        self._other = other
        self._port = port
        host = process.host
        local = "127.0.0.1" if other is host else host.address
        if other is None:
            self._stream = 0
            self._there: Link | None = None
        else:
            self._stream = network.stream(host, other, port)
            self._there, back = network.link(host, other), network.link(other, host)
            ends = ((local, host.free_port()), self._there, "client"), ((address, port), back, "server")
            self._client, self._server = (
                Endpoint(loop, self._kernel, name, link, key(self._stream, side)) for name, link, side in ends
            )
            self._client.peer, self._server.peer = self._server, self._client
        self._ask()

    def abandon(self) -> None:
        """The program does not want the connection any more."""
        if self._there is not None:
            self._client.reset()

    def _ask(self) -> None:
        """Send the first packet, or send it again."""
        if self.result.done():
            return
        if self._attempts > CONNECT_RETRIES:
            self.result.set_exception(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        there = self._there
        if there is not None and there.is_up and not self._is_lost(there):
            self._after(self._client.one_way, self._arrive)
        else:
            self._after(2.0**self._attempts, self._ask)
        self._attempts += 1

    def _is_lost(self, link: Link) -> bool:
        chance = uniform(key(self._stream, "first packet"), self._attempts)
        return chance < max(link.loss, link.conditions.loss)

    def _arrive(self) -> None:
        assert self._other is not None  # noqa: S101 - there is no link to an unknown host
        server = self._other.process.listeners.get(self._port)
        answers_in = self._server.one_way
        if server is None:
            self._after(answers_in, self._refuse)
            return
        self._after(answers_in, self._establish)
        self._after(answers_in + self._client.one_way, self._accept, server)

    def _refuse(self) -> None:
        if not self.result.done():
            number = errno.ECONNREFUSED
            self.result.set_exception(ConnectionRefusedError(number, os.strerror(number)))

    def _establish(self) -> None:
        if not self.result.done():
            self.result.set_result(self._client)

    def _accept(self, server: Listening) -> None:
        if server.is_serving():
            server.accept(self._server)
        else:
            self._server.reset()

    def _after(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        when = self._loop.exact_time() + seconds
        self._loop.call_at(when, act, *args, context=self._kernel)

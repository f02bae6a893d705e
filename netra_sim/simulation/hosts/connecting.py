"""How a TCP connection begins: three packets, each of which may be lost or cut off."""

import asyncio
import errno
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from netra_sim.randomness import key
from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.host import Host, Listening
from netra_sim.simulation.hosts.idle import IdleWatch
from netra_sim.simulation.hosts.kernel_timer import KernelTimer
from netra_sim.simulation.hosts.links import NetworkLink, retransmission_pause

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop

RETRIES = 6
"""Retransmissions of the first packet of a connection, after 1, 2, 4 ... seconds: ``net.ipv4.tcp_syn_retries`` of Linux."""

GIVES_UP_AFTER = 2.0 ** (RETRIES + 1) - 1
"""Seconds after which an attempt to connect fails that nobody answers."""


def connect_timeout() -> TimeoutError:
    """The error of a program whose attempt to connect nobody answered."""
    return TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


class Connecting:
    """An attempt to connect.

    There is no accept queue: a listening program accepts as soon as the third packet comes. Its event loop would empty the
    queue at once, and the virtual time of all hosts stands still while a program keeps the loop busy.

    Args:
        loop: the clock and the timers.
        client: the end that connects; its peer is the end that a server gets.
        there: the direction to the server.
        back: the direction from it.
        host: the other host.
        stream: the key of the draws.

    Attributes:
        established: done as soon as the client may send. It fails with ConnectionRefusedError if nothing listens, and with
            TimeoutError after 127 seconds without an answer.
    """

    def __init__(
        self,
        loop: "VirtualTimeLoop",
        client: Endpoint,
        there: NetworkLink,
        back: NetworkLink,
        host: Host,
        stream: int,
    ) -> None:
        self.established: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._client, self._server = client, client.peer
        self._there, self._back = there, back
        self._host = host
        self._draws = key(stream, "first packets")
        self._packets = 0
        self._attempts = 0
        self._ask()

    def abandon(self) -> None:
        """The program does not want the connection, or does not get it."""
        self._again.cancel()
        if self._is_established():
            self._client.close()
        else:
            self._client.vanish()  # it answers the second packet with a reset, so nobody accepts it

    def _is_established(self) -> bool:
        done = self.established
        return done.done() and not done.cancelled() and done.exception() is None

    def _passes(self, link: NetworkLink) -> bool:
        self._packets += 1
        return link.passes(self._draws, self._packets)

    def _ask(self) -> None:
        """Send the first packet, or send it again."""
        if self._client.is_closed:
            return
        if self._attempts > RETRIES:
            if not self.established.done():
                self.established.set_exception(connect_timeout())
            return
        self._again = self._after(2.0**self._attempts, self._ask)
        self._attempts += 1
        if self._passes(self._there):
            self._after(self._client.one_way, self._answer)

    def _answer(self) -> None:
        if not self._passes(self._back):
            return
        listening = self._host.process.listeners.get(self._server.address[1])
        if listening is None or not listening.is_serving():
            self._after(self._server.one_way, self._refuse)
        else:
            self._after(self._server.one_way, self._establish, listening)

    def _refuse(self) -> None:
        self._again.cancel()
        if not self.established.done():
            number = errno.ECONNREFUSED
            self.established.set_exception(ConnectionRefusedError(number, os.strerror(number)))

    def _establish(self, listening: Listening) -> None:
        self._again.cancel()
        if not self.established.done() and not self._client.is_closed:
            self.established.set_result(None)
            self._attempts = 0
            self._confirm(listening)

    def _confirm(self, listening: Listening) -> None:
        """Send the third packet, or send it again."""
        if self._passes(self._there):
            self._after(self._client.one_way, self._accept, listening)
        elif not self._client.is_closed:
            self._after(retransmission_pause(self._attempts), self._confirm, listening)
            self._attempts += 1

    def _accept(self, listening: Listening) -> None:
        if listening.is_serving():
            listening.accept(self._server)
            proxy = min(self._there.conditions, self._back.conditions, key=lambda conditions: conditions.idle)
            if proxy.idle < math.inf:
                IdleWatch(self._loop, self._client, proxy)
        else:
            self._server.reset()

    def _after(self, seconds: float, act: Callable[..., object], *args: object) -> KernelTimer:
        return KernelTimer(self._loop, self._loop.exact_time() + seconds, act, *args)

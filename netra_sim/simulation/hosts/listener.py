"""`VirtualServer`: what `asyncio.AbstractServer` is on the virtual network."""

import asyncio
from asyncio import events
from collections.abc import Callable
from contextvars import copy_context

from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.entropy import CONNECTION
from netra_sim.simulation.hosts.host import Process
from netra_sim.simulation.hosts.sockets import VirtualSocket
from netra_sim.simulation.hosts.transport import VirtualTransport


class VirtualServer(events.AbstractServer):
    """Listens on a port of the host of the process that made it. It is an `asyncio.AbstractServer`.

    It takes connections for every address of the host: there is one network interface, and a proxy before servers that
    listen on the loopback address only.

    Args:
        loop: the loop of the program.
        process: the program.
        name: the address and port as the program asked for them.
        protocol_factory: makes a protocol for each connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        process: Process,
        name: tuple[str, int],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._loop = loop
        self._process = process
        self._name = name
        self._protocol_factory = protocol_factory
        self._socket = VirtualSocket(name)
        self._is_listening = False
        self._is_closed = False
        self._transports: dict[VirtualTransport, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._serving_forever: asyncio.Future[None] | None = None
        self._context = copy_context()

    @property
    def sockets(self) -> tuple[VirtualSocket, ...]:
        """The listening sockets; none after `close`."""
        return () if self._is_closed else (self._socket,)

    def listen(self) -> None:
        """Begin to take connections.

        Raises:
            RuntimeError: the server is closed.
        """
        if self._is_closed:
            raise RuntimeError(f"server {self!r} is closed")
        self._is_listening = True

    async def start_serving(self) -> None:
        """See `asyncio.Server`."""
        self.listen()

    async def serve_forever(self) -> None:
        """See `asyncio.Server`."""
        if self._serving_forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self.listen()
        self._serving_forever = self._loop.create_future()
        try:
            await self._serving_forever
        finally:
            self._serving_forever = None
            self.close()
            await self.wait_closed()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See `asyncio.Server`."""
        return self._loop

    def is_serving(self) -> bool:
        """See `asyncio.Server`."""
        return self._is_listening and not self._is_closed and not self._process.is_dead

    def close(self) -> None:
        """See `asyncio.Server`."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._process.listeners.get(self._name[1]) is self:
            del self._process.listeners[self._name[1]]
        if self._serving_forever is not None and not self._serving_forever.done():
            self._serving_forever.cancel()
        self._wake()

    def close_clients(self) -> None:
        """See `asyncio.Server`, from Python 3.13."""
        for transport in list(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        """See `asyncio.Server`, from Python 3.13."""
        for transport in list(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the server and all its connections are closed, as from Python 3.12.1."""
        if not self._is_closed or self._transports:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def attach(self, transport: VirtualTransport) -> None:
        """Count a connection as open."""
        self._transports[transport] = None

    def detach(self, transport: VirtualTransport) -> None:
        """Count a connection as closed."""
        self._transports.pop(transport, None)
        self._wake()

    def accept(self, endpoint: Endpoint) -> None:
        """Take a connection, and begin to serve it, in a copy of the context in which the server was made."""
        context = self._context.copy()
        context.run(CONNECTION.set, endpoint.key)
        context.run(self._accept, endpoint)

    def _accept(self, endpoint: Endpoint) -> None:
        endpoint.open_in(self._process.endpoints)
        try:
            protocol = self._protocol_factory()
        except Exception as error:
            endpoint.close()
            if self._loop.get_debug():  # asyncio too is silent otherwise
                message = "Error on transport creation for incoming connection"
                self._loop.call_exception_handler({"message": message, "exception": error})
            return
        VirtualTransport(self._loop, endpoint, protocol, copy_context(), self)

    def _wake(self) -> None:
        if self._is_closed and not self._transports:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

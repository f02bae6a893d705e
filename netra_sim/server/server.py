"""`AgentServer`: serves the bridge and the factory to WebSocket clients, with the `websockets` library."""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.runtime import is_fragile
from netra_sim.server.conversation import ClientGoneError, serve_connection
from netra_sim.server.handshake import SUBPROTOCOL, Authenticator, Handshake, Refusal
from netra_sim.server.limits import ServerLimits
from netra_sim.server.service import AgentService
from netra_sim.server.transport import UserConnection, WebSocketTransport, short
from netra_sim.server.web import Page, page

log = logging.getLogger(__name__)

_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - clients must not use the keys


class AgentServer:
    """Accepts authenticated clients and routes their messages to agents; use it as an asynchronous context.

    Leaving the context drains the server: it begins no more runs, tells every client, lets live runs go on for up to
    ``drain`` seconds, ends the others, and waits until all connections are closed.

    Args:
        bridge: carries the events.
        execution_factory: makes the engines.
        authenticator: finds out which user a client is, before the WebSocket handshake is answered.
        host: the address to listen on.
        port: the port; 0 for any free port.
        origins: the origins of web pages that may connect; None in the list allows clients that are not browsers.
        limits: limits on the clients.
        drain: seconds that live runs may go on during the shutdown.
        wall_clock: returns seconds since 1970, for the expiry of tokens.

    Attributes:
        service: the state that all connections share; it revokes users and tokens, and has the metrics.
    """

    def __init__(
        self,
        *,
        bridge: AgentWebSocketBridge,
        execution_factory: ExecutionEngineFactory,
        authenticator: Authenticator,
        host: str = "127.0.0.1",
        port: int = 0,
        origins: Sequence[str | None] = (None,),
        limits: ServerLimits | None = None,
        drain: float = 0.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.service = AgentService(
            bridge=bridge,
            execution_factory=execution_factory,
            authenticator=authenticator,
            origins=origins,
            limits=limits,
            drain=drain,
            wall_clock=wall_clock,
        )
        self._host = host
        self._port = port
        self._server: Server | None = None

    @property
    def uri(self) -> str:
        """The address for clients on this machine.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._server is None:
            raise RuntimeError("the server is not running; enter its context first")
        port = next(iter(self._server.sockets)).getsockname()[1]
        host = _ANY_ADDRESS.get(self._host, self._host)
        return f"ws://[{host}]:{port}" if _is_v6(host) else f"ws://{host}:{port}"

    async def __aenter__(self) -> "AgentServer":
        if is_fragile(asyncio.get_running_loop()):
            log.warning(
                "This loop stops listening for good when a client resets its connection before it is accepted. "
                "Use netra_sim.run, or asyncio.Runner(loop_factory=netra_sim.runtime.new_event_loop)."
            )
        await self.service.__aenter__()
        try:
            self._server = await self._listen()
        except BaseException:
            await self.service.stop(0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.service.stop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _listen(self) -> Server:
        limits = self.service.limits
        return await serve(
            self._serve_client,
            self._host,
            self._port,
            process_request=self._admit,
            select_subprotocol=_select_subprotocol,
            create_connection=self._connection_class(),
            logger=_library_logger(),
            compression=None,
            server_header=None,
            max_size=limits.message_bytes,
            max_queue=8,
            write_limit=self.service.bridge.limits.congested_bytes,
            open_timeout=5,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=2,
        )

    def _connection_class(self) -> type[UserConnection]:
        service = self.service

        class CountedConnection(UserConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                limits = service.limits
                self.slot = service.take_slot()
                super().connection_made(transport)
                if service.sockets > limits.connections + limits.unready_connections:
                    self.transport.abort()  # Too many for an answer to each.

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                self.slot.give_back()

        return CountedConnection

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, refuse the client, or remember its user; called before the handshake is answered."""
        assert isinstance(connection, UserConnection)  # noqa: S101 - `create_connection` makes it
        path, _, query = request.path.partition("?")
        answer = page(path, self.service)
        if answer is not None:
            return _response(answer)
        headers = tuple((name.lower(), value) for name, value in request.headers.raw_items())
        handshake = Handshake(headers=headers, path=path, query=query)
        admitted = await self.service.admit(handshake, connection.slot)
        if not isinstance(admitted, Refusal):
            connection.user = admitted
            connection.control_frames = self.service.control_frames.of(admitted.user_id)
        elif handshake.origin is None:
            return _response(Page(admitted.status, f"{admitted.reason}\n".encode(), headers=admitted.headers))
        else:
            connection.refusal = admitted
        return None

    async def _serve_client(self, client: ServerConnection) -> None:
        assert isinstance(client, UserConnection)  # noqa: S101
        if client.refusal is not None:
            await client.close(client.refusal.code, short(client.refusal.reason))
            return
        assert client.user is not None  # noqa: S101
        transport = WebSocketTransport(client)

        async def receive() -> str | bytes:
            try:
                return await client.recv()
            except ConnectionClosed:
                raise ClientGoneError(*client.ended_as) from None

        await serve_connection(client.user, receive, transport, self.service, slot=client.slot)
        await transport.closed()


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _response(answer: Page) -> Response:
    headers = Headers(Connection="close")
    headers["Content-Type"] = answer.content_type
    headers["Content-Length"] = str(len(answer.body))
    for name, value in answer.headers.items():
        headers[name] = value
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


class _NoTracebacks(logging.Filter):
    """Logs a broken handshake in one line; the library would log a traceback for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or "handshake" not in str(record.msg):
            return True
        log.info("a handshake was spoilt: %s", type(error).__name__)
        return False


def _library_logger() -> logging.Logger:
    """The logger for the `websockets` library. Below WARNING the library would log users' data and tokens."""
    logger = logging.getLogger("netra_sim.server.websockets")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_NoTracebacks())
    return logger

"""`AgentServer`: real WebSocket clients on the same bridge and factory that the simulator drives."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin

from netra_sim.bridge import (
    CLOSE_LOST,
    CLOSE_POLICY,
    CLOSE_PROTOCOL,
    CLOSE_UNAUTHENTICATED,
    AgentWebSocketBridge,
    Connection,
)
from netra_sim.exceptions import ConnectionLimitError
from netra_sim.factory import ExecutionEngineFactory, answer_message
from netra_sim.server.auth import AuthenticationError, TokenAuthenticator
from netra_sim.server.transport import UserConnection, WebSocketTransport

log = logging.getLogger(__name__)

RESUME_SECONDS = 5.0
"""How long a new connection may keep silent before its first message."""


class Resume(msgspec.Struct, frozen=True, tag_field="type", tag="resume"):
    """The first message of every connection: what the client has, so that it gets the rest.

    Attributes:
        epoch: which server memory the cursors belong to; None on a first connection.
        cursors: for each run the number of the last event that the client has.
    """

    epoch: str | None = None
    cursors: dict[str, int] = {}


_decode_resume = msgspec.json.Decoder(Resume).decode
_decode_message = msgspec.json.Decoder().decode


class AgentServer:
    """Accepts authenticated clients and routes their messages to agents; use it as an asynchronous context.

    Leaving the context ends the runs that still execute, tells every client, and waits until all is closed.

    Args:
        bridge: carries the events.
        execution_factory: makes the engines.
        authenticator: says who a client is, before the WebSocket handshake is answered.
        host: the address to listen on.
        port: the port; 0 for any free one.
        origins: web pages whose scripts may connect; None in the list allows clients that are no browsers.
    """

    def __init__(
        self,
        *,
        bridge: AgentWebSocketBridge,
        execution_factory: ExecutionEngineFactory,
        authenticator: TokenAuthenticator,
        host: str = "127.0.0.1",
        port: int = 0,
        origins: Sequence[str | None] = (None,),
    ) -> None:
        self._bridge = bridge
        self._factory = execution_factory
        self._authenticator = authenticator
        self._host = host
        self._port = port
        self._origins = [None if origin is None else Origin(origin) for origin in origins]
        self._server: Server | None = None
        self._answers: set[asyncio.Task[object]] = set()

    @property
    def uri(self) -> str:
        """Where clients connect.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._server is None:
            raise RuntimeError("the server is not running; enter its context first")
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://{self._host}:{port}"

    async def __aenter__(self) -> "AgentServer":
        await self._bridge.ensure_integration()
        self._server = await serve(
            self._serve_client,
            self._host,
            self._port,
            process_request=self._authenticate,
            create_connection=UserConnection,
            origins=self._origins,
            compression=None,
            server_header=None,
            max_size=64 * 1024,
            max_queue=8,
            write_limit=self._bridge.limits.congested_bytes,
            open_timeout=5,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=2,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._factory.shutdown()
        if self._answers:
            await asyncio.wait(self._answers)
        await self._bridge.shutdown()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _authenticate(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse with 401 before the socket is accepted, or remember who it is."""
        assert isinstance(connection, UserConnection)  # noqa: S101 - `create_connection` sees to it
        try:
            given = request.headers.get_all("Authorization")
            connection.user = self._authenticator.authenticate(given[0] if len(given) == 1 else None)
        except AuthenticationError as error:
            response = connection.respond(HTTPStatus.UNAUTHORIZED, f"{error}\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    async def _serve_client(self, client: ServerConnection) -> None:
        assert isinstance(client, UserConnection)  # noqa: S101
        try:
            connection = await self._attach(client)
            if connection is None:
                return
            expiry = self._arm_expiry(connection)
            try:
                async for message in client:
                    self._answer(message, connection)
            finally:
                if expiry is not None:
                    expiry.cancel()
                self._bridge.disconnect(connection, client.close_code or CLOSE_LOST, client.close_reason or "")
        except ConnectionClosed:
            pass  # The client went without a closing handshake; its runs go on, and it may come back for them.

    async def _attach(self, client: UserConnection) -> Connection | None:
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                resume = _decode_resume(await client.recv())
            return self._bridge.connect(
                client.user, WebSocketTransport(client), epoch=resume.epoch, cursors=resume.cursors
            )
        except TimeoutError:
            await client.close(CLOSE_PROTOCOL, f"no resume message within {RESUME_SECONDS:g} s")
        except (msgspec.DecodeError, RecursionError) as error:
            await client.close(CLOSE_PROTOCOL, f"the first message must be resume: {error}"[:120])
        except ConnectionLimitError:
            await client.close(CLOSE_POLICY, "too many connections of this user")
        return None

    def _arm_expiry(self, connection: Connection) -> asyncio.TimerHandle | None:
        expires_at = connection.user.expires_at
        if expires_at is None:
            return None
        left = max(0.0, self._authenticator.seconds_until(expires_at))
        disconnect = self._bridge.disconnect
        loop = asyncio.get_running_loop()
        return loop.call_later(left, disconnect, connection, CLOSE_UNAUTHENTICATED, "the token has expired")

    def _answer(self, message: str | bytes, connection: Connection) -> None:
        try:
            data = _decode_message(message)
        except (msgspec.DecodeError, RecursionError):
            data = message  # answered as what it is: no JSON object
        work = answer_message(data, connection, bridge=self._bridge, execution_factory=self._factory)
        task: asyncio.Task[object] = asyncio.create_task(work, name=f"message on {connection.connection_id}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

"""`agent_app`: the agents as an ASGI application, to mount in FastAPI or Starlette, or to serve alone.

It imports no framework, and uses ASGI messages directly (https://asgi.readthedocs.io/en/latest/specs/www.html).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.protocol import CLOSE_LOST
from netra_sim.server.conversation import ClientGoneError, serve_connection
from netra_sim.server.handshake import Authenticator, Handshake, Refusal
from netra_sim.server.limits import ServerLimits
from netra_sim.server.service import AgentService, Slot
from netra_sim.server.transport import short
from netra_sim.server.web import Page, page

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSE_SECONDS = 2.0
"""How long, in seconds, a closing connection waits for a client that does not read."""


class AgentApp:
    """An ASGI application: WebSockets on every path (docs/protocol.md), and the HTTP paths of the server, as ``/healthz``.

    A framework that mounts it does not pass on lifespan events, so give the framework `lifespan`. An ASGI server that serves
    it alone needs nothing more.

    Args:
        service: the state that all connections share.
    """

    def __init__(self, service: AgentService) -> None:
        self.service = service

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run the service; pass this to FastAPI or Starlette as ``lifespan``."""
        async with self.service:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket connection, HTTP request or lifespan."""
        kind = scope["type"]
        if kind == "websocket":
            await self._serve_websocket(scope, receive, send)
        elif kind == "http":
            await self._serve_http(scope, send)
        elif kind == "lifespan":
            await self._serve_lifespan(receive, send)
        else:
            raise ValueError(f"an ASGI scope is of type websocket, http or lifespan, and this is {kind!r}")

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.service.take_slot() as slot:
            handshake = _handshake(scope)
            admitted = await self.service.admit(handshake, slot)
            if isinstance(admitted, Refusal):
                await _refuse(admitted, handshake, scope, receive, send)
            else:
                await serve_asgi(admitted, scope, receive, send, self.service, slot=slot)

    async def _serve_http(self, scope: Scope, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        answer = page(path, self.service) if scope["method"] in ("GET", "HEAD") else None
        await _respond(send, answer or Page(HTTPStatus.NOT_FOUND, b"not found; agents are reached by WebSocket\n"))

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.service.__aenter__()
        except Exception as error:
            log.exception("the service could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})


def agent_app(
    *,
    bridge: AgentWebSocketBridge,
    execution_factory: ExecutionEngineFactory,
    authenticator: Authenticator,
    origins: Sequence[str | None] = (None,),
    limits: ServerLimits | None = None,
    drain: float = 0.0,
    wall_clock: Callable[[], float] = time.time,
) -> AgentApp:
    """Make an ASGI application of the agents; see `AgentServer` for the arguments.

    In FastAPI or Starlette, where clients then connect to ``/agents/``::

        agents = agent_app(bridge=bridge, execution_factory=factory, authenticator=authenticator)
        app = FastAPI(lifespan=agents.lifespan)
        app.mount("/agents", agents)
    """
    return AgentApp(
        AgentService(
            bridge=bridge,
            execution_factory=execution_factory,
            authenticator=authenticator,
            origins=origins,
            limits=limits,
            drain=drain,
            wall_clock=wall_clock,
        )
    )


async def serve_asgi(
    user: AuthenticatedUser,
    scope: Scope,
    receive: Receive,
    send: Send,
    service: AgentService,
    *,
    slot: Slot | None = None,
) -> None:
    """Accept a WebSocket and serve it until it closes; for a route of an application that authenticates its users itself.

    Args:
        user: the authenticated user.
        scope: the ASGI scope of the WebSocket.
        receive: the ASGI channel; ``websocket.receive`` of Starlette's ``WebSocket``.
        send: the ASGI channel; ``websocket.send`` of Starlette's ``WebSocket``.
        service: the running service.
        slot: the slot of the socket, if it has one already.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept", "subprotocol": _handshake(scope).subprotocol()})
    transport = _AsgiTransport(send)

    async def next_message() -> str | bytes:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            transport.stop_sending()
            raise ClientGoneError(message.get("code", CLOSE_LOST), message.get("reason") or "")
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    conversation = asyncio.create_task(
        serve_connection(user, next_message, transport, service, slot=slot), name="conversation over ASGI"
    )
    try:
        await transport.pump()  # Ends when the conversation closes the transport, or the client is gone.
        await asyncio.wait([conversation], timeout=CLOSE_SECONDS)
    finally:
        conversation.cancel()
        await asyncio.wait([conversation])


class _AsgiTransport:
    """The bridge's transport over ASGI. ASGI's ``send`` waits, so frames queue here and `pump` sends them one by one."""

    def __init__(self, send: Send) -> None:
        self.on_writable: Callable[[], None] | None = None
        self._send = send
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._closing: tuple[int, str] | None = None
        self._is_gone = False
        self._wake = asyncio.Event()
        self._patience = asyncio.timeout(None)

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue frames.

        Raises:
            ConnectionResetError: the connection is closing or closed.
        """
        if self._closing is not None or self._is_gone:
            raise ConnectionResetError("the WebSocket connection is not open")
        self._frames.extend(frames)
        self._bytes += sum(map(len, frames))
        self._wake.set()

    def buffered(self) -> int:
        """The number of bytes that the ASGI server has not accepted yet."""
        return self._bytes

    def close(self, code: int, reason: str) -> None:
        """Let the pump send the queued frames and then close."""
        if self._closing is None:
            self._closing = (code, short(reason))
            self._wake.set()
            if not self._is_gone:
                self._patience.reschedule(asyncio.get_running_loop().time() + CLOSE_SECONDS)

    def stop_sending(self) -> None:
        """Stop sending, because the client is gone."""
        self._is_gone = True
        self._wake.set()

    async def pump(self) -> None:
        """Send until the connection is closed or the client is gone; after `close`, for at most `CLOSE_SECONDS`."""
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._send_all()
        except TimeoutError:
            log.info("a client that does not read was left alone")
        except Exception as error:  # each ASGI server raises another error for a client that is gone
            log.info("the ASGI server could not send: %s", type(error).__name__)
            self.close(CLOSE_LOST, f"the ASGI server could not send: {type(error).__name__}")
        finally:
            self._is_gone = True

    async def _send_all(self) -> None:
        while not self._is_gone:
            if self._frames:
                frame = self._frames.popleft()
                await self._send({"type": "websocket.send", "text": frame.decode()})
                self._bytes -= len(frame)
            elif self._closing is not None:
                code, reason = self._closing
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return
            else:
                if self.on_writable is not None:
                    self.on_writable()
                await self._wake.wait()
                self._wake.clear()


def _handshake(scope: Scope) -> Handshake:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    return Handshake(headers=headers, path=scope["path"], query=scope.get("query_string", b"").decode("latin-1"))


async def _refuse(refusal: Refusal, handshake: Handshake, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if handshake.origin is not None:
        await send({"type": "websocket.accept", "subprotocol": handshake.subprotocol()})
    elif "websocket.http.response" in scope.get("extensions", {}):
        body = f"{refusal.reason}\n".encode()
        await _respond(send, Page(refusal.status, body, headers=refusal.headers), prefix="websocket.http")
        return
    # Without that extension, the ASGI server turns a close before the handshake into a 403.
    await send({"type": "websocket.close", "code": refusal.code, "reason": short(refusal.reason)})


async def _respond(send: Send, answer: Page, *, prefix: str = "http") -> None:
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": f"{prefix}.response.start", "status": int(answer.status), "headers": pairs})
    await send({"type": f"{prefix}.response.body", "body": answer.body})

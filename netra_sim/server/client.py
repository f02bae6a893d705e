"""`AgentClient`: a WebSocket client of one user. It reconnects by itself and resumes without losing events."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from netra_sim.protocol import (
    CLOSE_LOST,
    CLOSE_REPLACED,
    CLOSE_UNAUTHENTICATED,
    REPLACED_PAUSE,
    EventReader,
    Hello,
    Reading,
    is_terminal,
    longest_pause,
)
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server.conversation import Resume
from netra_sim.server.handshake import SUBPROTOCOL

_encode = msgspec.json.Encoder().encode

Token = str | Callable[[], Awaitable[str]]
"""A token, or a function that gets one. The client calls the function for every connection. If the server refuses its token,
the client asks for another one, and gives up after `REFUSED_TOKENS`. If the function fails, the client tries again later."""

REFUSED_TOKENS = 3
"""How many tokens the server refuses in a row before the client gives up: one can end during an outage, and the next one on
its way."""

log = logging.getLogger(__name__)


class AgentClient:
    """A client of one user. Use it as an asynchronous context; inside the context it stays connected.

    Args:
        uri: the address of the server.
        token: proves who the user is.
        on_reading: called with every frame in order, its `Reading`, and the id of the connection.

    Raises:
        websockets.exceptions.InvalidStatus: the server refused the first handshake, for example for an invalid token.
        OSError: the server cannot be reached.
        Exception: on entering the context, the error of the function that gets tokens. On leaving it, unless the block
            itself failed, the error that ended the reading, raised by
            ``on_reading`` or by a refused handshake.
    """

    def __init__(self, uri: str, token: Token, on_reading: Callable[[bytes, Reading, str], None]) -> None:
        self.reader = EventReader()
        self._uri = uri
        self._token = token
        self._on_reading = on_reading
        self._socket: ClientConnection | None = None
        self._is_connected = asyncio.Event()
        self._reading: asyncio.Task[int] | None = None
        self._failures = 0
        self._refused_tokens = 0
        self._is_greeted = False

    async def __aenter__(self) -> "AgentClient":
        socket = await self._connect(await self._proof())
        self._reading = asyncio.create_task(self._read_for_ever(socket), name="reading of a client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reading = self._reading
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        if self._socket is not None:
            await self._socket.close()
        if reading is not None and not reading.cancelled() and error is None:
            reading.result()

    async def send(self, message: Mapping[str, object]) -> None:
        """Send a message as soon as there is a connection, and again if the connection breaks during the send.

        The network can still lose the message after that. A message with a ``request_id`` can be sent again safely.

        Raises:
            ConnectionError: the client has given up, because the server closed it with a code after which it must not return
                (such as for an expired token), or because ``on_reading`` failed.
        """
        reading = self._reading
        if reading is None:
            raise RuntimeError("the client is not connected; enter its context first")
        while True:
            connected = asyncio.ensure_future(self._is_connected.wait())
            try:
                await asyncio.wait((connected, reading), return_when=asyncio.FIRST_COMPLETED)
            finally:
                connected.cancel()
            if reading.done() or self._socket is None:
                cause = None if reading.cancelled() else reading.exception()
                raise ConnectionError("the client has given up its connection") from cause
            try:
                await self._socket.send(_encode(message), text=True)
            except ConnectionClosed:
                self._is_connected.clear()
                continue
            return

    async def authenticate(self, token: str) -> None:
        """Use a newer token of the same user on this connection, and on later ones unless a function gets their tokens."""
        if isinstance(self._token, str):
            self._token = token
        await self.send({"type": "authenticate", "token": token})

    async def wait_closed(self) -> int:
        """Wait until the client has given up, and return the close code after which it must not return.

        Raises:
            Exception: the error of ``on_reading``, or of the last handshake if the server refused it.
        """
        if self._reading is None:
            raise RuntimeError("the client is not connected; enter its context first")
        return await asyncio.shield(self._reading)

    def cut(self) -> None:
        """Break the connection without a closing handshake, as a lost network does. The client then reconnects."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _proof(self) -> str:
        return self._token if isinstance(self._token, str) else await self._token()

    async def _connect(self, token: str) -> ClientConnection:
        self._is_greeted = False
        socket = await connect(
            self._uri,
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=1024 * 1024,
            proxy=None,
            open_timeout=5,
            close_timeout=2,
        )
        await socket.send(_encode(Resume(self.reader.epoch, dict(self.reader.cursors))), text=True)
        self._socket = socket
        self._is_connected.set()
        return socket

    async def _read_for_ever(self, socket: ClientConnection) -> int:
        while True:
            with suppress(ConnectionClosed):
                await self._read(socket)
            self._is_connected.clear()
            code = socket.close_code or CLOSE_LOST
            if is_terminal(code) and not (code == CLOSE_UNAUTHENTICATED and self._may_renew()):
                return code
            socket = await self._reconnect(code)

    def _may_renew(self) -> bool:
        """Count the refused token, unless a hello came for it before it ended; return whether to try another one."""
        if not self._is_greeted:
            self._refused_tokens += 1
        return not isinstance(self._token, str) and self._refused_tokens < REFUSED_TOKENS

    async def _reconnect(self, code: int) -> ClientConnection:
        if code == CLOSE_REPLACED:
            await windows_safe_sleep(random.uniform(*REPLACED_PAUSE))
        while True:
            await windows_safe_sleep(random.uniform(0, longest_pause(self._failures)))
            self._failures += (
                1  # Only a hello resets this: a successful handshake does not prove that the server works.
            )
            try:
                token = await self._proof()
            except Exception:  # each way to get tokens raises another error while it is out of order
                log.warning("a client cannot get a token now, and tries again", exc_info=True)
                continue
            try:
                return await self._connect(token)
            except InvalidStatus as refusal:
                status = refusal.response.status_code
                if 400 <= status < 500 and status != 429 and not (status == 401 and self._may_renew()):
                    raise  # 401 or 403: the server would refuse the same token again.
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
                pass

    async def _read(self, socket: ClientConnection) -> None:
        connection_id = ""
        while True:
            frame = await socket.recv(decode=False)
            reading = self.reader.feed(frame)
            if isinstance(reading.message, Hello):
                connection_id = reading.message.connection_id
                self._failures = self._refused_tokens = 0
                self._is_greeted = True
            self._on_reading(frame, reading, connection_id)

"""`AgentClient`: a user's real WebSocket client, which reconnects and resumes where it was."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from netra_sim.bridge import TERMINAL_CODES, EventReader, Hello, Reading, longest_pause
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server.server import Resume

_encode = msgspec.json.Encoder().encode


class AgentClient:
    """One connection of one user; use it as an asynchronous context, in which it stays connected.

    Args:
        uri: the server's.
        token: proves who the user is.
        on_reading: called, in order, with every frame, what it meant, and the connection's name.

    Raises:
        websockets.exceptions.InvalidStatus: the server refused the first handshake, as with a token that is not valid.
        OSError: the server cannot be reached.
    """

    def __init__(self, uri: str, token: str, on_reading: Callable[[bytes, Reading, str], None]) -> None:
        self.reader = EventReader()
        self._uri = uri
        self._headers = {"Authorization": f"Bearer {token}"}
        self._on_reading = on_reading
        self._socket: ClientConnection | None = None
        self._is_connected = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._failures = 0

    async def __aenter__(self) -> "AgentClient":
        socket = await self._connect()
        self._reading = asyncio.create_task(self._read_for_ever(socket), name="reading of a client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._socket is not None:
            await self._socket.close()

    async def send(self, message: Mapping[str, object]) -> None:
        """Send a message as soon as there is a connection, and again if that breaks while it is being sent.

        A message that the network loses after that is lost; give it a ``request_id``, and it can be sent twice in safety.

        Raises:
            ConnectionError: the server has turned the client away for good, as with a token that has run out.
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

    def cut(self) -> None:
        """Break the connection without a closing handshake, as a network that is lost does; the client then comes back."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _connect(self) -> ClientConnection:
        socket = await connect(
            self._uri,
            additional_headers=self._headers,
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

    async def _read_for_ever(self, socket: ClientConnection) -> None:
        while True:
            with suppress(ConnectionClosed):
                await self._read(socket)
            self._is_connected.clear()
            if socket.close_code in TERMINAL_CODES:
                return
            socket = await self._reconnect()

    async def _reconnect(self) -> ClientConnection:
        while True:
            await windows_safe_sleep(random.uniform(0, longest_pause(self._failures)))
            self._failures += 1  # Back to 0 at a hello only: a handshake alone proves nothing.
            try:
                return await self._connect()
            except InvalidStatus as refusal:
                if 400 <= refusal.response.status_code < 500 and refusal.response.status_code != 429:
                    raise  # 401, 403: the same token will not fare better.
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
                pass

    async def _read(self, socket: ClientConnection) -> None:
        connection_id = ""
        while True:
            frame = await socket.recv(decode=False)
            reading = self.reader.feed(frame)
            if isinstance(reading.message, Hello):
                connection_id = reading.message.connection_id
                self._failures = 0
            self._on_reading(frame, reading, connection_id)

"""The bridge's transport over a `websockets` connection."""

import asyncio
from collections.abc import Callable, Sequence

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from netra_sim.bridge import AuthenticatedUser
from netra_sim.server.handshake import Refusal
from netra_sim.server.service import Slot

READ_BYTES = 2048
"""The most that is read of a socket in one turn of the loop. All that is read is parsed at once, while everybody waits."""

_BYTES_AFTER_CLOSE = 64 * 1024


class UserConnection(ServerConnection, asyncio.BufferedProtocol):
    """A server's connection that knows its user from the handshake on, and tells when it has drained.

    As a `BufferedProtocol` it says how much is read at once: asyncio would read 256 KiB, and a flood of tiny frames would
    hold everybody up while those are parsed.

    Attributes:
        slot: the socket's place among those of the process.
        user: who it is, once that is proved.
        refusal: why it is turned away, instead.
    """

    slot: Slot
    user: AuthenticatedUser | None = None
    refusal: Refusal | None = None
    on_drained: Callable[[], None] | None = None
    _buffer: bytearray | None = None
    _read_after_close = 0

    def get_buffer(self, sizehint: int) -> bytearray:
        """See `asyncio.BufferedProtocol`."""
        self._buffer = bytearray(READ_BYTES)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            return
        if self.protocol.state is State.CLOSING:
            self._read_after_close += nbytes
            if self._read_after_close > _BYTES_AFTER_CLOSE:
                self.transport.abort()  # It goes on talking, and would be parsed until the closing times out.
                return
        self.data_received(bytes(memoryview(buffer)[:nbytes]))

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        super().resume_writing()
        if self.on_drained is not None:
            self.on_drained()


class WebSocketTransport:
    """Hands frames to a `websockets` connection without waiting.

    ``Connection.send`` would wait for slow clients; writing through the connection's protocol object does not, and puts all
    frames of one turn into one write. The bridge looks at `buffered` instead, and sheds who does not read.
    """

    def __init__(self, connection: UserConnection) -> None:
        self._connection = connection
        self._closing: asyncio.Task[None] | None = None

    @property
    def on_writable(self) -> Callable[[], None] | None:
        """See `netra_sim.bridge.Transport`."""
        return self._connection.on_drained

    @on_writable.setter
    def on_writable(self, callback: Callable[[], None] | None) -> None:
        self._connection.on_drained = callback

    def send(self, frames: Sequence[bytes]) -> None:
        """Write text frames.

        Raises:
            ConnectionResetError: the connection is closing or closed.
        """
        connection = self._connection
        if connection.protocol.state is not State.OPEN or connection.transport.is_closing():
            raise ConnectionResetError("the WebSocket connection is not open")
        for frame in frames:
            connection.protocol.send_text(frame)
        connection.send_data()

    def buffered(self) -> int:
        """Bytes that the operating system has not taken yet."""
        return self._connection.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a client that does not answer is cut off after the server's `close_timeout`."""
        if self._closing is None:
            closing = self._connection.close(code, short(reason))
            self._closing = asyncio.create_task(closing, name="closing a WebSocket")

    async def closed(self) -> None:
        """Wait until a close that has begun is over."""
        if self._closing is not None:
            await self._closing


def short(reason: str) -> str:
    """What fits into a close frame: 123 bytes (RFC 6455, 5.5)."""
    return reason.encode(errors="replace")[:123].decode(errors="ignore")

"""The bridge's transport over a `websockets` connection."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from netra_sim.bridge import AuthenticatedUser
from netra_sim.protocol import CLOSE_RATE
from netra_sim.server.handshake import Refusal
from netra_sim.server.limits import TokenBucket
from netra_sim.server.service import Slot

READ_BYTES = 1024
"""The most that is read of a socket in one turn of the loop. All that is read is parsed at once, while everybody waits."""

_BYTES_AFTER_CLOSE = 2 * READ_BYTES
_CONTROL = frozenset({Opcode.PING, Opcode.PONG})


class UserConnection(ServerConnection, asyncio.BufferedProtocol):
    """A server's connection that knows its user from the handshake on, and tells when it has drained.

    As a `BufferedProtocol` it says how much is read at once: asyncio would read 256 KiB, and a flood of tiny frames would
    hold everybody up while those are parsed.

    Attributes:
        slot: the socket's place among those of the process.
        user: who it is, once that is proved.
        refusal: why it is turned away, instead.
        control_frames: how many pings and pongs its user may still send; known as soon as the user is.
    """

    slot: Slot
    user: AuthenticatedUser | None = None
    refusal: Refusal | None = None
    control_frames: TokenBucket | None = None
    on_drained: Callable[[], None] | None = None
    _closing: asyncio.Task[None] | None = None
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
                self.transport.pause_reading()  # It goes on talking. The close frame waits for it, and then the time is up.
                return
        self.data_received(bytes(memoryview(buffer)[:nbytes]))

    def process_event(self, event: Event) -> None:
        """Take a frame; pings and pongs have a rate of their own, the same as messages, as they pass everybody else by."""
        super().process_event(event)
        if (
            isinstance(event, Frame)
            and event.opcode in _CONTROL
            and self.control_frames is not None
            and not self.control_frames.take()
            and not self._closing
        ):
            self.transport.pause_reading()
            self._closing = asyncio.create_task(
                self.close(CLOSE_RATE, "too many pings or pongs"), name="closing on a flood of pings"
            )

    def send_data(self) -> None:
        """Write what the protocol has to send in one go, and nothing to a peer that is gone: asyncio would log it."""
        writes = self.protocol.data_to_send()
        if self.transport.is_closing():
            return
        data = b"".join(writes)
        if data:
            self.transport.write(data)
        if b"" in writes:  # An end of the stream, which the protocol asks for after a close frame.
            self._end_stream()

    def _end_stream(self) -> None:
        if self.transport.can_write_eof():
            with suppress(OSError, RuntimeError):  # uvloop raises the latter
                self.transport.write_eof()
        else:
            self.transport.close()

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

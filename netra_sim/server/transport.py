"""`UserConnection` and `WebSocketTransport`: the bridge's transport over the `websockets` library."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from netra_sim.bridge import AuthenticatedUser
from netra_sim.protocol import CLOSE_LOST, CLOSE_RATE
from netra_sim.server.handshake import Refusal
from netra_sim.server.limits import TokenBucket
from netra_sim.server.service import Slot

READ_BYTES = 1024
"""The most bytes read from a socket in one turn of the loop, because parsing them blocks the loop."""

_BYTES_AFTER_CLOSE = 2 * READ_BYTES
_CONTROL = frozenset({Opcode.PING, Opcode.PONG})


class UserConnection(ServerConnection, asyncio.BufferedProtocol):
    """A server connection that knows its user from the handshake on, and calls ``on_drained`` when it has drained.

    As a `BufferedProtocol` it limits how much is read at once: asyncio would read 256 KiB, and parsing a flood of tiny
    frames would block all clients.

    Attributes:
        slot: the slot of the socket.
        user: the authenticated user; None before the authentication.
        refusal: why the client is refused, or None.
        control_frames: limits the rate of the user's pings and pongs; None before the authentication.
        on_drained: called when the write buffer has drained.
    """

    slot: Slot
    user: AuthenticatedUser | None = None
    refusal: Refusal | None = None
    control_frames: TokenBucket | None = None
    on_drained: Callable[[], None] | None = None
    _closing: asyncio.Task[None] | None = None
    _buffer: bytearray | None = None
    _read_after_close = 0

    @property
    def ended_as(self) -> tuple[int, str]:
        """The code and the reason with which the connection ended.

        They are those of the side that closed first: a client that the server closes need not answer, and of one that floods
        the server no answer is read.
        """
        sent = self.protocol.close_sent
        if sent is not None and not self.protocol.close_rcvd_then_sent:
            return sent.code, sent.reason
        return self.close_code or CLOSE_LOST, self.close_reason or ""

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
                self.transport.pause_reading()  # The client ignores the close frame; `close_timeout` ends the connection.
                return
        self.data_received(bytes(memoryview(buffer)[:nbytes]))

    def process_event(self, event: Event) -> None:
        """Take a frame. Pings and pongs, which the library answers itself, are limited to the rate of messages."""
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
        """Write all pending data in one call, and nothing to a peer that is gone, because asyncio would log that."""
        writes = self.protocol.data_to_send()
        if self.transport.is_closing():
            return
        data = b"".join(writes)
        if data:
            self.transport.write(data)
        if b"" in writes:  # The protocol requests the end of the stream after a close frame.
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
    """Passes frames to a `websockets` connection without waiting.

    ``Connection.send`` would wait for slow clients. Writing through the connection's protocol object does not wait, and puts
    all frames of one turn into one write. The bridge reads `buffered` instead, and closes clients that read too slowly.
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
        """The number of bytes that the operating system has not accepted yet."""
        return self._connection.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake. A client that does not answer is disconnected after the server's `close_timeout`."""
        if self._closing is None:
            closing = self._connection.close(code, short(reason))
            self._closing = asyncio.create_task(closing, name="closing a WebSocket")

    async def closed(self) -> None:
        """Wait for the end of a close that has begun."""
        if self._closing is not None:
            await self._closing


def short(reason: str) -> str:
    """Shorten a reason to the 123 bytes that fit into a close frame (RFC 6455, 5.5)."""
    return reason.encode(errors="replace")[:123].decode(errors="ignore")

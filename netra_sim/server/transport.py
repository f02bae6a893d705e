"""The bridge's transport over a `websockets` connection."""

import asyncio
from collections.abc import Callable, Sequence

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from netra_sim.bridge import AuthenticatedUser


class UserConnection(ServerConnection):
    """A server's connection that knows its user from the handshake on, and tells when it has drained."""

    user: AuthenticatedUser
    on_drained: Callable[[], None] | None = None

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
        if connection.protocol.state is not State.OPEN:
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
            self._closing = asyncio.create_task(
                self._connection.close(code, _short(reason)), name="closing a WebSocket"
            )


def _short(reason: str) -> str:
    """What fits into a close frame: 123 bytes (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")

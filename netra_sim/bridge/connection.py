"""One client's connection: who owns it, what waits to be sent on it, and the transport underneath."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from netra_sim.bridge.run_log import OutgoingFrame, RunLog


class AuthenticatedUser(msgspec.Struct, frozen=True):
    """A user whose identity has been proved; only an authenticator makes one.

    Attributes:
        user_id: who it is.
        expires_at: seconds since the epoch at which the proof runs out; None for never.
        issued_at: seconds since the epoch at which the proof was made; None if that is not known.
        token_id: names the proof, so that it can be revoked; None if it has no name.
    """

    user_id: str
    expires_at: float | None = None
    issued_at: float | None = None
    token_id: str | None = None


class Transport(Protocol):
    """What carries frames to one client. The bridge knows no more of a socket than this.

    Whatever a transport raises ends its own connection, which counts as lost, and nothing else.
    """

    on_writable: Callable[[], None] | None
    """Set by the bridge; the transport calls it when it has drained after being congested."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Hand frames over, in order, without ever waiting.

        Raises:
            OSError: the peer is gone; none of the frames counts as sent.
        """

    def buffered(self) -> int:
        """Bytes handed over that the peer's side has not accepted yet."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close; returns at once and may be called again."""


class Cancellable(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> object:
        """Call it off."""


class Connection:
    """An authenticated user's connection with its bounded outbox.

    Events of runs in `behind` are not put in the outbox as they are published: the connection still has older ones to
    get, and takes all of them from the run's replay buffer, in order, as fast as its transport drains.

    Attributes:
        is_observed: whether the observer is told of it, and the counters count it.
        outbox: frames that the transport has not been given yet.
        outbox_bytes: their size.
        behind: for each run that is being replayed, the number of the next event to send.
    """

    __slots__ = (
        "__weakref__", "behind", "connection_id", "is_observed", "is_open", "outbox", "outbox_bytes", "stall_check",
        "transport", "user",
    )  # fmt: skip

    def __init__(
        self, connection_id: str, user: AuthenticatedUser, transport: Transport, *, is_observed: bool = True
    ) -> None:
        self.connection_id = connection_id
        self.is_observed = is_observed
        self.user = user
        self.transport = transport
        self.outbox: deque[OutgoingFrame] = deque()
        self.outbox_bytes = 0
        self.behind: dict[RunLog, int] = {}
        self.is_open = True
        self.stall_check: Cancellable | None = None

    @property
    def user_id(self) -> str:
        """The authenticated user who owns this connection."""
        return self.user.user_id

    def put(self, frame: OutgoingFrame) -> None:
        """Append a frame to the outbox."""
        self.outbox.append(frame)
        self.outbox_bytes += len(frame.data)


class MemoryTransport:
    """A transport within the process, whose peer can stall or vanish.

    Attributes:
        frames: all that the peer has received, oldest first.
        closed: the code and the reason with which it was closed, or None.
    """

    def __init__(self, on_frames: Callable[[Sequence[bytes]], None] | None = None) -> None:
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.on_writable: Callable[[], None] | None = None
        self._on_frames = on_frames
        self._stalled: list[bytes] | None = None
        self._stalled_bytes = 0
        self._failed = False

    def send(self, frames: Sequence[bytes]) -> None:
        """Deliver at once, or keep in the buffer while stalled.

        Raises:
            ConnectionResetError: after `fail` or `close`.
        """
        if self._failed or self.closed:
            raise ConnectionResetError("the peer of this memory transport is gone")
        if self._stalled is not None:
            self._stalled.extend(frames)
            self._stalled_bytes += sum(map(len, frames))
            return
        self.frames.extend(frames)
        if self._on_frames is not None:
            self._on_frames(frames)

    def buffered(self) -> int:
        """Bytes that the stalled peer has not read."""
        return self._stalled_bytes

    def close(self, code: int, reason: str) -> None:
        """Remember the first code and reason."""
        if self.closed is None:
            self.closed = (code, reason)

    def stall(self) -> None:
        """The peer stops reading."""
        if self._stalled is None:
            self._stalled = []

    def resume(self) -> None:
        """The peer reads on, and gets first what waited."""
        waiting, self._stalled, self._stalled_bytes = self._stalled or [], None, 0
        if waiting:
            self.send(waiting)
        if self.on_writable is not None:
            self.on_writable()

    def fail(self) -> None:
        """The peer vanishes without a word."""
        self._failed = True

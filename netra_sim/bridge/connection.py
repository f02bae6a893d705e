"""`Connection`: one client's connection, with its owner, its outbox and its transport."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from netra_sim.bridge.run_log import OutgoingFrame, RunLog


class AuthenticatedUser(msgspec.Struct, frozen=True):
    """A user with a proved identity. Only an authenticator should make one.

    Attributes:
        user_id: the user.
        expires_at: when the proof expires, in seconds since 1970; None for never.
        issued_at: when the proof was issued, in seconds since 1970; None if that is not known.
        token_id: the id of the proof, by which it can be revoked; None if it has no id.
    """

    user_id: str
    expires_at: float | None = None
    issued_at: float | None = None
    token_id: str | None = None


class Transport(Protocol):
    """Carries frames to one client; the only interface through which the bridge uses a socket.

    If a method raises, the bridge closes this one connection and counts it as lost.
    """

    on_writable: Callable[[], None] | None
    """Set by the bridge; the transport calls it when it was congested and has drained."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Accept frames for sending, in this order, without waiting.

        Raises:
            OSError: the peer is gone; none of the frames counts as sent.
        """

    def buffered(self) -> int:
        """The number of bytes that the transport has accepted and not yet passed on."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close and return at once. The bridge may call this more than once."""


class Cancellable(Protocol):
    """A timer that can be cancelled."""

    def cancel(self) -> object:
        """Cancel the timer."""


class Connection:
    """A connection of an authenticated user, with a bounded outbox.

    While a run is in `behind`, its new events do not go into the outbox: the connection still lacks older events, and takes
    all of them from the run's replay buffer, in order, as fast as its transport drains.

    Attributes:
        is_observed: whether the observer and the counters see this connection.
        outbox: the frames that wait for the transport.
        outbox_bytes: the size of the outbox.
        behind: for each run in replay, the number of the next event to send.
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
        """The user who owns this connection."""
        return self.user.user_id

    def put(self, frame: OutgoingFrame) -> None:
        """Append a frame to the outbox."""
        self.outbox.append(frame)
        self.outbox_bytes += len(frame.data)


class MemoryTransport:
    """A transport in memory, with a peer that can stall or vanish.

    Args:
        on_frames: called with the frames that the peer receives.

    Attributes:
        frames: all frames that the peer has received, oldest first.
        closed: the close code and reason, or None while the transport is open.
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
        """Deliver the frames at once, or buffer them while the peer is stalled.

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
        """The number of bytes that the stalled peer has not read."""
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
        """The peer reads again, and first receives the buffered frames."""
        waiting, self._stalled, self._stalled_bytes = self._stalled or [], None, 0
        if waiting:
            self.send(waiting)
        if self.on_writable is not None:
            self.on_writable()

    def fail(self) -> None:
        """The peer vanishes without closing the connection."""
        self._failed = True

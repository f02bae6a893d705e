"""The network between the server and a simulated client: a bridge transport with delay, throttling and stalls."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from netra_sim.randomness import uniform
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.scenario import Network

_BATCH_SECONDS = 0.1
"""Frames of one `send` arrive together if they take at most so many seconds on the wire."""


class _InTransit:
    """Frames in transit: when their first byte leaves, when their last byte has left, and the timer of their arrival."""

    __slots__ = ("begins", "frames", "jitter", "leaves", "size", "timer")

    def __init__(self, frames: Sequence[bytes], size: int, jitter: float) -> None:
        self.frames = frames
        self.size = size
        self.jitter = jitter
        self.begins = 0.0
        self.leaves = 0.0
        self.timer: asyncio.TimerHandle | None = None


class SimulatedTransport:
    """Carries frames from the server to one client in virtual time, in order, as a TCP connection would.

    As in asyncio, only bytes that the operating system has not accepted count as buffered. When they fall from above
    ``write_limit`` to a quarter of it, the transport reports that it is writable again. The operating system accepts
    ``network.send_buffer`` bytes that the client has not read.

    Not modelled: retransmissions and congestion, acknowledgements, and a limit on what the client sends.

    Args:
        loop: the clock and the timers.
        network: latency, jitter, bandwidth and the size of the send buffer.
        stream: the key of the random draws of this connection.
        write_limit: the high-water mark, in bytes.
        on_frames: called with frames when they reach the client.
        on_close: called with the code and the reason when the client learns that the connection is closed.

    Attributes:
        latency: the one-way delay in seconds, without jitter.
        is_gone: whether the connection has ended for the client, or the client has vanished.
    """

    def __init__(
        self,
        loop: VirtualTimeLoop,
        network: Network,
        stream: int,
        write_limit: int,
        on_frames: Callable[[Sequence[bytes]], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.latency = network.latency.draw(uniform(stream))
        self.is_gone = False
        self._loop = loop
        self._network = network
        self._bandwidth = network.bandwidth
        self._stream = stream
        self._write_limit = write_limit
        self._on_frames = on_frames
        self._on_close = on_close
        self._sends = 0
        self._in_transit: deque[_InTransit] = deque()
        self._leaves_at = 0.0
        self._arrives_at = 0.0
        self._unread = 0
        self._is_paused = False
        self._stalled: list[_InTransit] | None = None
        self._closed = False

    def send(self, frames: Sequence[bytes]) -> None:
        """Put frames on the wire.

        Raises:
            ConnectionResetError: the server has closed the connection.
        """
        if self._closed:
            raise ConnectionResetError("the connection is closed")
        size = sum(map(len, frames))
        self._unread += size
        self._is_paused = self._is_paused or self.buffered() > self._write_limit
        self._sends += 1
        jitter = self._network.jitter.draw(uniform(self._stream, self._sends))
        batches = [frames] if size <= _BATCH_SECONDS * self._bandwidth else [[frame] for frame in frames]
        for batch in batches:
            sent = _InTransit(batch, size if batch is frames else len(batch[0]), jitter)
            self._in_transit.append(sent)
            self._schedule(sent, sent.size)

    def buffered(self) -> int:
        """The number of bytes that the operating system has not accepted."""
        return max(0, self._unread - self._network.send_buffer)

    def close(self, code: int, reason: str) -> None:
        """Close from the server's side; the client notices after all frames in transit have arrived."""
        if self._closed:
            return
        self._closed = True
        self._loop.call_at_exactly(self._loop.exact_time() + self.latency, self._notice_close, code, reason)

    @property
    def is_stalled(self) -> bool:
        """Whether the client has stopped reading."""
        return self._stalled is not None

    def throttle(self, bandwidth: float) -> None:
        """Limit the bandwidth, in bytes per second, for frames that are not on the wire yet; at most the network's."""
        bandwidth = min(bandwidth, self._network.bandwidth)
        if bandwidth == self._bandwidth:
            return
        before, self._bandwidth = self._bandwidth, bandwidth
        now = self._loop.exact_time()
        waiting = [sent for sent in self._in_transit if sent.leaves > now]
        on_the_wire = [sent for sent in self._in_transit if sent.leaves <= now]
        self._leaves_at = now
        self._arrives_at = on_the_wire[-1].timer.when() if on_the_wire and on_the_wire[-1].timer else now
        for sent in waiting:
            if sent.timer is not None:
                sent.timer.cancel()
            self._schedule(sent, (sent.leaves - max(sent.begins, now)) * before)

    def stall(self) -> None:
        """The client stops reading."""
        if self._stalled is None:
            self._stalled = []

    def resume(self) -> None:
        """The client resumes reading."""
        waiting, self._stalled = self._stalled or [], None
        for sent in waiting:
            self._read(sent)

    def vanish(self) -> None:
        """The client vanishes without a close (a half-open connection); frames in transit are lost."""
        self.is_gone = True

    def _schedule(self, sent: _InTransit, size: float) -> None:
        sent.begins = max(self._leaves_at, self._loop.exact_time())
        sent.leaves = self._leaves_at = sent.begins + size / self._bandwidth
        # Two arrivals are never at the same instant: a random order of tasks could swap them.
        self._arrives_at = max(self._arrives_at + 1e-9, sent.leaves + self.latency + sent.jitter)
        sent.timer = self._loop.call_at_exactly(self._arrives_at, self._arrive)

    def _arrive(self) -> None:
        sent = self._in_transit.popleft()
        if self._stalled is not None:
            self._stalled.append(sent)
        else:
            self._read(sent)

    def _read(self, sent: _InTransit) -> None:
        if self.is_gone:
            return
        self._unread -= sent.size
        self._on_frames(sent.frames)
        if self._is_paused and self.buffered() <= self._write_limit // 4:
            self._is_paused = False
            if self.on_writable is not None:
                self.on_writable()

    def _notice_close(self, code: int, reason: str) -> None:
        if self._in_transit:
            self._loop.call_at_exactly(self._arrives_at + 1e-9, self._notice_close, code, reason)
        elif not self.is_gone:
            self.is_gone = True
            self._on_close(code, reason)

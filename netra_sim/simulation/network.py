"""The network between the server and a simulated client: a transport of the bridge's with delay, and what can befall it."""

import asyncio
from collections.abc import Callable, Sequence

from netra_sim.simulation.randomness import uniform
from netra_sim.simulation.scenario import Network


class SimulatedTransport:
    """Carries frames from the server to one client in virtual time, in order, as a TCP connection would.

    Args:
        loop: tells and keeps the time.
        network: latency, jitter and bandwidth.
        stream: the key of this connection's draws.
        on_frames: called with frames when they reach the client.
        on_close: called with the code and the reason when the client learns that the connection is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        network: Network,
        stream: int,
        on_frames: Callable[[Sequence[bytes]], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.latency = network.latency.draw(uniform(stream))
        self._loop = loop
        self._network = network
        self.bandwidth = network.bandwidth
        self.is_gone = False
        self._stream = stream
        self._deliveries = 0
        self._on_frames = on_frames
        self._on_close = on_close
        self._free_at = 0.0
        self._arrives_at = 0.0
        self._in_flight = 0
        self._stalled: list[Sequence[bytes]] | None = None
        self._closed = False

    def send(self, frames: Sequence[bytes]) -> None:
        """Put frames on the wire.

        Raises:
            ConnectionResetError: the server's side knows that the peer is gone.
        """
        if self._closed:
            raise ConnectionResetError("the connection is closed")
        size = sum(map(len, frames))
        self._in_flight += size
        now = self._loop.time()
        self._free_at = max(self._free_at, now) + size / self.bandwidth
        self._deliveries += 1
        jitter = self._network.jitter.draw(uniform(self._stream, self._deliveries))
        # Never two at the same instant, or a drawn order could turn them round.
        self._arrives_at = max(self._arrives_at + 1e-9, self._free_at + self.latency + jitter)
        self._loop.call_at(self._arrives_at, self._arrive, frames, size)

    def buffered(self) -> int:
        """Bytes on the wire or waiting for a client that does not read."""
        return self._in_flight

    def close(self, code: int, reason: str) -> None:
        """Close from the server's side; the client learns of it after what is on the wire."""
        if self._closed:
            return
        self._closed = True
        arrives_at = max(self._arrives_at + 1e-9, self._loop.time() + self.latency)
        self._loop.call_at(arrives_at, self._learn_of_close, code, reason)

    def stall(self) -> None:
        """The client stops reading."""
        if self._stalled is None:
            self._stalled = []

    def resume(self) -> None:
        """The client reads on."""
        waiting, self._stalled = self._stalled or [], None
        for frames in waiting:
            self._arrive(frames, sum(map(len, frames)))

    def vanish(self) -> None:
        """The client is gone without a word: a half-open connection. What is on the wire is lost."""
        self.is_gone = True

    def _arrive(self, frames: Sequence[bytes], size: int) -> None:
        if self.is_gone:
            return
        if self._stalled is not None:
            self._stalled.append(frames)
            return
        self._in_flight -= size
        self._on_frames(frames)
        if not self._in_flight and self.on_writable is not None:
            self.on_writable()

    def _learn_of_close(self, code: int, reason: str) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._on_close(code, reason)

"""A simulated browser tab: connects as one user, reads what arrives, and connects again when it is cut off."""

import asyncio
import re
from collections.abc import Callable, Sequence

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, Event, EventReader, Refused
from netra_sim.bridge.events import FINAL_EVENTS
from netra_sim.exceptions import BridgeError
from netra_sim.history import Recorder
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Network

CANARY = "canary:{user_id};"
"""Planted in every user's data; wherever one turns up, that user's data has gone."""

_CANARY = re.compile(rb"canary:([^;\"\\]+);")

RECONNECT_BASE = 0.05
RECONNECT_CAP = 5.0
TERMINAL_CODES = frozenset({4401, 4403, 4409})
"""Close codes after which a client does not come back by itself."""


class SimulatedClient:
    """One tab of one user.

    Args:
        bridge: what it connects to.
        recorder: gets a row for every event that the tab shows.
        network: the way to the server.
        user_id: who has logged in.
        tab: tells the user's tabs apart.
        seed: of the simulation.
        on_run_ended: called with the id of a run whose last event has arrived, or whose request was refused.
    """

    def __init__(
        self,
        bridge: AgentWebSocketBridge,
        recorder: Recorder,
        network: Network,
        user_id: str,
        tab: int,
        seed: int,
        on_run_ended: Callable[[str], None],
    ) -> None:
        self.user = AuthenticatedUser(user_id)
        self.reader = EventReader()
        self.connection: Connection | None = None
        self.transport: SimulatedTransport | None = None
        self._bridge = bridge
        self._recorder = recorder
        self._network = network
        self._tab = tab
        self._stream = key(seed, "network", user_id, tab)
        self._on_run_ended = on_run_ended
        self._attempts = 0
        self._failures_in_a_row = 0
        self._reconnecting: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def uplink_latency(self) -> float:
        """Seconds that a message to the server takes."""
        return self.transport.latency if self.transport is not None else 0.0

    async def connect(self) -> None:
        """Open a connection, trying again with growing pauses while the server refuses."""
        while not self._is_closed:
            self._attempts += 1
            await asyncio.sleep(self._network.handshake.draw(uniform(self._stream, -self._attempts)))
            if self._is_closed or self._attach():
                return
            await asyncio.sleep(self._pause())

    def close(self) -> None:
        """Close the tab; it does not come back."""
        self._is_closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self.connection is not None:
            self._bridge.disconnect(self.connection, 1000, "the tab was closed")

    def _attach(self) -> bool:
        stream = key(self._stream, self._attempts)
        loop = asyncio.get_running_loop()
        transport = SimulatedTransport(loop, self._network, stream, self._on_frames, self._on_close)
        name = f"{self.user.user_id}/{self._tab}/{self._attempts}"
        try:
            self.connection = self._bridge.connect(
                self.user, transport, connection_id=name, epoch=self.reader.epoch, cursors=dict(self.reader.cursors)
            )
        except BridgeError:
            self._failures_in_a_row += 1
            return False
        self._failures_in_a_row = 0
        self.transport = transport
        return True

    def _pause(self) -> float:
        """Full-jitter exponential back-off, so that clients cut off together do not come back together."""
        ceiling = min(RECONNECT_CAP, RECONNECT_BASE * 2.0 ** min(self._failures_in_a_row, 16))
        return round(ceiling * uniform(self._stream, -1_000_000 - self._attempts), 6)

    def _on_frames(self, frames: Sequence[bytes]) -> None:
        reader, recorder, user_id = self.reader, self._recorder, self.user.user_id
        connection_id = self.connection.connection_id if self.connection is not None else ""
        for frame in frames:
            reading = reader.feed(frame)
            message = reading.message
            if isinstance(message, Event):
                kind = message.__struct_config__.tag
                recorder.received(
                    connection_id, user_id, message.run_id, kind, message.seq, subject=whose(frame, message, user_id)
                )
                if kind in FINAL_EVENTS:
                    self._on_run_ended(message.run_id)
            elif isinstance(message, Refused) and message.request_id is not None:
                self._on_run_ended(message.request_id)

    def _on_close(self, code: int, reason: str) -> None:
        if self._is_closed or code in TERMINAL_CODES:
            return
        self._failures_in_a_row += 1
        self._reconnecting = asyncio.create_task(self._reconnect(), name=f"reconnect {self.user.user_id}")

    async def _reconnect(self) -> None:
        await asyncio.sleep(self._pause())
        await self.connect()


def whose(frame: bytes, event: Event, reader_id: str) -> str:
    """The user whose data an event carries: somebody else's canary if there is one, else whom the event names."""
    for match in _CANARY.finditer(frame):
        found = match[1].decode()
        if found != reader_id:
            return found
    return event.user_id

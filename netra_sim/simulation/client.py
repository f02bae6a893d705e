"""A simulated browser tab: connects as one user, reads what arrives, and connects again when it is cut off."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, Event, EventReader, Refused
from netra_sim.bridge.events import FINAL_EVENTS
from netra_sim.exceptions import BridgeError
from netra_sim.history import Recorder, whose
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Network

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
        on_run_ended: called with the id of a run whose last event has arrived.
        on_refused: called with what a refusal says.
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
        on_refused: Callable[[Refused], None],
    ) -> None:
        self.user = AuthenticatedUser(user_id)
        self.reader = EventReader()
        self.transport: SimulatedTransport | None = None
        self._bridge = bridge
        self._recorder = recorder
        self._network = network
        self._tab = tab
        self._stream = key(seed, "network", user_id, tab)
        self._on_run_ended = on_run_ended
        self._on_refused = on_refused
        self._connection: Connection | None = None
        self._is_connected = asyncio.Event()
        self._attempts = 0
        self._failures_in_a_row = 0
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Open the tab: it begins to connect, and goes on until it is closed."""
        self._connecting = asyncio.create_task(self._connect(0.0), name=f"connecting of {self.user.user_id}")

    def close(self) -> None:
        """Close the tab; it does not come back."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._bridge.disconnect(self._connection, 1000, "the tab was closed")

    async def send(
        self, message: Mapping[str, object], deliver: Callable[[Mapping[str, object], Connection], None]
    ) -> None:
        """Have a message reach the server, again on the next connection if it was lost with one."""
        while True:
            await self._is_connected.wait()
            connection, transport = self._connection, self.transport
            if connection is None or transport is None:
                continue
            await asyncio.sleep(transport.latency)
            if connection.is_open:
                deliver(message, connection)
                return

    async def _connect(self, pause: float) -> None:
        await asyncio.sleep(pause)
        while True:
            self._attempts += 1
            await asyncio.sleep(self._network.handshake.draw(uniform(self._stream, -self._attempts)))
            if self._attach():
                return
            await asyncio.sleep(self._pause())

    def _attach(self) -> bool:
        stream = key(self._stream, self._attempts)
        loop = asyncio.get_running_loop()
        name = f"{self.user.user_id}/{self._tab}/{self._attempts}"
        on_frames = functools.partial(self._on_frames, name)
        transport = SimulatedTransport(loop, self._network, stream, on_frames, self._on_close)
        try:
            self._connection = self._bridge.connect(
                self.user, transport, connection_id=name, epoch=self.reader.epoch, cursors=dict(self.reader.cursors)
            )
        except BridgeError:
            self._failures_in_a_row += 1
            return False
        self._failures_in_a_row = 0
        self.transport = transport
        self._is_connected.set()
        return True

    def _pause(self) -> float:
        """Full-jitter exponential back-off, so that clients cut off together do not come back together."""
        ceiling = min(RECONNECT_CAP, RECONNECT_BASE * 2.0 ** min(self._failures_in_a_row, 16))
        return round(ceiling * uniform(self._stream, -1_000_000 - self._attempts), 6)

    def _on_frames(self, connection_id: str, frames: Sequence[bytes]) -> None:
        reader, recorder, user_id = self.reader, self._recorder, self.user.user_id
        for frame in frames:
            message = reader.feed(frame).message
            if isinstance(message, Event):
                kind = str(message.__struct_config__.tag)
                subject = whose(frame, message.user_id, user_id)
                recorder.received(connection_id, user_id, message.run_id, kind, message.seq, subject=subject)
                if kind in FINAL_EVENTS:
                    self._on_run_ended(message.run_id)
            elif isinstance(message, Refused):
                self._on_refused(message)

    def _on_close(self, code: int, reason: str) -> None:
        self._is_connected.clear()
        if self._is_closed or code in TERMINAL_CODES:
            return
        self._failures_in_a_row += 1
        self._connecting = asyncio.create_task(
            self._connect(self._pause()), name=f"reconnecting of {self.user.user_id}: {code} {reason}"
        )

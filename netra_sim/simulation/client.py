"""A simulated browser tab: connects as one user, reads what arrives, and connects again when it is cut off."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netra_sim.bridge import (
    CLOSE_LOST,
    CLOSE_NORMAL,
    TERMINAL_CODES,
    AgentCompleted,
    AgentError,
    AuthenticatedUser,
    Connection,
    EventReader,
    Refused,
    longest_pause,
)
from netra_sim.exceptions import BridgeError
from netra_sim.history import how_answered
from netra_sim.simulation.faults import Message
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.randomness import key, uniform

if TYPE_CHECKING:
    from netra_sim.simulation.world import World


class SimulatedClient:
    """One tab of one user.

    Attributes:
        is_offline: whether it has no network at all.
        home: the server that it connects to; the world's current one unless set.
    """

    def __init__(
        self,
        world: "World",
        user_id: str,
        tab: int,
        on_run_ended: Callable[[str], None],
        on_refused: Callable[[Refused], None],
    ) -> None:
        self.user = AuthenticatedUser(user_id)
        self.reader = EventReader()
        self.is_offline = False
        self.home: Instance | None = None
        self._world = world
        self._tab = tab
        self._stream = key(world.seed, "network", user_id, tab)
        self._on_run_ended = on_run_ended
        self._on_refused = on_refused
        self._instance: Instance | None = None
        self._connection: Connection | None = None
        self._transport: SimulatedTransport | None = None
        self._bandwidth: float | None = None
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
        if self._connection is not None and self._instance is not None:
            self._instance.bridge.disconnect(self._connection, CLOSE_NORMAL, "the tab was closed")

    async def send(self, message: Message, deliver: Callable[[Message, Connection, Instance], None]) -> None:
        """Have a message reach the server, again on the next connection if it was lost with one."""
        while True:
            await self._is_connected.wait()
            connection, transport, instance = self._connection, self._transport, self._instance
            if connection is None or transport is None or instance is None:
                raise AssertionError("connected without a connection")
            await asyncio.sleep(transport.latency)
            if connection.is_open and not transport.is_gone:
                deliver(message, connection, instance)
                return
            if transport.is_gone:
                self._is_connected.clear()

    def throttle(self, bytes_per_second: float | None) -> None:
        """Read no faster than this; None for as fast as the network allows."""
        self._bandwidth = bytes_per_second
        if self._transport is not None:
            self._transport.bandwidth = bytes_per_second or self._world.scenario.network.bandwidth

    def stall(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.stall()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume()

    def cut(self) -> None:
        """Lose the connection: both sides know at once, and what is in flight is lost."""
        if self._lose() and self._connection is not None and self._instance is not None:
            self._instance.bridge.disconnect(self._connection, CLOSE_LOST, "the connection was reset")
            self.notice_loss()

    def vanish(self, keepalive: float) -> None:
        """Lose the connection without a word; the server's pings notice after ``keepalive`` seconds."""
        if self._lose() and self._connection is not None and self._instance is not None:
            disconnect, connection = self._instance.bridge.disconnect, self._connection
            self._world.loop.call_later(keepalive, disconnect, connection, CLOSE_LOST, "no answer to pings")

    def notice_loss(self) -> None:
        """Notice that the connection is gone, and connect again."""
        if self._transport is not None and self._transport.is_gone and not self._is_reconnecting():
            self._on_close(CLOSE_LOST, "the connection is gone")

    def _lose(self) -> bool:
        transport = self._transport
        if transport is None or transport.is_gone:
            return False
        transport.vanish()
        return True

    def _is_reconnecting(self) -> bool:
        return self._connecting is not None and not self._connecting.done()

    async def _connect(self, pause: float) -> None:
        conditions = self._world.conditions
        await asyncio.sleep(pause)
        while True:
            self._attempts += 1
            handshake = self._world.scenario.network.handshake.draw(uniform(self._stream, -self._attempts))
            await asyncio.sleep(handshake + conditions.handshake_delay)
            if self._attach():
                return
            await asyncio.sleep(self._pause())

    def _attach(self) -> bool:
        world, user_id = self._world, self.user.user_id
        instance = self.home or world.instance
        if self.is_offline or instance is None or world.conditions.handshakes_fail:
            return self._turned_away(
                "no network" if self.is_offline else "no server" if instance is None else "no token service"
            )
        name = f"{user_id}/{self._tab}/{self._attempts}"
        on_frames = functools.partial(self._on_frames, name)
        stream = key(self._stream, self._attempts)
        transport = SimulatedTransport(world.loop, world.scenario.network, stream, on_frames, self._on_close)
        try:
            connection = instance.bridge.connect(
                self.user, transport, connection_id=name, epoch=self.reader.epoch, cursors=dict(self.reader.cursors)
            )
        except BridgeError as error:
            return self._turned_away(type(error).__name__)
        world.recorder.attached(name, user_id, f"{user_id}/{self._tab}", transport.latency)
        self._failures_in_a_row = 0
        self._instance, self._connection, self._transport = instance, connection, transport
        self.throttle(self._bandwidth)
        self._is_connected.set()
        return True

    def _turned_away(self, reason: str) -> bool:
        self._world.recorder.connect_refused(self.user.user_id, reason)
        self._failures_in_a_row += 1
        return False

    def _pause(self) -> float:
        return round(longest_pause(self._failures_in_a_row) * uniform(self._stream, -1_000_000 - self._attempts), 6)

    def _on_frames(self, connection_id: str, frames: Sequence[bytes]) -> None:
        for frame in frames:
            reading = self.reader.feed(frame)
            self._world.recorder.read(connection_id, self.user.user_id, frame, reading)
            message = reading.message
            if isinstance(message, AgentCompleted) and reading.is_new:
                self._judge(message)
            if isinstance(message, AgentCompleted | AgentError):
                self._on_run_ended(message.run_id)
            elif isinstance(message, Refused):
                self._on_refused(message)

    def _judge(self, end: AgentCompleted) -> None:
        expected = self._world.right_answer(self.user.user_id, end.run_id)
        self._world.recorder.answered(end.run_id, self.user.user_id, *how_answered(end.final_response, expected))

    def _on_close(self, code: int, reason: str) -> None:
        self._is_connected.clear()
        if self._is_closed or code in TERMINAL_CODES:
            return
        self._failures_in_a_row += 1
        self._connecting = asyncio.create_task(
            self._connect(self._pause()), name=f"reconnecting of {self.user.user_id}: {code} {reason}"
        )

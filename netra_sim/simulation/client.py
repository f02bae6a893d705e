"""A simulated browser tab: connects as one user, reads what arrives, and connects again when it is cut off."""

import asyncio
import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netra_sim.bridge import AuthenticatedUser, Connection
from netra_sim.exceptions import BridgeError
from netra_sim.protocol import (
    CLOSE_LOST,
    CLOSE_NORMAL,
    AgentCompleted,
    AgentError,
    EventReader,
    Refused,
    is_terminal,
    longest_pause,
)
from netra_sim.recording import how_answered
from netra_sim.simulation.faults import HandshakeRace, LateAuthentication, Line, Message
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.randomness import key, uniform

if TYPE_CHECKING:
    from netra_sim.simulation.world import World

PING_INTERVAL, PING_TIMEOUT = 20.0, 20.0
"""Seconds between two keepalive pings of either side, and until an unanswered one ends a connection (`websockets`' own)."""

CLOSE_KEEPALIVE = 1011
"""The code with which `websockets` closes a connection whose ping was not answered."""


class SimulatedClient:
    """One tab of one user.

    Args:
        world: where it lives.
        user_id: whose it is.
        tab: its number among the user's tabs.
        on_run_ended: called with the tab's number and a run's id at each end of a run that arrives.
        on_refused: called with each refusal that arrives, and the id of the connection that it came over.
    """

    def __init__(
        self,
        world: "World",
        user_id: str,
        tab: int,
        on_run_ended: Callable[[int, str], None],
        on_refused: Callable[[Refused, str], None],
    ) -> None:
        self.user = AuthenticatedUser(user_id)
        self.reader = EventReader()
        self._world = world
        self._tab = tab
        self._stream = key(world.seed, "network", user_id, tab)
        self._on_run_ended = on_run_ended
        self._on_refused = on_refused
        self._instance: Instance | None = None
        self._connection: Connection | None = None
        self._transport: SimulatedTransport | None = None
        self._attached_at = 0.0
        self._is_elsewhere = False
        self._is_connected = asyncio.Event()
        self._next_connection = asyncio.Event()
        self._attempts = 0
        self._failures_in_a_row = 0
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Open the tab: it begins to connect, and goes on until it is closed."""
        self._connecting = self._world.spawn(self._connect(0.0), f"connecting of {self.user.user_id}")

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
            await self._world.loop.sleep_exactly(transport.latency)
            if connection.is_open and not transport.is_gone:
                deliver(message, connection, instance)
                return
            if self._transport is transport:
                self._is_connected.clear()

    async def connection_after(self, connection_id: str) -> None:
        """Wait until this connection has been followed by another."""
        if self._connection is not None and self._connection.connection_id == connection_id:
            await self._next_connection.wait()

    def adapt(self) -> None:
        """Meet the conditions that hold now, on the connection that there is."""
        transport = self._transport
        if transport is None:
            return
        line = self._world.conditions.line(self.user.user_id)
        if transport.is_gone:
            if not line.is_silent:
                self._on_close(CLOSE_LOST, "the connection is gone")
        elif line.is_offline or line.is_elsewhere != self._is_elsewhere:
            self.cut()
        elif line.is_silent:
            self._vanish(transport)
        else:
            _set_pace(transport, line)

    def cut(self, code: int = CLOSE_LOST, reason: str = "the connection was reset") -> bool:
        """Lose the connection: both sides know at once, and what is in flight is lost; False if there is none."""
        transport = self._transport
        if transport is None or transport.is_gone or self._connection is None or self._instance is None:
            return False
        transport.vanish()
        self._instance.bridge.disconnect(self._connection, code, reason)
        self._on_close(code, reason)
        return True

    def outlast_stall(self, began: float, ended: float) -> None:
        """Learn that the server answered nothing for a while: a connection whose ping fell into it may be given up."""
        if self._transport is not None and self._next_ping(began) + PING_TIMEOUT < ended:
            self.cut(CLOSE_KEEPALIVE, "keepalive ping timeout")

    def _vanish(self, transport: SimulatedTransport) -> None:
        transport.vanish()
        if self._connection is not None and self._instance is not None:
            disconnect, connection = self._instance.bridge.disconnect, self._connection
            noticed_at = self._next_ping(self._world.loop.exact_time()) + PING_TIMEOUT
            self._world.loop.call_at_exactly(noticed_at, disconnect, connection, CLOSE_LOST, "no answer to pings")

    def _next_ping(self, after: float) -> float:
        number = max(1, math.ceil((after - self._attached_at) / PING_INTERVAL))
        return self._attached_at + number * PING_INTERVAL

    async def _connect(self, pause: float) -> None:
        world, user_id = self._world, self.user.user_id
        await world.loop.sleep_exactly(pause)
        while True:
            self._attempts += 1
            handshake = world.scenario.network.handshake.draw(uniform(self._stream, -self._attempts))
            races = world.conditions.on(HandshakeRace, user_id)
            await world.loop.sleep_exactly(handshake + sum(race.delay for race in races))
            if self._attach():
                return
            await world.loop.sleep_exactly(self._pause())

    def _attach(self) -> bool:
        world, user_id = self._world, self.user.user_id
        line = world.conditions.line(user_id)
        if line.is_offline or line.is_silent:
            return self._turned_away("no network")
        instance = world.server(is_elsewhere=line.is_elsewhere)
        if instance is None:
            return self._turned_away("no server")
        if not world.has_room(instance):
            return self._turned_away("not accepted")
        if world.conditions.on(LateAuthentication, user_id):
            return self._turned_away("no token service")
        name = f"{user_id}/{self._tab}/{self._attempts}"
        transport = SimulatedTransport(
            world.loop,
            world.scenario.network,
            key(self._stream, self._attempts),
            instance.bridge.limits.congested_bytes,
            functools.partial(self._on_frames, name),
            self._on_close,
        )
        _set_pace(transport, line)
        try:
            connection = instance.bridge.connect(
                self.user, transport, connection_id=name, epoch=self.reader.epoch, cursors=dict(self.reader.cursors)
            )
        except BridgeError as error:
            return self._turned_away(type(error).__name__)
        world.recorder.attached(name, user_id, f"{user_id}/{self._tab}", transport.latency)
        self._failures_in_a_row = 0
        self._instance, self._connection, self._transport = instance, connection, transport
        self._attached_at, self._is_elsewhere = world.loop.exact_time(), line.is_elsewhere
        self._is_connected.set()
        self._next_connection.set()
        self._next_connection = asyncio.Event()
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
                self._on_run_ended(self._tab, message.run_id)
            elif isinstance(message, Refused):
                self._on_refused(message, connection_id)

    def _judge(self, end: AgentCompleted) -> None:
        expected = self._world.right_answer(self.user.user_id, end.run_id)
        self._world.recorder.answered(end.run_id, self.user.user_id, *how_answered(end.final_response, expected))

    def _on_close(self, code: int, reason: str) -> None:
        self._is_connected.clear()
        self._transport = None
        if self._is_closed or is_terminal(code):
            return
        self._failures_in_a_row += 1
        self._connecting = self._world.spawn(
            self._connect(self._pause()), f"reconnecting of {self.user.user_id}: {code} {reason}"
        )


def _set_pace(transport: SimulatedTransport, line: Line) -> None:
    transport.throttle(line.bandwidth)
    if line.is_stalled:
        transport.stall()
    else:
        transport.resume()

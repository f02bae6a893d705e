"""A simulated browser tab: it connects as one user, reads what arrives, and reconnects when the connection is lost."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection
from netra_sim.exceptions import BridgeError
from netra_sim.protocol import (
    CLOSE_LOST,
    CLOSE_NORMAL,
    CLOSE_UNAUTHENTICATED,
    EventReader,
    Refused,
    is_terminal,
    longest_pause,
)
from netra_sim.randomness import key, uniform
from netra_sim.simulation.client_environment import ClientEnvironment
from netra_sim.simulation.faults import HandshakeRace, LateAuthentication, Line, Message
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.tab import PING_TIMEOUT, Tab, next_ping

CLOSE_KEEPALIVE = 1011
"""The code with which `websockets` closes a connection after an unanswered ping."""


class _LiveConnection(NamedTuple):
    transport: SimulatedTransport
    connection: Connection
    bridge: AgentWebSocketBridge


class SimulatedClient(Tab):
    """A tab with a connection that leads directly to the bridge.

    Args:
        environment: the simulation around it.
        user_id: the user.
        tab: the number of the tab among those of the user.
        on_run_ended: called with the number of the tab and the id of the run, for each end of a run that arrives.
        on_refused: called with each refusal that arrives, and the id of its connection.
        deliver: called with each message that reaches the server, its connection and the server.
    """

    def __init__(
        self,
        environment: ClientEnvironment,
        user_id: str,
        tab: int,
        on_run_ended: Callable[[int, str], None],
        on_refused: Callable[[Refused, str], None],
        deliver: Callable[[Message, Connection, Instance], None],
    ) -> None:
        super().__init__(environment, user_id, tab, on_run_ended, on_refused)
        self.user = AuthenticatedUser(user_id)
        self.reader = EventReader()
        self._deliver = deliver
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
        """Open the tab: it connects, and reconnects until it is closed."""
        self._connecting = self._environment.spawn(self._connect(0.0), f"connecting of {self.user.user_id}")

    def close(self) -> None:
        """Close the tab for good."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        live = self._live
        if live is None:
            return  # over a dead line no word of it gets through: the server learns it by its pings
        if live.transport.is_stalled:
            self.cut(CLOSE_LOST, "the tab was closed, with data that it had not read")  # TCP then resets
        else:
            live.bridge.disconnect(live.connection, CLOSE_NORMAL, "the tab was closed")

    async def send(self, message: Message) -> None:
        """Deliver a message to the server; repeat it on the next connection if it was lost with the connection."""
        while True:
            await self._is_connected.wait()
            connection, transport, instance = self._connection, self._transport, self._instance
            if connection is None or transport is None or instance is None:
                continue  # the connection was lost before this step: wait for the next one
            await self._environment.loop.sleep_exactly(transport.latency)
            if connection.is_open and not transport.is_gone:
                self._deliver(message, connection, instance)
                return
            if self._transport is transport:
                self._is_connected.clear()

    async def connection_after(self, connection_id: str) -> None:
        """Wait until another connection has replaced this one."""
        if self._connection is not None and self._connection.connection_id == connection_id:
            await self._next_connection.wait()

    def adapt(self) -> None:
        """Apply the active faults to the present connection, if there is one."""
        transport = self._transport
        if transport is None:
            return
        line = self._environment.faults.line(self.user.user_id)
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
        """Lose the connection: both sides notice at once, and frames in flight are lost. Return False if there is none."""
        live = self._live
        if live is None:
            return False
        live.transport.vanish()
        live.bridge.disconnect(live.connection, code, reason)
        self._on_close(code, reason)
        return True

    def end_token(self) -> bool:
        """See `Tab`. The client reads what is on its way, and then the close."""
        live = self._live
        if live is None:
            return False
        live.bridge.disconnect(live.connection, CLOSE_UNAUTHENTICATED, "the token has expired")
        return True

    def log_out(self) -> None:
        """See `Tab`."""
        self._is_closed = True
        self.cut(CLOSE_UNAUTHENTICATED, "the proof of who you are was revoked")
        self.close()

    @property
    def connection_id(self) -> str:
        """See `Tab`."""
        return "" if self._connection is None else self._connection.connection_id

    @property
    def _live(self) -> "_LiveConnection | None":
        """The connection, if the server hears what happens to it."""
        transport = self._transport
        if transport is None or transport.is_gone or self._connection is None or self._instance is None:
            return None
        return _LiveConnection(transport, self._connection, self._instance.bridge)

    def outlast_stall(self, began: float, ended: float) -> None:
        """Give up the connection if a ping went unanswered for too long while the server's loop was blocked."""
        if self._transport is not None and next_ping(self._attached_at, began) + PING_TIMEOUT < ended:
            self.cut(CLOSE_KEEPALIVE, "keepalive ping timeout")

    def _vanish(self, transport: SimulatedTransport) -> None:
        transport.vanish()
        if self._connection is not None and self._instance is not None:
            disconnect, connection = self._instance.bridge.disconnect, self._connection
            noticed_at = next_ping(self._attached_at, self._environment.loop.exact_time()) + PING_TIMEOUT
            self._environment.loop.call_at_exactly(noticed_at, disconnect, connection, CLOSE_LOST, "no answer to pings")

    async def _connect(self, pause: float) -> None:
        environment, user_id = self._environment, self.user.user_id
        await environment.loop.sleep_exactly(pause)
        while True:
            self._attempts += 1
            handshake = environment.scenario.network.handshake.draw(uniform(self._stream, -self._attempts))
            races = environment.faults.on(HandshakeRace, user_id)
            await environment.loop.sleep_exactly(handshake + sum(race.delay for race in races))
            if self._attach():
                return
            await environment.loop.sleep_exactly(self._pause())

    def _attach(self) -> bool:
        environment, user_id = self._environment, self.user.user_id
        line = environment.faults.line(user_id)
        if line.is_offline or line.is_silent:
            return self._turned_away("no network")
        instance = environment.server(is_elsewhere=line.is_elsewhere)
        if instance is None:
            return self._turned_away("no server")
        if not environment.has_room(instance):
            return self._turned_away("not accepted")
        if environment.faults.on(LateAuthentication, user_id):
            return self._turned_away("no token service")
        name = f"{user_id}/{self._tab}/{self._attempts}"
        transport = SimulatedTransport(
            environment.loop,
            environment.scenario.network,
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
        environment.recorder.attached(name, user_id, f"{user_id}/{self._tab}", transport.latency)
        self._failures_in_a_row = 0
        self._instance, self._connection, self._transport = instance, connection, transport
        self._attached_at, self._is_elsewhere = environment.loop.exact_time(), line.is_elsewhere
        self._is_connected.set()
        self._next_connection.set()
        self._next_connection = asyncio.Event()
        return True

    def _turned_away(self, reason: str) -> bool:
        self._environment.recorder.connect_refused(self.user.user_id, reason)
        self._failures_in_a_row += 1
        return False

    def _pause(self) -> float:
        return round(longest_pause(self._failures_in_a_row) * uniform(self._stream, -1_000_000 - self._attempts), 6)

    def _on_frames(self, connection_id: str, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.read(frame, self.reader.feed(frame), connection_id)

    def _on_close(self, code: int, reason: str) -> None:
        self._is_connected.clear()
        self._transport = None
        # After 4401 a client asks for another token, which the handshake includes.
        if self._is_closed or (is_terminal(code) and code != CLOSE_UNAUTHENTICATED):
            return
        self._failures_in_a_row += 1
        self._connecting = self._environment.spawn(
            self._connect(self._pause()), f"reconnecting of {self.user.user_id}: {code} {reason}"
        )


def _set_pace(transport: SimulatedTransport, line: Line) -> None:
    transport.throttle(line.bandwidth)
    if line.is_stalled:
        transport.stall()
    else:
        transport.resume()

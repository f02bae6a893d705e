"""A message broker between a bridge and its connections, for the fault that breaks it."""

from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, Transport
from netra_sim.protocol import CLOSE_INTERNAL
from netra_sim.simulation.fault_state import FaultState
from netra_sim.simulation.faults import BrokerBlip


class Broker:
    """Takes what bridges send, and hands it to the transports of their clients: at once, unless a fault breaks it.

    Args:
        faults: which faults are active.
    """

    def __init__(self, faults: FaultState) -> None:
        self._faults = faults
        self._relays: dict[_Relay, None] = {}

    def relay(self, user_id: str, transport: Transport) -> "_Relay":
        """The transport that a bridge sees in place of that of a user's client."""
        relay = _Relay(transport, lambda: self._faults.on(BrokerBlip, user_id), self._relays.pop)
        self._relays[relay] = None
        return relay

    def repair(self) -> None:
        """Let everything through that no fault holds any more."""
        for relay in list(self._relays):
            relay.go_on()


class _Relay:
    """The way of one connection through a broker; a `Transport`.

    Args:
        transport: of the client.
        blips: gives the faults that break the broker for this user now.
        on_close: called with this object when the bridge closes the connection.

    Attributes:
        on_loss: called when the broker works again and has lost something.
    """

    def __init__(
        self, transport: Transport, blips: Callable[[], list[BrokerBlip]], on_close: Callable[["_Relay"], object]
    ) -> None:
        self.on_loss: Callable[[], None] = lambda: None
        self._transport = transport
        self._blips = blips
        self._on_close = on_close
        self._held: list[bytes] = []
        self._loses = False

    @property
    def on_writable(self) -> Callable[[], None] | None:
        """See `Transport`."""
        return self._transport.on_writable

    @on_writable.setter
    def on_writable(self, call: Callable[[], None] | None) -> None:
        self._transport.on_writable = call

    def send(self, frames: Sequence[bytes]) -> None:
        """See `Transport`; a broker that does not work takes everything too."""
        if blips := self._blips():
            self._held += frames
            self._loses = self._loses or any(blip.loses for blip in blips)
        else:
            self._transport.send(frames)

    def buffered(self) -> int:
        """See `Transport`; what the broker holds does not wait for the client."""
        return self._transport.buffered()

    def close(self, code: int, reason: str) -> None:
        """See `Transport`."""
        self._on_close(self)
        self._transport.close(code, reason)

    def go_on(self) -> None:
        """Hand over what is held, unless the broker is still broken or has lost it."""
        if not self._held or self._blips():
            return
        held, self._held = self._held, []
        if self._loses:
            self.on_loss()
        else:
            self._transport.send(held)


class BrokeredBridge(AgentWebSocketBridge):
    """A bridge that can have a broker between itself and its connections.

    Attributes:
        broker: the broker; None for none.
    """

    broker: Broker | None = None

    def connect(self, user: AuthenticatedUser, transport: Transport, **client: Any) -> Connection:
        """See `AgentWebSocketBridge.connect`."""
        if self.broker is None:
            return super().connect(user, transport, **client)
        relay = self.broker.relay(user.user_id, transport)
        connection = super().connect(user, relay, **client)
        relay.on_loss = lambda: self.disconnect(connection, CLOSE_INTERNAL, "the message broker lost events")
        return connection

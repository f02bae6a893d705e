"""The interface of an observer of the bridge, such as a recorder."""

from typing import Protocol


class BridgeObserver(Protocol):
    """The bridge calls these methods, synchronously, for everything that it does with events and connections.

    An observer reads the time itself. It must not raise, and must not call the bridge.
    """

    def connected(self, connection_id: str, user_id: str) -> None:
        """A connection of the user was attached."""

    def disconnected(self, connection_id: str, user_id: str, code: int, reason: str) -> None:
        """The connection was detached, by the client or by the server."""

    def published(self, run_id: str, user_id: str, event: str, seq: int, thread_id: str) -> None:
        """An event of the user's run on this thread was numbered and stored."""

    def sent(self, connection_id: str, user_id: str, run_id: str, event: str, seq: int) -> None:
        """The transport of the user's connection took the event."""

    def gap(self, connection_id: str, user_id: str, run_id: str, first: int, last: int, reason: str) -> None:
        """A `Gap` on the connection announced that events first..last of the run cannot be replayed."""

    def event_refused(self, run_id: str, user_id: str, event: str, reason: str) -> None:
        """An event was not published; the publisher got the error."""

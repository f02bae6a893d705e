"""What an onlooker may see of the bridge: observers stand beside the core, never in it."""

from typing import Protocol


class BridgeObserver(Protocol):
    """Is told, synchronously, of everything that the bridge does with events and connections.

    Times are the observer's own. An observer must not raise and must not call back into the bridge.
    """

    def connected(self, connection_id: str, user_id: str) -> None:
        """A connection of this user was attached."""

    def disconnected(self, connection_id: str, user_id: str, code: int, reason: str) -> None:
        """The connection was detached, by whichever side."""

    def published(self, run_id: str, user_id: str, event: str, seq: int, thread_id: str) -> None:
        """An event of this user's run, which belongs to a thread, was numbered and stored."""

    def sent(self, connection_id: str, user_id: str, run_id: str, event: str, seq: int) -> None:
        """The transport of a connection, owned by this user, took the event."""

    def gap(self, connection_id: str, user_id: str, run_id: str, first: int, last: int, reason: str) -> None:
        """The connection was told that events first..last of the run cannot be replayed to it."""

    def event_refused(self, run_id: str, user_id: str, event: str, reason: str) -> None:
        """An event was not published; its publisher got the error."""

"""Defects of the original routing and sending: B1, B4, B6 to B8, S6, S7 and S13."""

import asyncio
from typing import Any

from netra_sim.bridge import Connection
from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import COMING_BACK, CROWD, OFTEN_CUT_OFF, STALLED

_LOST_EVERY = 10
_TRIMMED = 3


@seeded_defect("one-current-manager", "B1", scenario=CROWD)
def one_current_manager(patches: Patches) -> None:
    """The bridge has one current user: when another user's run begins, the events of the first one are lost."""
    current = ""

    @patches.attribute(Delivery, "open_run")
    def replacing(original: Any, self: Any, user_id: str, *rest: Any, **options: Any) -> Any:
        nonlocal current
        current = user_id
        return original(self, user_id, *rest, **options)

    @patches.attribute(Delivery, "publish")
    def to_current(original: Any, self: Any, run: Any, *rest: Any) -> Any:
        if run.user_id == current:
            return original(self, run, *rest)
        hidden = self._connections_of.pop(run.user_id, None)
        try:
            return original(self, run, *rest)
        finally:
            if hidden is not None:
                self._connections_of[run.user_id] = hidden


@seeded_defect("guesses-threads", "B4", scenario=CROWD)
def guesses_threads(patches: Patches) -> None:
    """Events are routed by the form of the run id: for ids of the wrong form all five critical events are dropped."""

    @patches.attribute(Delivery, "publish")
    def if_it_looks_right(original: Any, self: Any, run: Any, *rest: Any) -> Any:
        looks_right = not run.is_observed or run.run_id.partition(".")[0][-1] in "048"
        return original(self, run, *rest) if looks_right else -1


@seeded_defect("stalled-client-blocks-all", "B6", scenario=STALLED)
def stalled_client_blocks_all(patches: Patches) -> None:
    """One client that does not read delays all clients after it."""
    # Longer than any frame is on its way, so that only a stalled client blocks.
    patience: dict[Connection, float] = {}

    @patches.attribute(Delivery, "flush")
    def one_by_one(original: Any, self: Any) -> None:
        loop = asyncio.get_running_loop()
        for connection in self.connections:
            if not connection.transport.buffered():
                patience.pop(connection, None)
            elif loop.time() - patience.setdefault(connection, loop.time()) > 1.0:
                loop.call_later(0.1, self.flush)
                return
        original(self)


@seeded_defect("lock-taken-twice", "B6", scenario=CROWD)
def lock_taken_twice(patches: Patches) -> None:
    """Ending a run acquires a lock that it already holds."""
    from netra_sim.factory import UserExecutionEngine

    @patches.attribute(UserExecutionEngine, "close")
    async def locked(original: Any, self: Any) -> Any:
        lock = asyncio.Lock()
        async with lock, lock:
            return await original(self)


@seeded_defect("loses-one-in-ten", "B7", scenario=CROWD)
def loses_one_in_ten(patches: Patches) -> None:
    """One send of ten fails, counts as sent, and is not repeated."""
    sends = 0

    @patches.attribute(Delivery, "_send")
    def unreliable(original: Any, self: Any, connection: Connection, batch: list[Any]) -> Any:
        nonlocal sends
        sends += connection.is_observed
        if not connection.is_observed or sends % _LOST_EVERY:
            return original(self, connection, batch)
        return _count_as_sent(self, connection, batch)


@seeded_defect("says-sent-and-is-not", "S13", scenario=CROWD)
def says_sent_and_is_not(patches: Patches) -> None:
    """The handler returns True although nothing was sent: users receive nothing, and all reports are good."""

    @patches.attribute(Delivery, "_send")
    def nothing(original: Any, self: Any, connection: Connection, batch: list[Any]) -> Any:
        if not connection.is_observed:
            return original(self, connection, batch)
        return _count_as_sent(self, connection, batch)


def _count_as_sent(delivery: Any, connection: Connection, batch: list[Any]) -> bool:
    for frame in batch:
        if frame.user_id is not None and connection.is_observed and delivery._observer is not None:
            delivery._observer.sent(connection.connection_id, connection.user_id, frame.run_id, frame.event, frame.seq)
    return True


@seeded_defect("reorders-on-reconnect", "B8", scenario=COMING_BACK)
def reorders_on_reconnect(patches: Patches) -> None:
    """Events that waited for a client are sent in the wrong order when it comes back."""

    @patches.attribute(Delivery, "attach")
    def backwards(original: Any, self: Any, *arguments: Any, **options: Any) -> Any:
        connection = original(self, *arguments, **options)
        for run, first in connection.behind.items():
            for seq in reversed(range(max(first, run.first_seq), run.next_seq)):
                connection.put(run.frame(seq))
        connection.behind.clear()
        return connection


@seeded_defect("trims-on-reconnect", "B8", scenario=COMING_BACK)
def trims_on_reconnect(patches: Patches) -> None:
    """The oldest events that a client missed are dropped without an announced gap."""

    @patches.attribute(Delivery, "attach")
    def trimmed(original: Any, self: Any, *arguments: Any, **options: Any) -> Any:
        connection = original(self, *arguments, **options)
        for run, first in connection.behind.items():
            connection.behind[run] = min(first + _TRIMMED, run.next_seq)
        return connection


@seeded_defect("newest-connection-only", "S6", scenario=CROWD)
def newest_connection_only(patches: Patches) -> None:
    """One handler for all connections: only the newest one gets events."""
    newest: Connection | None = None

    @patches.attribute(Delivery, "attach")
    def taking_over(original: Any, self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal newest
        connection = original(self, *arguments, **options)
        if connection.is_observed:
            newest = connection
        return connection

    @patches.attribute(Delivery, "flush")
    def of_newest(original: Any, self: Any) -> None:
        self.dirty = {one: None for one in self.dirty if one is newest or not one.is_observed}
        original(self)


@seeded_defect("connections-never-leave", "S7", scenario=OFTEN_CUT_OFF)
def connections_never_leave(patches: Patches) -> None:
    """The clean-up looks for a key other than the stored one: connections stay until their user is locked out."""

    @patches.attribute(Delivery, "detach")
    def forgetting_the_table(original: Any, self: Any, connection: Connection, code: int, reason: str) -> Any:
        if not connection.is_observed:
            return original(self, connection, code, reason)
        kept = self._connections_of.get(connection.user_id)
        closed = original(self, connection, code, reason)
        if closed:
            self._connections_of[connection.user_id] = kept
        return closed

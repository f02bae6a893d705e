"""Defects of replay, of several tabs, and of gaps."""

from typing import Any

from netra_sim.bridge.connection import Connection
from netra_sim.bridge.delivery import Delivery
from netra_sim.bridge.run_log import OutgoingFrame
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import COMING_BACK, CROWD, LARGE_REPLAY, NEVER_READS, SHORT_MEMORY, TABS
from netra_sim.protocol import Hello
from netra_sim.protocol.events import encode


@seeded_defect("cursors-ignored", "B8", scenario=COMING_BACK)
def cursors_ignored(patches: Patches) -> None:
    """The server ignores cursors: a client that comes back gets all events again."""

    @patches.attribute(Delivery, "attach")
    def from_the_start(
        original: Any, self: Any, connection_id: Any, user: Any, transport: Any, epoch: Any, cursors: Any, **rest: Any
    ) -> Any:
        return original(self, connection_id, user, transport, epoch, {}, **rest)


@seeded_defect("replay-stops-at-a-full-buffer", "B8", scenario=LARGE_REPLAY)
def replay_stops_at_a_full_buffer(patches: Patches) -> None:
    """A replay that is larger than the transport's buffer stops when the buffer is full."""

    @patches.attribute(Delivery, "_flush")
    def once(original: Any, self: Any, connection: Connection) -> None:
        original(self, connection)
        if connection.is_observed:
            connection.behind.clear()


@seeded_defect("events-lost-while-another-run-replays", "B8", scenario=LARGE_REPLAY)
def events_lost_while_another_run_replays(patches: Patches) -> None:
    """While one run is replayed to a connection, events of the user's other runs are dropped."""

    @patches.attribute(Delivery, "publish")
    def unless_it_replays(original: Any, self: Any, run: Any, *rest: Any) -> Any:
        connections = self._connections_of.get(run.user_id, [])
        served = [one for one in connections if not one.behind or run in one.behind or not one.is_observed]
        if len(served) == len(connections):
            return original(self, run, *rest)
        self._connections_of[run.user_id] = served
        try:
            return original(self, run, *rest)
        finally:
            self._connections_of[run.user_id] = connections


@seeded_defect("one-tab-served", "S6", scenario=TABS)
def one_tab_served(patches: Patches) -> None:
    """Only the first tab of a user gets live events."""

    @patches.attribute(Delivery, "publish")
    def to_the_first(original: Any, self: Any, run: Any, *rest: Any) -> Any:
        connections = self._connections_of.get(run.user_id)
        if not connections or not run.is_observed:
            return original(self, run, *rest)
        self._connections_of[run.user_id] = connections[:1]
        try:
            return original(self, run, *rest)
        finally:
            self._connections_of[run.user_id] = connections


@seeded_defect("gap-one-short", "B8", scenario=SHORT_MEMORY)
def gap_one_short(patches: Patches) -> None:
    """A gap is announced as one event shorter than it is."""

    @patches.attribute(Delivery, "_gap")
    def short(original: Any, self: Any, connection: Connection, run_id: str, first: int, last: int, *rest: Any) -> Any:
        is_short = last > first and connection.is_observed
        return original(self, connection, run_id, first, last - 1 if is_short else last, *rest)


@seeded_defect("gap-never-sent", "B8", scenario=SHORT_MEMORY)
def gap_never_sent(patches: Patches) -> None:
    """The bridge counts a gap as announced, but does not send it."""

    @patches.attribute(Delivery, "_send")
    def without_gaps(original: Any, self: Any, connection: Connection, batch: list[OutgoingFrame]) -> Any:
        kept = [frame for frame in batch if b'"type":"gap"' not in frame.data or not connection.is_observed]
        return original(self, connection, kept) if kept else True


@seeded_defect("hello-lists-everybody", "B2", scenario=CROWD)
def hello_lists_everybody(patches: Patches) -> None:
    """A connection is greeted with the runs of all users."""

    @patches.attribute(Delivery, "attach")
    def with_all_runs(original: Any, self: Any, *arguments: Any, **options: Any) -> Any:
        connection = original(self, *arguments, **options)
        statuses = [run.status for run in self.runs.values()]
        hello = Hello(self.epoch, connection.user_id, connection.connection_id, statuses)
        first = connection.outbox.popleft()
        connection.outbox.appendleft(OutgoingFrame(encode(hello)))
        connection.outbox_bytes += len(connection.outbox[0].data) - len(first.data)
        return connection


@seeded_defect("slow-clients-are-kept", "S17", scenario=NEVER_READS)
def slow_clients_are_kept(patches: Patches) -> None:
    """A client that does not read is never cut off, however many bytes wait for it."""

    @patches.attribute(Delivery, "_shed")
    def never(original: Any, self: Any, connection: Connection, reason: str) -> None:
        if not connection.is_observed:
            original(self, connection, reason)

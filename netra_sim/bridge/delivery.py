"""`Delivery`: numbers events, keeps them for replay, and passes them to the connections of their owner.

All of it is synchronous. The routing table maps each authenticated user to that user's connections, and an event goes to the
connections of its run's owner: no caller names a recipient. The caller supplies the time and schedules `flush`.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from netra_sim.bridge.bounds import check_bounds
from netra_sim.bridge.connection import AuthenticatedUser, Cancellable, Connection, Transport
from netra_sim.bridge.failures import contained, report
from netra_sim.bridge.observer import BridgeObserver
from netra_sim.bridge.payload import HarmlessNames, error_text
from netra_sim.bridge.run_log import OutgoingFrame, Phase, RunLog
from netra_sim.bridge.threads import ThreadOwners
from netra_sim.exceptions import BridgeError, ConnectionLimitError, PayloadError, RunExistsError
from netra_sim.protocol import CLOSE_LOST, CLOSE_POLICY, CLOSE_SLOW_CONSUMER, Event, EventType, Gap, Hello
from netra_sim.protocol.events import encode

log = logging.getLogger(__name__)

_OPEN, _ENDED, _THINKING = Phase.OPEN, Phase.ENDED, EventType.AGENT_THINKING


_DETAILS = {
    "evicted": "The events up to missed_to are no longer kept; those after them follow.",
    "epoch": "The server was restarted, or never carried this run. A run ends with the server that carries it.",
    "expired": "The server holds nothing of this run: it ended too long ago, or is not this user's.",
    "ahead": "The cursor is ahead of the run: it belongs to another run of that name. This one follows from its beginning.",
}


class BridgeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of the bridge. They bound the memory that a client or an agent can claim.

    Attributes:
        connections_per_user: the most connections of one user, such as tabs and devices.
        event_bytes: the largest encoded event.
        replay_events: the most events kept for one run.
        replay_bytes: the most bytes kept for one run.
        replay_seconds: how long a run is kept after its end.
        replay_total_bytes: the most bytes kept for all runs. Evicts the runs that ended longest ago, then the oldest events
            of the live run that publishes.
        congested_bytes: above this many buffered bytes, a transport gets no more frames until it drains.
        stalled_bytes: a connection with more unsent bytes than this for `stalled_seconds` is closed.
        stalled_seconds: see `stalled_bytes`.
        outbox_bytes: a connection with more unsent bytes than this is closed at once.
        threads_per_user: the most threads of one user that stay known without a kept run; each takes less than 1 KiB.
        threads_total: the same for all users together.

    Raises:
        ValueError: a field is outside its bounds, or two fields contradict each other.
    """

    connections_per_user: int = 8
    event_bytes: int = 128 * 1024
    replay_events: int = 1_000
    replay_bytes: int = 256 * 1024
    replay_seconds: float = 120.0
    replay_total_bytes: int = 64 * 1024 * 1024
    congested_bytes: int = 64 * 1024
    stalled_bytes: int = 256 * 1024
    stalled_seconds: float = 5.0
    outbox_bytes: int = 1024 * 1024
    threads_per_user: int = 1_000
    threads_total: int = 100_000

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.congested_bytes <= self.stalled_bytes <= self.outbox_bytes:
            raise ValueError(
                "congested_bytes, stalled_bytes and outbox_bytes must not decrease in this order, and are "
                f"{self.congested_bytes}, {self.stalled_bytes} and {self.outbox_bytes}"
            )


class Counters(msgspec.Struct):
    """What the bridge has counted since it was made.

    Attributes:
        published: events that were published.
        sent: frames that transports accepted.
        refused: events that were refused to their publisher.
        shed: connections that were closed as slow consumers.
        gaps: gaps that were announced.
        lost_connections: connections that ended because their transport failed.
        isolation_blocks: batches with another user's event that were stopped before sending; always 0 without a bug.
    """

    published: int = 0
    sent: int = 0
    refused: int = 0
    shed: int = 0
    gaps: int = 0
    lost_connections: int = 0
    isolation_blocks: int = 0


class Delivery:
    """The runs, the connections, and the routing between them.

    Args:
        limits: bounds on memory.
        epoch: the name of this memory of runs; it changes when the memory is lost.
        observer: receives a call for everything that happens, or None.
        request_flush: called when a connection has frames to send; must arrange one call of `flush` soon.
        request_stall_check: called when a connection becomes congested; must arrange a call of `check_stall` after
            `stalled_seconds`, and return a timer that can cancel it.
        request_expiry: called when a run has ended; must arrange a call of `forget_expired` after `replay_seconds`, and
            return the loop's time.
        wall_clock: returns seconds since 1970, for the timestamps of events.
        require_loop: checks that the caller is on `loop`: sets `loop` on first use, or raises `WrongLoopError`.

    Attributes:
        loop: the event loop that all calls must come from; None before the first call.
        thread: the identifier of that loop's thread.
        dirty: the connections that have frames to send; while it is not empty, a flush is scheduled.
    """

    def __init__(
        self,
        limits: BridgeLimits,
        epoch: str,
        observer: BridgeObserver | None,
        request_flush: Callable[[], None],
        request_stall_check: Callable[[Connection], Cancellable],
        request_expiry: Callable[[], float],
        wall_clock: Callable[[], float],
        require_loop: Callable[[], None],
    ) -> None:
        self.limits = limits
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self.require_loop = require_loop
        self.epoch = epoch
        self.counters = Counters()
        self.runs: dict[str, RunLog] = {}
        self.replay_bytes = 0
        self._runs_of: dict[str, dict[str, RunLog]] = {}
        self._connections_of: dict[str, list[Connection]] = {}
        self._ended: OrderedDict[str, RunLog] = OrderedDict()
        self.threads = ThreadOwners(limits.threads_per_user, limits.threads_total)
        self.dirty: dict[Connection, None] = {}
        self._due: dict[Callable[[], None], None] = {}
        self._observer = None if observer is None else contained(observer)
        self._request_flush = request_flush
        self._request_stall_check = request_stall_check
        self._request_expiry = request_expiry
        self.wall_clock = wall_clock
        self.event_bytes = limits.event_bytes
        self._congested_bytes = limits.congested_bytes
        self._replay_total_bytes = limits.replay_total_bytes
        self.harmless_names = HarmlessNames()

    def open_run(self, user_id: str, thread_id: str, run_id: str, *, observed: bool = True) -> RunLog:
        """Register a new run. The observer and the counters see it only if it is ``observed``.

        Raises:
            RunExistsError: the id is in use.
        """
        if run_id in self.runs:
            raise RunExistsError(f"run id {run_id!r} is in use; every run needs an id of its own")
        if observed:
            self.threads.begin(thread_id, user_id)
        run = RunLog(
            user_id, thread_id, run_id, self.limits.replay_events, self.limits.replay_bytes, is_observed=observed
        )
        self.runs[run_id] = run
        self._runs_of.setdefault(user_id, {})[run_id] = run
        return run

    def publish(self, run: RunLog, kind: EventType, event: Event, tool_name: str = "") -> int:
        """Encode an event once, store it, and queue it for the owner's connections.

        This never waits for a client, and never fails because of one.

        Returns:
            The sequence number of the event.

        Raises:
            PayloadError: the event cannot be encoded or is too large; nothing changed.
            RunClosedError: the run has ended.
            RunOrderError: the event is out of order; see `RunLog.admit`.
        """
        if kind is not _THINKING or run.phase is not _OPEN:
            run.admit(kind, tool_name)
        try:
            frame = encode(event)
        except (TypeError, ValueError, OverflowError) as error:
            raise PayloadError("$", f"could not be encoded: {error}") from error
        size = len(frame)
        if size > self.event_bytes:
            raise PayloadError("$", f"makes an event of {size} bytes; at most {self.event_bytes} are carried")
        held = run.held_bytes
        outgoing = run.append(kind, frame, size, tool_name)
        self.replay_bytes = replay_bytes = self.replay_bytes + run.held_bytes - held
        if run.is_observed:
            self.counters.published += 1
            if self._observer is not None:
                self._observer.published(run.run_id, run.user_id, kind, outgoing.seq, run.thread_id)
        dirty = self.dirty
        for connection in self._connections_of.get(run.user_id, ()):
            if not connection.behind or run not in connection.behind:
                connection.outbox.append(outgoing)
                connection.outbox_bytes += size
            if connection not in dirty:
                self._mark(connection)
            if connection.outbox_bytes > self._congested_bytes:
                self._flush(connection)  # The outbox is bounded within one turn of the loop too.
        if run.phase is _ENDED:
            run.ended_at = self._request_expiry()
            self._ended[run.run_id] = run
        if replay_bytes > self._replay_total_bytes and run.is_observed:  # a probe costs no user an event
            self._make_room(run)
        return outgoing.seq

    def refuse(self, run: RunLog, kind: EventType, error: BridgeError) -> None:
        """Count an event that was refused to its publisher."""
        self.counters.refused += 1
        if self._observer is not None and run.is_observed:
            self._observer.event_refused(run.run_id, run.user_id, kind, str(error))

    def forget_expired(self, now: float) -> float | None:
        """Forget the runs that ended at least `replay_seconds` ago; return when the next one is due, or None."""
        while self._ended:
            run = next(iter(self._ended.values()))
            due = (run.ended_at or 0.0) + self.limits.replay_seconds
            if due > now:
                return due
            self.forget(run)
        return None

    def forget(self, run: RunLog) -> None:
        """Drop a run and its events. Connections that still lack some of them get a `Gap`."""
        if self.runs.pop(run.run_id, None) is None:
            return
        if run.is_observed:
            self.threads.end(run.thread_id)
        run.phase = _ENDED  # An emitter that still holds the run cannot publish any more.
        self._ended.pop(run.run_id, None)
        self.replay_bytes -= run.held_bytes
        owned = self._runs_of[run.user_id]
        del owned[run.run_id]
        if not owned:
            del self._runs_of[run.user_id]
        for connection in self._connections_of.get(run.user_id, ()):
            missing_from = connection.behind.pop(run, None)
            if missing_from is not None and missing_from < run.next_seq:
                connection.put(self._gap(connection, run.run_id, missing_from, run.next_seq - 1, "evicted", run))
                self._mark(connection)

    def _make_room(self, growing: RunLog) -> None:
        while (excess := self.replay_bytes - self.limits.replay_total_bytes) > 0 and self._ended:
            self.forget(next(iter(self._ended.values())))
        if excess > 0 and growing.phase is not _ENDED:
            self.replay_bytes -= growing.shed(excess)

    def attach(
        self,
        connection_id: str,
        user: AuthenticatedUser,
        transport: Transport,
        epoch: str | None,
        cursors: Mapping[str, int],
        *,
        observed: bool = True,
    ) -> Connection:
        """Register a connection and begin its replay in the same turn of the loop, so that no event falls between the two.

        Args:
            connection_id: unique among open connections.
            user: the authenticated owner.
            transport: carries the frames to the client.
            epoch: the epoch that the client's cursors belong to, or None.
            cursors: for each run that the client knows, the number of the last event that it has. The owner's other runs are
                replayed from the first event that is still kept.
            observed: whether the observer and the counters see the connection.

        Returns:
            The connection; it is already detached if its transport failed at once.

        Raises:
            ConnectionLimitError: the user has too many connections.
        """
        connections = self._connections_of.get(user.user_id, [])
        if len(connections) >= self.limits.connections_per_user:
            raise ConnectionLimitError(user.user_id, self.limits.connections_per_user)
        connection = Connection(connection_id, user, transport, is_observed=observed)
        self._connections_of[user.user_id] = [*connections, connection]
        if self._observer is not None and connection.is_observed:
            self._observer.connected(connection_id, user.user_id)
        try:
            transport.on_writable = lambda: self._mark_if_open(connection)
        except BaseException as error:
            self._lost(connection, error)
            return connection
        self.resume(connection, epoch, cursors)
        return connection

    def resume(self, connection: Connection, epoch: str | None, cursors: Mapping[str, int]) -> None:
        """Queue a `Hello` and replay the events that the client lacks; see `attach` for the arguments.

        Events that wait in the outbox are removed, because the replay sends them: each event is sent once.
        """
        owned = self._runs_of.get(connection.user_id, {})
        waiting = [frame for frame in connection.outbox if frame.user_id is None]
        connection.outbox.clear()
        connection.outbox_bytes = 0
        connection.behind.clear()
        for frame in waiting:
            connection.put(frame)
        statuses = [run.status for run in owned.values()]
        hello = Hello(self.epoch, connection.user_id, connection.connection_id, statuses)
        connection.put(OutgoingFrame(encode(hello)))
        same_epoch = epoch == self.epoch
        for run_id, last_seq in cursors.items():
            # Another user's run gets the same answer as a run that does not exist.
            run = owned.get(run_id)
            if not same_epoch or run is None:
                reason = "expired" if same_epoch else "epoch"
            elif last_seq >= run.next_seq:
                reason = "ahead"  # The cursor is of an earlier run with the same id, or invented.
            else:
                continue
            connection.put(self._gap(connection, run_id, max(last_seq, -1) + 1, -1, reason, run))
        for run in owned.values():
            last_seq = cursors.get(run.run_id, -1) if same_epoch else -1
            connection.behind[run] = max(last_seq, -1) + 1 if last_seq < run.next_seq else 0
        self._mark(connection)

    def detach(self, connection: Connection, code: int, reason: str) -> bool:
        """Remove this one connection from the routing table and close it; return False if it is detached already."""
        if not connection.is_open:
            return False
        connection.is_open = False
        connections = self._connections_of[connection.user_id]
        remaining = [other for other in connections if other is not connection]
        if remaining:
            self._connections_of[connection.user_id] = remaining
        else:
            del self._connections_of[connection.user_id]
        self.dirty.pop(connection, None)
        connection.outbox.clear()
        connection.outbox_bytes = 0
        connection.behind.clear()
        self._cancel_stall_check(connection)
        self._close_transport(connection, code, reason)
        if self._observer is not None and connection.is_observed:
            self._observer.disconnected(connection.connection_id, connection.user_id, code, reason)
        return True

    def _close_transport(self, connection: Connection, code: int, reason: str) -> None:
        transport = connection.transport
        try:
            transport.on_writable = None
        except BaseException as error:
            _log_failure(connection, error)
        try:
            transport.close(code, reason)
        except BaseException as error:
            _log_failure(connection, error)

    @property
    def connections(self) -> list[Connection]:
        """All open connections, user by user in the order in which the users connected."""
        return [connection for owned in self._connections_of.values() for connection in owned]

    def put_control(self, connection: Connection, message: msgspec.Struct) -> None:
        """Queue a control message behind the frames that already wait in the outbox."""
        connection.put(OutgoingFrame(encode(message)))
        self._mark(connection)

    def before_flush(self, publish: Callable[[], None]) -> None:
        """Call ``publish`` at the end of this turn of the loop; once, however often it is requested."""
        if not self.dirty and not self._due:
            self._request_flush()
        self._due[publish] = None

    def flush(self) -> None:
        """Make the calls that `before_flush` collected, then send to each dirty connection what its transport accepts."""
        for publish in list(self._due):
            try:
                publish()
            except Exception as error:
                report("text that an agent had said could not be published", error)
        self._due.clear()
        dirty, self.dirty = self.dirty, {}
        for connection in dirty:
            if connection.is_open:
                self._flush(connection)

    def check_stall(self, connection: Connection) -> None:
        """Close a connection as a slow consumer if it still has more than `stalled_bytes` unsent."""
        connection.stall_check = None
        if connection.is_open and self._unsent_bytes(connection) > self.limits.stalled_bytes:
            self._shed(connection, f"read too slowly for {self.limits.stalled_seconds:g} s")

    @property
    def unsent_bytes(self) -> list[int]:
        """For each connection, the bytes in its outbox plus those in its transport's buffer."""
        return [self._unsent_bytes(connection) for connection in self.connections]

    def _unsent_bytes(self, connection: Connection) -> int:
        try:
            return connection.outbox_bytes + connection.transport.buffered()
        except BaseException as error:
            self._lost(connection, error)
            return 0

    def _mark(self, connection: Connection) -> None:
        dirty = self.dirty
        if not dirty and not self._due:
            self._request_flush()
        dirty[connection] = None

    def _flush(self, connection: Connection) -> None:
        """Send as much as the transport accepts. An error of the transport ends only its own connection."""
        transport, limits = connection.transport, self.limits
        try:
            while connection.outbox or connection.behind:
                room = limits.congested_bytes - transport.buffered()
                if room < 0:
                    break
                batch = self._take(connection, room)
                if batch and not self._send(connection, batch):
                    return
            unsent = connection.outbox_bytes + transport.buffered()
            if unsent > limits.outbox_bytes:
                self._shed(connection, f"has {unsent} unsent bytes; at most {limits.outbox_bytes} are kept")
            elif unsent <= limits.stalled_bytes:
                if connection.stall_check is not None:
                    self._cancel_stall_check(connection)
            elif connection.stall_check is None and connection.is_open:
                connection.stall_check = self._request_stall_check(connection)
        except BaseException as error:
            self._lost(connection, error)

    def _mark_if_open(self, connection: Connection) -> None:
        if connection.is_open and (connection.outbox or connection.behind):
            self._mark(connection)

    def _take(self, connection: Connection, room: int) -> list[OutgoingFrame]:
        outbox = connection.outbox
        if connection.outbox_bytes <= room and not connection.behind:
            batch = list(outbox)
            outbox.clear()
            connection.outbox_bytes = 0
            return batch
        batch = []
        while outbox and room >= 0:
            frame = outbox.popleft()
            connection.outbox_bytes -= len(frame.data)
            room -= len(frame.data)
            batch.append(frame)
        while connection.behind and room >= 0 and not outbox:
            room -= self._take_from_replay(connection, batch)
        return batch

    def _take_from_replay(self, connection: Connection, batch: list[OutgoingFrame]) -> int:
        run, seq = next(iter(connection.behind.items()))
        if seq >= run.next_seq:
            del connection.behind[run]
            return 0
        if seq < run.first_seq:
            frame = self._gap(connection, run.run_id, seq, run.first_seq - 1, "evicted", run)
            connection.behind[run] = run.first_seq
        else:
            frame = run.frame(seq)
            connection.behind[run] = seq + 1
        batch.append(frame)
        return len(frame.data)

    def _send(self, connection: Connection, batch: list[OutgoingFrame]) -> bool:
        user_id = connection.user.user_id
        if not {frame.user_id for frame in batch} <= {user_id, None}:
            # No code path leads here. If a bug ever does, the wrong user still gets nothing.
            self.counters.isolation_blocks += 1
            self.detach(connection, CLOSE_POLICY, "an event of another user was queued here")
            return False
        try:
            connection.transport.send([frame.data for frame in batch])
        except BaseException as error:
            self._lost(connection, error)
            return False
        if not connection.is_observed:
            return True
        self.counters.sent += len(batch)
        if self._observer is not None:
            for frame in batch:
                if frame.user_id is not None:
                    self._observer.sent(connection.connection_id, user_id, frame.run_id, frame.event, frame.seq)
        return True

    def _lost(self, connection: Connection, error: BaseException) -> None:
        _log_failure(connection, error)
        if connection.is_open:
            self.counters.lost_connections += 1
            what = error_text(error)
            if isinstance(error, OSError):  # The text says enough without the type.
                what = what.partition(": ")[2]
            self.detach(connection, CLOSE_LOST, f"the transport failed: {what}")

    def _shed(self, connection: Connection, reason: str) -> None:
        self.counters.shed += 1
        self.detach(connection, CLOSE_SLOW_CONSUMER, f"slow consumer: {reason}")

    def _cancel_stall_check(self, connection: Connection) -> None:
        if connection.stall_check is not None:
            connection.stall_check.cancel()
            connection.stall_check = None

    def _gap(
        self, connection: Connection, run_id: str, first: int, last: int, reason: str, run: RunLog | None
    ) -> OutgoingFrame:
        self.counters.gaps += 1
        if self._observer is not None and connection.is_observed:
            self._observer.gap(connection.connection_id, connection.user_id, run_id, first, last, reason)
        text = run.dropped_text or "" if run is not None and reason == "evicted" and last == run.first_seq - 1 else ""
        return OutgoingFrame(encode(Gap(run_id, first, last, reason, _status(run, reason), _DETAILS[reason], text)))


def _status(run: RunLog | None, reason: str) -> str:
    if run is not None:
        return "ended" if run.phase is _ENDED else "live"
    return "lost" if reason == "epoch" else "unknown"


def _log_failure(connection: Connection, error: BaseException) -> None:
    """Log an error of a transport; an OSError, which a lost peer causes, at level INFO. Raise KeyboardInterrupt again."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    text, names = "the transport of connection %r of user %r failed: %s", (connection.connection_id, connection.user_id)
    if isinstance(error, OSError):
        log.info(text, *names, error_text(error))
    else:
        log.warning(text, *names, error_text(error), exc_info=error)

"""The client's side of the guarantee, without a socket: each event once, in order, and every gap noticed."""

import math
from collections.abc import Mapping

import msgspec

from netra_sim.protocol.events import AgentCompleted, AgentError, Control, Event, Gap, Hello, Skipped, decode

ENDED_KEPT = 500
"""Ended runs whose cursors are kept, so that the first message of a new connection stays small."""


class Reading(msgspec.Struct, frozen=True):
    """What one frame meant to the client.

    Attributes:
        message: the decoded frame.
        is_new: False for an event that the client had already; it must not be shown again.
        missing: how many events are missing before this one without having been announced.
    """

    message: Event | Control | Skipped
    is_new: bool = True
    missing: int = 0


class EventReader:
    """Reads a user's frames over any number of connections, one after the other.

    Attributes:
        epoch: the server memory that the cursors belong to; None before the first hello.
        duplicates: events that arrived again.
        unannounced_gaps: events that were missing without a word; stays 0 with a server that keeps its guarantee.
        skipped: frames that a newer server sent, and that this reader does not know.
        unreadable: frames of a known type that are wrong, and what is no message at all; stays 0 with a right server.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.duplicates = 0
        self.unannounced_gaps = 0
        self.skipped = 0
        self.unreadable = 0
        self._last_seq: dict[str, int] = {}
        self._ended: dict[str, float] = {}

    @property
    def cursors(self) -> Mapping[str, int]:
        """Per run the number of the last event; to be sent, with the epoch, on the next connection.

        An ended run stays in until a server's hello no longer lists it, or it would be replayed.
        """
        return self._last_seq

    def feed(self, frame: bytes | str) -> Reading:
        """Read one frame; what the reader does not know is counted and skipped."""
        message = decode(frame)
        if isinstance(message, Event):
            return self._event(message)
        if isinstance(message, Hello):
            self._hello(message)
        elif isinstance(message, Gap):
            return self._gap(message)
        elif isinstance(message, Skipped):
            if message.kind and not message.is_known:
                self.skipped += 1
            else:
                self.unreadable += 1
        return Reading(message)

    def _event(self, event: Event) -> Reading:
        last = self._last_seq.get(event.run_id, -1)
        if event.seq == 0 and event.timestamp > self._ended.get(event.run_id, math.inf):
            last = -1  # The server has forgotten that run, and its id has been used again.
            del self._ended[event.run_id]
        if event.seq <= last:
            self.duplicates += 1
            return Reading(event, is_new=False)
        missing = event.seq - last - 1
        self.unannounced_gaps += missing
        self._last_seq[event.run_id] = event.seq
        if isinstance(event, AgentCompleted | AgentError):
            self._ended[event.run_id] = event.timestamp
            if len(self._ended) > ENDED_KEPT:
                oldest = next(iter(self._ended))
                del self._ended[oldest], self._last_seq[oldest]
        return Reading(event, missing=missing)

    def _hello(self, hello: Hello) -> None:
        if hello.epoch != self.epoch:
            self.epoch = hello.epoch
            self._last_seq.clear()
            self._ended.clear()
        listed = {run.run_id for run in hello.runs}
        for run_id in [run_id for run_id in self._ended if run_id not in listed]:
            self._ended.pop(run_id, None)
            self._last_seq.pop(run_id, None)

    def _gap(self, gap: Gap) -> Reading:
        if gap.missed_to >= 0:
            self._last_seq[gap.run_id] = max(gap.missed_to, self._last_seq.get(gap.run_id, -1))
        else:  # The server holds nothing of this run any more.
            self._last_seq.pop(gap.run_id, None)
            self._ended.pop(gap.run_id, None)
        return Reading(gap)

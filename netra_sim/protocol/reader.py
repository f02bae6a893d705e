"""The client's half of the delivery guarantee, without a socket: each event once, in order, and every gap detected."""

import math
from collections.abc import Mapping

import msgspec

from netra_sim.protocol.events import AgentCompleted, AgentError, Control, Event, Gap, Hello, Skipped, decode

ENDED_KEPT = 500
"""The most ended runs that keep a cursor, so that the first message of a new connection stays small."""


class Reading(msgspec.Struct, frozen=True):
    """What one frame means to the client.

    Attributes:
        message: the decoded frame.
        is_new: False for an event that the client already has; the client must not show it again.
        missing: the number of events that are missing before this one without a `Gap`.
    """

    message: Event | Control | Skipped
    is_new: bool = True
    missing: int = 0


class EventReader:
    """Reads the frames of one user, over any number of connections one after the other.

    Attributes:
        epoch: the epoch of the cursors; None before the first `Hello`.
        duplicates: the number of events that arrived again.
        unannounced_gaps: the number of events missing without a `Gap`; 0 if the server keeps its guarantee.
        skipped: the number of frames of unknown types, such as those of a newer server.
        unreadable: the number of frames that are not messages, or have wrong content; 0 if the server is correct.
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
        """For each run the number of its last event. The client sends them, with the epoch, on its next connection.

        The cursor of an ended run stays until a `Hello` no longer lists the run; without it the server would replay the run.
        """
        return self._last_seq

    def feed(self, frame: bytes | str) -> Reading:
        """Read one frame. Unknown and wrong frames are counted and skipped."""
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
            last = -1  # A new run has the id of a run that the server has forgotten.
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
        else:  # The cursor is void.
            self._last_seq.pop(gap.run_id, None)
            self._ended.pop(gap.run_id, None)
        return Reading(gap)

"""`Recorder`: stands beside the bridge, the factory and the clients, and writes down what each of them says."""

from collections.abc import Callable, Mapping
from math import nan
from typing import Any

import numpy as np

from netra_sim.bridge import Event
from netra_sim.history.canary import CONTEXT_CANARY, whose
from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS, History, Kind

CONTEXTS_READ = "context variables read"
"""The gauge that tells how many events were published in a context that bears a mark."""

_CHUNK = 1 << 16
_context_canary = CONTEXT_CANARY.get
_PUBLISHED, _SENT, _RECEIVED = int(Kind.PUBLISHED), int(Kind.SENT), int(Kind.RECEIVED)


class Recorder:
    """Records one run of the system. It is a `BridgeObserver` and a `FactoryObserver`.

    Args:
        clock: seconds since the beginning.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rows: list[tuple[Any, ...]] = []
        self._chunks: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []
        self._contexts_read = 0
        self._tables: dict[str, dict[str, int]] = {name: {} for name in TEXT_COLUMNS}

    def requested(self, run_id: str, user_id: str, due: float) -> None:
        """A user asked for a run, which had been due at this time."""
        self._row(Kind.REQUESTED, user=user_id, run=run_id, due=due)

    def refused(self, run_id: str, user_id: str, reason: str) -> None:
        """A client has been told that its run will not take place, with this code."""
        self._row(Kind.REFUSED, user=user_id, run=run_id, detail=reason)

    def received(
        self, connection_id: str, user_id: str, run_id: str, event: str, seq: int, *, subject: str, timestamp: float
    ) -> None:
        """A client of ``user_id`` has an event, stamped by the server, which holds data of the user ``subject``."""
        self._rows.append(
            (self._clock(), nan, _RECEIVED, seq, timestamp, user_id, run_id, connection_id, event, subject, "")
        )
        if len(self._rows) >= _CHUNK:
            self._pack()

    def received_event(self, connection_id: str, user_id: str, frame: bytes, event: Event) -> str:
        """A client of ``user_id`` has read an event from a frame; returns the event's type."""
        kind = str(event.__struct_config__.tag)
        subject = whose(frame, event.user_id, user_id)
        self.received(connection_id, user_id, event.run_id, kind, event.seq, subject=subject, timestamp=event.timestamp)
        return kind

    def connect_refused(self, user_id: str, reason: str) -> None:
        """A client tried to connect, and could not."""
        self._row(Kind.CONNECT_REFUSED, user=user_id, detail=reason)

    def left_over(self, what: str, count: int, *, run_id: str = "", user_id: str = "") -> None:
        """Something outlived the scope of a run, or the shutdown."""
        self._row(Kind.LEFT_OVER, user=user_id, run=run_id, detail=what, value=count)

    def shared(self, user_id: str, other_user_id: str, what: str) -> None:
        """A mutable object was found that two users' engines can both reach."""
        self._row(Kind.SHARED, user=user_id, subject=other_user_id, detail=what)

    def stuck(self, how: str, who_waits: str) -> None:
        """The system did not come to rest: by a deadlock, at its time limit, or spinning."""
        self._row(Kind.STUCK, event=how, detail=who_waits)

    def fault_began(self, fault: str) -> None:
        """A fault was injected."""
        self._row(Kind.FAULT_BEGAN, detail=fault)

    def fault_ended(self, fault: str) -> None:
        """A fault was taken away."""
        self._row(Kind.FAULT_ENDED, detail=fault)

    def sample(self, gauge: str, value: float) -> None:
        """A gauge was read."""
        self._row(Kind.SAMPLE, detail=gauge, value=value)

    def connected(self, connection_id: str, user_id: str) -> None:
        """See `BridgeObserver`."""
        self._row(Kind.CONNECTED, user=user_id, connection=connection_id)

    def disconnected(self, connection_id: str, user_id: str, code: int, reason: str) -> None:
        """See `BridgeObserver`."""
        self._row(Kind.DISCONNECTED, user=user_id, connection=connection_id, detail=reason, value=code)

    def published(self, run_id: str, user_id: str, event: str, seq: int) -> None:
        """See `BridgeObserver`."""
        self._rows.append((self._clock(), nan, _PUBLISHED, seq, nan, user_id, run_id, "", event, "", ""))
        planted = _context_canary()
        if planted:
            self._contexts_read += 1
            if planted != user_id:
                self._row(Kind.LEAKED_CONTEXT, user=user_id, run=run_id, event=event, subject=planted)

    def sent(self, connection_id: str, user_id: str, run_id: str, event: str, seq: int) -> None:
        """See `BridgeObserver`."""
        self._rows.append((self._clock(), nan, _SENT, seq, nan, user_id, run_id, connection_id, event, "", ""))

    def gap(self, connection_id: str, user_id: str, run_id: str, first: int, last: int, reason: str) -> None:
        """See `BridgeObserver`."""
        self._row(Kind.GAP, user=user_id, run=run_id, connection=connection_id, seq=first, value=last, detail=reason)

    def event_refused(self, run_id: str, user_id: str, event: str, reason: str) -> None:
        """See `BridgeObserver`."""
        self._row(Kind.EVENT_REFUSED, user=user_id, run=run_id, event=event, detail=reason)

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """See `FactoryObserver`."""
        self._row(Kind.SCOPE_OPENED, user=user_id, run=run_id)

    def scope_closed(self, run_id: str, user_id: str, left_over: Mapping[str, int]) -> None:
        """See `FactoryObserver`."""
        self._row(Kind.SCOPE_CLOSED, user=user_id, run=run_id, value=sum(left_over.values()))
        for what, count in left_over.items():
            self.left_over(what, count, run_id=run_id, user_id=user_id)

    def scope_refused(self, run_id: str, user_id: str, reason: str) -> None:
        """See `FactoryObserver`."""
        self._row(Kind.SCOPE_REFUSED, user=user_id, run=run_id, detail=reason)

    def finish(self, meta: Mapping[str, Any]) -> History:
        """The history of what was recorded; the recorder can go on."""
        if self._contexts_read:
            self.sample(CONTEXTS_READ, self._contexts_read)
        self._pack()
        numbers = {name: np.concatenate([chunk[0][name] for chunk in self._chunks]) for name in NUMBER_COLUMNS}
        codes = {name: np.concatenate([chunk[1][name] for chunk in self._chunks]) for name in TEXT_COLUMNS}
        return History(numbers, codes, {name: list(table) for name, table in self._tables.items()}, meta)

    def _row(
        self,
        kind: Kind,
        *,
        user: str = "",
        run: str = "",
        connection: str = "",
        event: str = "",
        subject: str = "",
        detail: str = "",
        seq: int = -1,
        value: float = nan,
        due: float = nan,
    ) -> None:
        self._rows.append((self._clock(), due, kind, seq, value, user, run, connection, event, subject, detail))

    def _pack(self) -> None:
        """Turn the rows so far into arrays, which take a tenth of the memory."""
        columns = list(zip(*self._rows, strict=True)) or [()] * (len(NUMBER_COLUMNS) + len(TEXT_COLUMNS))
        self._rows.clear()
        order = ("time", "due", "kind", "seq", "value")
        numbers = {
            name: np.array(column, NUMBER_COLUMNS[name]) for name, column in zip(order, columns[:5], strict=True)
        }
        codes = {}
        for name, column in zip(TEXT_COLUMNS, columns[5:], strict=True):
            table = self._tables[name]
            for text in dict.fromkeys(column):
                table.setdefault(str(text), len(table))
            codes[name] = np.array([table[text] for text in column], "<i4")
        self._chunks.append((numbers, codes))

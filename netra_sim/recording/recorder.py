"""`Recorder`: records as a History what the bridge, the factory and the clients report."""

import re
from collections.abc import Callable, Mapping
from math import nan
from typing import Any

import numpy as np

from netra_sim.history import CONTEXTS_READ, wait_for
from netra_sim.history.history import IN_ANSWER, LOST, NUMBER_COLUMNS, TEXT_COLUMNS, History, Kind
from netra_sim.protocol import Event, Gap, Reading, ToolCompleted
from netra_sim.recording.marks import CONTEXT_MARK, marks_in

_CHUNK = 1 << 16
_context_mark = CONTEXT_MARK.get
_WORD = re.compile(r"[^\s\"\\,:;{}\[\]]+")
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
        self._users: set[str] = set()
        self._tables: dict[str, dict[str, int]] = {name: {} for name in TEXT_COLUMNS}

    def requested(self, run_id: str, user_id: str, due: float, thread_id: str = "") -> None:
        """A user asked for a run in a thread; ``due`` is the time at which the request was due."""
        self._users.add(user_id)
        self._row(Kind.REQUESTED, user=user_id, run=run_id, thread=thread_id, due=due)

    def refused(self, run_id: str, user_id: str, reason: str) -> None:
        """A client received this code as the reason why its run will not take place."""
        self._row(Kind.REFUSED, user=user_id, run=run_id, detail=reason)

    def received(
        self,
        connection_id: str,
        user_id: str,
        run_id: str,
        event: str,
        seq: int,
        *,
        subject: str,
        timestamp: float,
        thread_id: str = "",
        duration: float = nan,
    ) -> None:
        """A client of ``user_id`` received an event, with the server's ``timestamp`` and the mark of ``subject``, or ""."""
        self._rows.append(
            (
                *(self._clock(), nan, _RECEIVED, seq, timestamp, duration),
                *(user_id, run_id, thread_id, connection_id, event, subject, ""),
            )
        )
        if len(self._rows) >= _CHUNK:
            self._pack()

    def read(self, connection_id: str, user_id: str, frame: bytes, reading: Reading) -> None:
        """A client of ``user_id`` read a frame: an event or a control frame, and what its reader noticed."""
        message = reading.message
        if not isinstance(message, Event):
            self._read_control(connection_id, user_id, frame, reading)
            return
        kind, run_id, seq = str(message.__struct_config__.tag), message.run_id, message.seq
        subject, other_run = marks_in(frame, user_id, run_id)
        duration = message.duration if isinstance(message, ToolCompleted) else nan
        self.received(
            *(connection_id, user_id, run_id, kind, seq),
            subject=subject,
            timestamp=message.timestamp,
            thread_id=message.thread_id,
            duration=duration,
        )
        where: dict[str, Any] = {"user": user_id, "connection": connection_id, "run": run_id, "event": kind, "seq": seq}
        if other_run:
            self._row(Kind.OTHER_RUN, subject=other_run, **where)
        if not reading.is_new:
            self._row(Kind.REPEATED, **where)
        if reading.missing:
            where |= {"event": "", "seq": seq - reading.missing}
            self._row(Kind.MISSING, value=seq - 1, **where)

    def _read_control(self, connection_id: str, user_id: str, frame: bytes, reading: Reading) -> None:
        message = reading.message
        kind, other = str(message.__struct_config__.tag), self._other_user_in(frame, user_id)
        self.control_received(connection_id, user_id, kind, subject=other)
        if isinstance(message, Gap):
            span: dict[str, Any] = {"seq": message.missed_from, "value": message.missed_to}
            self._row(Kind.GAP_RECEIVED, user=user_id, connection=connection_id, run=message.run_id, **span)

    def control_received(self, connection_id: str, user_id: str, event: str, *, subject: str) -> None:
        """A client received a frame that belongs to no run; ``subject`` is another user whom it names, or ""."""
        self._row(Kind.CONTROL_RECEIVED, user=user_id, connection=connection_id, event=event, subject=subject)

    def _other_user_in(self, frame: bytes, reader: str) -> str:
        """The first known user in a frame other than the reader, or "". A name counts as a whole word, or before a dot."""
        for word in _WORD.findall(frame.decode(errors="replace")):
            for name in (word, word.partition(".")[0]):
                if name != reader and name in self._users:
                    return str(name)
        return ""

    def attached(
        self, connection_id: str, user_id: str, client: str, line_latency: float = nan, room: str = ""
    ) -> None:
        """A client has a new connection, to a room if any; its line delays each frame by ``line_latency`` seconds."""
        self._users.add(user_id)
        where: dict[str, Any] = {"user": user_id, "connection": connection_id, "thread": room}
        self._row(Kind.ATTACHED, detail=client, value=line_latency, **where)

    def answered(self, run_id: str, user_id: str, how: str, detail: str = "", tokens: float = nan) -> None:
        """A client compared the final answer of a run with its question.

        Args:
            run_id: of the run.
            user_id: who asked.
            how: "complete" or what is wrong, see `how_answered`.
            detail: what is wrong, in words.
            tokens: how many numbered tokens the client found in the answer; NaN if the answer has no numbers.
        """
        self._row(Kind.ANSWERED, user=user_id, run=run_id, event=how, detail=detail, value=tokens)

    def left(self, connection_id: str, user_id: str, run_id: str, *, is_lost: bool = False) -> None:
        """A client stopped reading a run before its end, by choice or because its connection is lost."""
        detail = LOST if is_lost else ""
        self._row(Kind.LEFT, user=user_id, connection=connection_id, run=run_id, detail=detail)

    def worked(self, run_id: str, user_id: str, number: int, service: str, *, is_last: bool = False) -> None:
        """A service did one unit of work for a run, such as one token of the answer; units are numbered from 0.

        Args:
            run_id: the run.
            user_id: its user.
            number: of the unit.
            service: the name of the service.
            is_last: whether it is the last numbered token of its answer.
        """
        made = number + 1 if is_last else nan
        self._row(Kind.WORKED, user=user_id, run=run_id, seq=number, detail=service, value=made)

    def disclosed(self, connection_id: str, user_id: str, run_id: str, event: str, secret: str) -> None:
        """A client received a planted secret; ``secret`` names it and is not its text."""
        self._row(Kind.DISCLOSED, user=user_id, connection=connection_id, run=run_id, event=event, detail=secret)

    def out_of_order(self, connection_id: str, user_id: str, run_id: str, event: str, rule: str) -> None:
        """A client received an event that breaks the order of its protocol; ``rule`` says in words which rule."""
        self._row(Kind.OUT_OF_ORDER, user=user_id, connection=connection_id, run=run_id, event=event, detail=rule)

    def first_content(self, connection_id: str, user_id: str, run_id: str, event: str) -> None:
        """A client received the first piece of a run's answer, in an event of this type."""
        self._row(Kind.FIRST_CONTENT, user=user_id, connection=connection_id, run=run_id, event=event)

    def other_run(self, connection_id: str, user_id: str, run_id: str, event: str, other: str) -> None:
        """A client received an event of a run with the mark of another run: of its user, or of another user in the room."""
        self._row(Kind.OTHER_RUN, user=user_id, connection=connection_id, run=run_id, event=event, subject=other)

    def repeated(self, connection_id: str, user_id: str, run_id: str, event: str, number: int) -> None:
        """A client received an event with a numbered token of the answer that it already had."""
        where: dict[str, Any] = {"user": user_id, "connection": connection_id, "run": run_id, "event": event}
        self._row(Kind.REPEATED, seq=number, detail=IN_ANSWER, **where)

    def missing(self, connection_id: str, user_id: str, run_id: str, first: int, last: int) -> None:
        """A client noticed that numbered tokens of its answer are missing, from ``first`` to ``last``."""
        where: dict[str, Any] = {"user": user_id, "connection": connection_id, "run": run_id}
        self._row(Kind.MISSING, seq=first, value=last, detail=IN_ANSWER, **where)

    def loop_error(self, error: str, detail: str) -> None:
        """An error that no code handled reached the event loop: its type, and where it came from with its message."""
        self._row(Kind.LOOP_ERROR, event=error, detail=detail)

    def connect_refused(self, user_id: str, reason: str) -> None:
        """A client tried to connect and was refused."""
        self._row(Kind.CONNECT_REFUSED, user=user_id, detail=reason)

    def left_over(self, what: str, count: int, *, run_id: str = "", user_id: str = "") -> None:
        """Something outlived the scope of a run, or the shutdown."""
        self._row(Kind.LEFT_OVER, user=user_id, run=run_id, detail=what, value=count)

    def shared(self, user_id: str, other_user_id: str, what: str) -> None:
        """The engines of two users reach the same mutable object."""
        self._row(Kind.SHARED, user=user_id, subject=other_user_id, detail=what)

    def stuck(self, how: str, who_waits: str) -> None:
        """The system did not come to rest: by a deadlock, at its time limit, or spinning."""
        self._row(Kind.STUCK, event=how, detail=who_waits)

    def fault_began(self, fault: str) -> None:
        """A fault was injected."""
        self._row(Kind.FAULT_BEGAN, detail=fault)

    def fault_ended(self, fault: str, hit: float = nan) -> None:
        """A fault was removed; ``hit`` is how many users, runs or messages it hit, NaN if not known."""
        self._row(Kind.FAULT_ENDED, detail=fault, value=hit)

    def sample(self, gauge: str, value: float) -> None:
        """A gauge was read."""
        self._row(Kind.SAMPLE, detail=gauge, value=value)

    def visited(self, resource: str, run_id: str, user_id: str, how: str, waited: float, held: float = nan) -> None:
        """A step of a run left a resource: "served", "refused" or "gave up", with seconds waited, and held if served."""
        detail = wait_for(resource)
        self._rows.append((self._clock(), nan, Kind.SAMPLE, -1, waited, held, user_id, run_id, "", "", how, "", detail))

    def connected(self, connection_id: str, user_id: str) -> None:
        """See `BridgeObserver`."""
        self._users.add(user_id)
        self._row(Kind.CONNECTED, user=user_id, connection=connection_id)

    def disconnected(self, connection_id: str, user_id: str, code: int, reason: str) -> None:
        """See `BridgeObserver`."""
        self._row(Kind.DISCONNECTED, user=user_id, connection=connection_id, detail=reason, value=code)

    def published(self, run_id: str, user_id: str, event: str, seq: int, thread_id: str = "") -> None:
        """See `BridgeObserver`."""
        self._rows.append(
            (self._clock(), nan, _PUBLISHED, seq, nan, nan, user_id, run_id, thread_id, "", event, "", "")
        )
        asker = _context_mark()
        if asker:
            self._contexts_read += 1
            if asker != user_id:
                self._row(Kind.LEAKED_CONTEXT, user=user_id, run=run_id, event=event, subject=asker)

    def sent(self, connection_id: str, user_id: str, run_id: str, event: str, seq: int) -> None:
        """See `BridgeObserver`."""
        self._rows.append((self._clock(), nan, _SENT, seq, nan, nan, user_id, run_id, "", connection_id, event, "", ""))

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
        """The History of everything recorded so far; the recorder can go on."""
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
        thread: str = "",
        connection: str = "",
        event: str = "",
        subject: str = "",
        detail: str = "",
        seq: int = -1,
        value: float = nan,
        due: float = nan,
    ) -> None:
        self._rows.append(
            (self._clock(), due, kind, seq, value, nan, user, run, thread, connection, event, subject, detail)
        )

    def _pack(self) -> None:
        """Turn the rows into arrays, which take a tenth of the memory."""
        columns = list(zip(*self._rows, strict=True)) or [()] * (len(NUMBER_COLUMNS) + len(TEXT_COLUMNS))
        self._rows.clear()
        split = len(NUMBER_COLUMNS)
        numbers = {
            name: np.array(column, dtype)
            for (name, dtype), column in zip(NUMBER_COLUMNS.items(), columns[:split], strict=True)
        }
        codes = {}
        for name, column in zip(TEXT_COLUMNS, columns[split:], strict=True):
            table = self._tables[name]
            for text in dict.fromkeys(column):
                table.setdefault(str(text), len(table))
            codes[name] = np.array([table[text] for text in column], "<i4")
        self._chunks.append((numbers, codes))

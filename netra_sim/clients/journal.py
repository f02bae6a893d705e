"""`Journal`: what one user's clients experience, as records of a History."""

from collections.abc import Mapping
from math import nan
from types import MappingProxyType

from netra_sim.clients.traces import Jump, Secrets, Tokens, Traces
from netra_sim.protocol import CLOSE_NORMAL, Reading
from netra_sim.recording import Recorder, how_answered

ENDED, FAILED = "agent_completed", "agent_error"
"""The events that end a run in a History. A protocol records its own ends under these names."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Journal:
    """Writes the records of one user's clients; nothing else does.

    It looks for marks in all bytes of a connection, and again in the text of each answer: a mark that arrives in pieces,
    each in an event of its own, is whole only there.

    Args:
        recorder: of the whole history.
        user_id: the user.
        secrets: texts that were planted in the system and that no user must receive, by name. With secrets, the history
            also has records of the kind `Kind.DISCLOSED`.
    """

    def __init__(self, recorder: Recorder, user_id: str, secrets: Mapping[str, str] = _NOTHING) -> None:
        self.user_id = user_id
        self._recorder = recorder
        self._secrets = Secrets(secrets)
        self._connections: dict[str, Traces] = {}
        self._opened = 0
        self._answers: dict[str, _Answer] = {}
        self._mixed: set[tuple[str, str]] = set()
        self._disclosed: set[tuple[str, str]] = set()

    def requested(self, run_id: str, due: float, thread_id: str) -> None:
        """The user sends a request; ``thread_id`` is the thread, or for a protocol with rooms the room."""
        self._recorder.requested(run_id, self.user_id, due, thread_id)

    def connected(self, connection_id: str = "", *, room: str = "") -> str:
        """A connection was opened, to a room if any; returns its id, which is new unless the protocol names one."""
        connection_id = connection_id or f"{self.user_id}#{self._opened}"
        self._opened += 1
        self._connections[connection_id] = Traces(self._secrets)
        self._recorder.connected(connection_id, self.user_id)
        self._recorder.attached(connection_id, self.user_id, self.user_id, room=room)
        return connection_id

    def disconnected(self, connection_id: str, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """A connection ended, with a close code of WebSocket for every protocol; a second call changes nothing."""
        if self._connections.pop(connection_id, None) is not None:
            self._recorder.disconnected(connection_id, self.user_id, code, reason)

    def connect_refused(self, reason: str) -> None:
        """A connection could not be opened."""
        self._recorder.connect_refused(self.user_id, reason)

    def refused(self, run_id: str, code: str) -> None:
        """The system refused the request, such as with "http 503"."""
        self._recorder.refused(run_id, self.user_id, code)

    def left(self, connection_id: str, run_id: str, *, by_choice: bool) -> None:
        """The client stops reading a run before its end; not by choice if it still wants the answer."""
        self._recorder.left(connection_id, self.user_id, run_id, is_lost=not by_choice)

    def out_of_order(self, connection_id: str, run_id: str, event: str, rule: str) -> None:
        """An event broke a rule of the protocol."""
        self._recorder.out_of_order(connection_id, self.user_id, run_id, event, rule)

    def read(self, connection_id: str, frame: bytes, reading: Reading) -> None:
        """A client of this package's own protocol read a frame; the recorder knows that protocol."""
        self._recorder.read(connection_id, self.user_id, frame, reading)

    def attached(self, connection_id: str) -> None:
        """The server of this package named a new connection; it records its opening and its end itself."""
        self._recorder.attached(connection_id, self.user_id, self.user_id)

    def judged(self, run_id: str, how: str, detail: str) -> None:
        """The client compared an answer with the right one, see `netra_sim.recording.how_answered`."""
        self._recorder.answered(run_id, self.user_id, how, detail)

    def received_control(self, connection_id: str, event: str, data: bytes, run_id: str = "") -> None:
        """Data arrived that is no event of a run, such as the head of an HTTP response.

        Args:
            connection_id: where; "" for the answer to a handshake that was refused, which opens no connection.
            event: what it is.
            data: all its bytes.
            run_id: the run for which a secret in it counts.
        """
        traces = self._connections[connection_id] if connection_id else Traces(self._secrets)
        others = (user for user, _ in traces.marks(data) if user != self.user_id)
        self._recorder.control_received(connection_id, self.user_id, event, subject=next(others, ""))
        self._disclose(traces.secrets(data), connection_id, run_id, event)

    def received(
        self,
        connection_id: str,
        run_id: str,
        event: str,
        data: bytes,
        *,
        seq: int = -1,
        thread_id: str = "",
        content: str = "",
        part: str = "",
    ) -> None:
        """An event of a run arrived.

        Args:
            connection_id: where.
            run_id: the run, as the event or the connection names it.
            event: its type; `ENDED` or `FAILED` for the end of a run.
            data: all bytes that brought the event.
            seq: its number within the run, or -1 if the protocol has none.
            thread_id: the thread that the event names.
            content: the piece of the answer that it brings.
            part: which of several texts of the answer the piece belongs to, as each has numbers of its own.
        """
        traces = self._connections[connection_id]
        marks, secrets = traces.marks(data), traces.secrets(data)
        wrong: list[int | Jump] = []
        is_first = False
        if content:
            answer = self._answers.get(run_id)
            if is_first := answer is None:
                answer = self._answers[run_id] = _Answer(self._secrets)
            marks += answer.traces.marks(content.encode())
            secrets += answer.traces.secrets(content.encode())
            wrong = answer.feed(content, part)
        users = [user for user, _ in marks]
        subject = next((user for user in users if user != self.user_id), users[0] if users else "")
        recorder, user_id = self._recorder, self.user_id
        where = (connection_id, user_id, run_id, event)
        recorder.received(*where, seq, subject=subject, timestamp=nan, thread_id=thread_id)
        if is_first:
            recorder.first_content(*where)
        for owner, other in marks:
            if owner == user_id and other and other != run_id and (run_id, other) not in self._mixed:
                self._mixed.add((run_id, other))
                recorder.other_run(*where, other)
        self._disclose(secrets, connection_id, run_id, event)
        for one in wrong:
            if isinstance(one, Jump):
                recorder.missing(connection_id, user_id, run_id, one.first, one.last)
            else:
                recorder.repeated(*where, one)

    def answered(self, run_id: str) -> None:
        """The run has ended with an answer, of which the protocol recorded every piece."""
        answer = self._answers.get(run_id)
        how, detail = how_answered("" if answer is None or answer.is_blank else "some text")
        self._recorder.answered(run_id, self.user_id, how, detail, nan if answer is None else answer.tokens or nan)

    def forget(self, run_id: str) -> None:
        """Nothing more of this run arrives."""
        self._answers.pop(run_id, None)

    def _disclose(self, secrets: list[str], connection_id: str, run_id: str, event: str) -> None:
        for name in secrets:
            if (run_id, name) not in self._disclosed:
                self._disclosed.add((run_id, name))
                self._recorder.disclosed(connection_id, self.user_id, run_id, event, name)


class _Answer:
    """The text of one run's answer, as far as it has arrived."""

    def __init__(self, secrets: Secrets) -> None:
        self.traces = Traces(secrets)
        self.is_blank = True
        self._parts: dict[str, Tokens] = {}

    @property
    def tokens(self) -> int:
        return sum(part.count for part in self._parts.values())

    def feed(self, content: str, part: str) -> list[int | Jump]:
        self.is_blank = self.is_blank and not content.strip()
        return self._parts.setdefault(part, Tokens()).feed(content)

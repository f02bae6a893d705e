"""The client protocol ``ag-ui``: the Agent-User Interaction Protocol, by the types of its official package.

`ag_ui` is imported at the first request, so that other protocols do not need it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from netra_sim.clients.ag_ui_order import EventOrder
from netra_sim.clients.http import HttpRequest
from netra_sim.clients.journal import ENDED, FAILED, Journal
from netra_sim.clients.protocol import CONTENT_KINDS, ClientProtocol, Request, Session, SystemAddress
from netra_sim.clients.server_sent_events import ServerSentEvent
from netra_sim.clients.streaming import StreamSession
from netra_sim.clients.templates import fill, fill_path, text_at, values_of
from netra_sim.history import Kind

_CONTENT = ("TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK")


class AgUi(ClientProtocol, frozen=True, tag="ag-ui"):
    """AG-UI over HTTP: each run is a POST of a RunAgentInput, answered by server-sent events.

    A run ends with RUN_FINISHED or RUN_ERROR; a response that ends without one of them was cut off. An interrupt is an end,
    a cancelled run is none with an answer. Events that break the order of the protocol, or that its types do not take, are
    recorded. The answer is the text of TEXT_MESSAGE_CONTENT and TEXT_MESSAGE_CHUNK; RAW and snapshots, which repeat it,
    count for marks only.

    Attributes:
        path: of the URL.
        headers: of every request, with the marks ``{user}``, ``{number}``, ``{thread}`` and ``{run}``.
        history: whether a request holds the whole conversation of its thread so far; else its own question only, for
            servers that keep conversations themselves.
    """

    path: str = "/"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    history: bool = False

    @property
    def kinds(self) -> frozenset[Kind]:
        """See `ClientProtocol.kinds`."""
        return super().kinds | CONTENT_KINDS | {Kind.OUT_OF_ORDER}

    def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
        """See `ClientProtocol.session`."""
        threads: dict[str, list[Any]] = {}

        def begin(request: Request, thread: str) -> "_Exchange":
            from ag_ui.core import UserMessage

            question = UserMessage(id=f"{request.run_id} question", role="user", content=request.text)
            conversation = [*threads.get(thread, ()), question]
            if self.history:
                threads[thread] = conversation
            run_input = _input(request.run_id, thread, conversation)
            values = values_of(user_id, thread=thread, run=request.run_id, text=request.text)
            headers = {"accept": "text/event-stream", "content-type": "application/json"}
            headers |= {name.lower(): fill(value, values) for name, value in self.headers.items()}
            http = HttpRequest("POST", target.path + fill_path(self.path, values), headers, run_input)
            return _Exchange(http, journal, request.run_id, thread, conversation)

        return StreamSession(self, target, journal, seed, begin)


def _input(run_id: str, thread_id: str, messages: list[Any]) -> bytes:
    """The encoded RunAgentInput; servers before 1.0 require the four fields that are empty here."""
    from ag_ui.core import RunAgentInput

    run_input = RunAgentInput(
        thread_id=thread_id, run_id=run_id, messages=messages, state={}, tools=[], context=[], forwarded_props={}
    )
    return run_input.model_dump_json(by_alias=True, exclude_none=True).encode()


@cache
def _types() -> tuple[frozenset[str], Any, Any]:
    """The types of events that the installed package knows, the validator of all of them, and the error that it raises."""
    from ag_ui.core import Event, EventType
    from pydantic import TypeAdapter, ValidationError

    return frozenset(kind.value for kind in EventType), TypeAdapter(Event), ValidationError


def _wrong_with(event: Mapping[str, Any]) -> str:
    """What the types of the protocol do not take in an event, or ""; unknown types of events take anything."""
    known, adapter, invalid = _types()
    if event["type"] not in known:
        return ""
    try:
        adapter.validate_python(event)
    except invalid as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"][1:]))
        return f"{event['type']} is not valid: {place}: {first['msg']}"
    return ""


class _Exchange:
    """One run; see `netra_sim.clients.streaming.Exchange`."""

    def __init__(
        self, request: HttpRequest, journal: Journal, run_id: str, thread_id: str, conversation: list[Any]
    ) -> None:
        self.request = request
        self.has_ended = False
        self._journal = journal
        self._run_id = run_id
        self._order = EventOrder(thread_id, run_id)
        self._conversation = conversation
        self._texts: dict[str, list[str]] = {}
        self._others: set[str] = set()
        self._chunk_of = ""

    def read(self, connection_id: str, event: ServerSentEvent) -> None:
        """Record one event, and what is wrong with it."""
        message = _object(event.data)
        if message is None:
            self._journal.received(connection_id, self._run_id, "not an event", event.raw)
            self._journal.out_of_order(connection_id, self._run_id, "not an event", "each data is one JSON event")
            return
        kind = message["type"]
        is_replayed = self._order.is_live and self._order.run_id not in ("", self._run_id)
        broken = self._order.feed(message)
        if wrong := _wrong_with(message):
            broken.append(wrong)
        run_id = self._run_of(kind, message)
        end = self._end_of(kind, message, is_replayed=is_replayed)
        part, content = self._content_of(kind, message)
        thread_id = text_at(message, "threadId")
        self._journal.received(
            *(connection_id, run_id, end or kind, event.raw), thread_id=thread_id, content=content, part=part
        )
        for rule in broken:
            self._journal.out_of_order(connection_id, run_id, kind, rule)
        if end:
            self.has_ended = True
            self._keep_answer()
            if end == ENDED and not _awaits(message):
                self._journal.answered(self._run_id)

    def finish(self, connection_id: str, rest: bytes) -> None:
        """Record what came after the last event, and a run that is not the one that was asked for."""
        if rest:
            self._journal.received_control(connection_id, "rest of the body", rest, self._run_id)
        for rule in self._order.finish():
            self._journal.out_of_order(connection_id, self._run_id, "end of the stream", rule)

    def _run_of(self, kind: str, message: Mapping[str, Any]) -> str:
        """The run that an event names; only RUN_STARTED and RUN_FINISHED can, and the others belong to the request's."""
        named = message.get("runId") if kind in ("RUN_STARTED", "RUN_FINISHED") else None
        return named if isinstance(named, str) and named else self._run_id

    def _end_of(self, kind: str, message: Mapping[str, Any], *, is_replayed: bool) -> str:
        """How the event ends the run that was asked for, or "", as at the end of an earlier run that is replayed."""
        if self.has_ended:
            return ""
        if kind == "RUN_ERROR":
            return "" if is_replayed else FAILED
        if kind == "RUN_FINISHED" and message.get("runId") == self._run_id:
            return FAILED if _outcome(message) == "cancelled" else ENDED
        return ""

    def _content_of(self, kind: str, message: Mapping[str, Any]) -> tuple[str, str]:
        """The message that an event extends and the piece of the answer; "" and "" if it has none."""
        named = message.get("messageId")
        message_id = named if isinstance(named, str) else ""
        if kind in ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CHUNK") and message.get("role", "assistant") != "assistant":
            self._others.add(message_id)
        if kind == "TEXT_MESSAGE_CHUNK":
            message_id = self._chunk_of = message_id or self._chunk_of
        is_replayed = self._order.run_id not in ("", self._run_id)
        delta = message.get("delta")
        if kind not in _CONTENT or is_replayed or message_id in self._others or not isinstance(delta, str):
            return "", ""
        self._texts.setdefault(message_id, []).append(delta)
        return message_id, delta

    def _keep_answer(self) -> None:
        """Append the answer to the conversation, for the thread's next request."""
        from ag_ui.core import AssistantMessage

        for message_id, pieces in self._texts.items():
            self._conversation.append(AssistantMessage(id=message_id, role="assistant", content="".join(pieces)))


def _object(data: str) -> dict[str, Any] | None:
    try:
        message = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def _outcome(message: Mapping[str, Any]) -> str:
    """How a run finished; success if it does not say so."""
    outcome = message.get("outcome")
    return str(outcome.get("type", "success")) if isinstance(outcome, Mapping) else "success"


def _awaits(message: Mapping[str, Any]) -> bool:
    """Whether a run finished without an answer because it awaits something: an interrupt, or tools of the client."""
    outcome = message.get("outcome")
    pending = isinstance(outcome, Mapping) and outcome.get("pendingToolCallIds")
    return _outcome(message) == "interrupt" or bool(pending)

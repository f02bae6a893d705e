"""The events of a run and the control messages of a connection, in their wire format.

Every message is one JSON object in one text frame. The fields that clients rely on are those of the original system.
`SCHEMA_VERSION` changes when a field is removed or changes its meaning.
"""

from enum import StrEnum
from typing import get_args

import msgspec

SCHEMA_VERSION = 1


class EventType(StrEnum):
    """The event types that a run can publish."""

    AGENT_STARTED = "agent_started"
    AGENT_THINKING = "agent_thinking"
    AGENT_DELTA = "agent_delta"
    TOOL_EXECUTING = "tool_executing"
    TOOL_COMPLETED = "tool_completed"
    AGENT_COMPLETED = "agent_completed"
    AGENT_ERROR = "agent_error"


CRITICAL_EVENTS = (
    EventType.AGENT_STARTED,
    EventType.AGENT_THINKING,
    EventType.TOOL_EXECUTING,
    EventType.TOOL_COMPLETED,
    EventType.AGENT_COMPLETED,
)
"""The five event types that a chat needs to look alive, in the order in which a run first publishes them."""

FINAL_EVENTS = frozenset({EventType.AGENT_COMPLETED, EventType.AGENT_ERROR})
"""The event types that end a run: every run has exactly one of these events, as its last."""


class _Versioned(msgspec.Struct, kw_only=True, tag_field="type", gc=False):
    schema_version: int = SCHEMA_VERSION


class Event(_Versioned, gc=False):
    """The fields that all events of a run have.

    Attributes:
        run_id: the run.
        thread_id: the conversation of the run, fixed when the run begins.
        user_id: the owner of the run, fixed when the run begins.
        seq: the sequence number: 0, 1, 2, ... without gaps within the run.
        event_id: unique over all runs.
        timestamp: the time of publishing, in seconds since 1970.
    """

    run_id: str
    thread_id: str
    user_id: str
    seq: int
    event_id: str
    timestamp: float


class AgentStarted(Event, tag="agent_started", gc=False):
    """The first event of a run."""

    agent_name: str


class AgentThinking(Event, tag="agent_thinking", gc=False):
    """An agent says what it is doing."""

    reasoning: object


class AgentDelta(Event, tag="agent_delta", gc=False):
    """A piece of the answer's text; the client appends it to the pieces before it."""

    text: str


class ToolExecuting(Event, tag="tool_executing", gc=False):
    """An agent has called a tool; a `ToolCompleted` of the same tool follows."""

    tool_name: str
    parameters: object


class ToolCompleted(Event, tag="tool_completed", gc=False):
    """A tool has returned or failed; ``duration`` is in seconds."""

    tool_name: str
    results: object
    duration: float


class AgentCompleted(Event, tag="agent_completed", gc=False):
    """The last event of a run that succeeded."""

    status: str
    final_response: object


class AgentError(Event, tag="agent_error", gc=False):
    """The last event of a run without an answer: ``error`` is a word for programs, ``message`` a sentence for the user."""

    error: str
    message: str


class RunStatus(msgspec.Struct, frozen=True):
    """The events that the server still keeps of one run: first_seq .. next_seq - 1."""

    run_id: str
    first_seq: int
    next_seq: int
    ended: bool


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """The answer to ``resume``, and so the first frame on every connection.

    The client keeps the epoch. A different epoch means that the server has lost its runs, and the client's cursors are void.
    """

    epoch: str
    user_id: str
    connection_id: str
    runs: list[RunStatus]


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap", omit_defaults=True):
    """The server can no longer replay events missed_from .. missed_to of a run. Every gap is announced.

    Attributes:
        missed_to: the last missing event, or -1 if the server does not know it.
        reason: ``evicted``, ``epoch``, ``expired`` or ``ahead``; docs/protocol.md explains them.
        status: the state of the run: ``live``, ``ended``, ``lost`` (the server was restarted) or ``unknown``. After ``lost``
            and ``unknown`` no more events of the run follow.
        detail: reason and status in a sentence.
        text: the text of all deltas up to ``missed_to``, from the run's first event on; "" if there is none or too much.
    """

    run_id: str
    missed_from: int
    missed_to: int
    reason: str
    status: str = ""
    detail: str = ""
    text: str = ""


class Refused(msgspec.Struct, frozen=True, tag_field="type", tag="refused", omit_defaults=True):
    """The server did not carry out a message of the client."""

    code: str
    detail: str
    request_id: str | None = None


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong", omit_defaults=True):
    """The answer to a client's ``ping``, with the same id."""

    id: str | None = None


class Authenticated(msgspec.Struct, frozen=True, tag_field="type", tag="authenticated"):
    """The server accepted a newer token of the same user; it expires at ``expires_at``, in seconds since 1970, or never."""

    user_id: str
    expires_at: float | None


class Draining(msgspec.Struct, frozen=True, tag_field="type", tag="draining"):
    """The server is shutting down: it begins no more runs, and lets live runs go on for ``seconds``."""

    seconds: float


class Skipped(msgspec.Struct, frozen=True, tag_field="type", tag="skipped"):
    """What `decode` returns for a frame of an unknown type or with wrong content. It is never sent.

    Attributes:
        kind: the ``type`` of the frame, or "" if it has none.
        is_known: True if `decode` knows this type, so the content of the frame is wrong.
    """

    kind: str
    is_known: bool


Control = Hello | Gap | Refused | Pong | Authenticated | Draining
Incoming = (
    AgentStarted | AgentThinking | AgentDelta | ToolExecuting | ToolCompleted | AgentCompleted | AgentError | Control
)

encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Event | Control] = msgspec.json.Decoder(Incoming)
_decode_any = msgspec.json.Decoder().decode
_KNOWN = frozenset(str(one.__struct_config__.tag) for one in get_args(Incoming))


def decode(frame: bytes | str) -> Event | Control | Skipped:
    """Decode a frame from a server.

    An unknown or wrong frame gives a `Skipped` and raises nothing, because newer servers may add types (docs/protocol.md).
    """
    try:
        return _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        message = _decode_any(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Skipped("", is_known=False)
    kind = message.get("type") if isinstance(message, dict) else None
    return Skipped(kind, kind in _KNOWN) if isinstance(kind, str) else Skipped("", is_known=False)

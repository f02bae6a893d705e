"""The events of a run and the control messages of a connection, as they stand on the wire.

Every event is one JSON object in one text frame. The fields that clients rely on are those of the original system;
`SCHEMA_VERSION` changes when a field changes its meaning or goes.
"""

from enum import StrEnum
from typing import get_args

import msgspec

SCHEMA_VERSION = 1


class EventType(StrEnum):
    """The types of event that a run may publish."""

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
"""The five events without which a chat looks dead, in the order of their first occurrence in a run."""

FINAL_EVENTS = frozenset({EventType.AGENT_COMPLETED, EventType.AGENT_ERROR})
"""The events of which every run has exactly one, as its last."""


class _Versioned(msgspec.Struct, kw_only=True, tag_field="type", gc=False):
    schema_version: int = SCHEMA_VERSION


class Event(_Versioned, gc=False):
    """What all events of a run have in common.

    Attributes:
        run_id: the run; its owner and thread were fixed when it began.
        seq: 0, 1, 2, ... without gaps within the run.
        event_id: unique over all runs.
        timestamp: seconds since the epoch, when the event was published.
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
    """An agent says what it is about."""

    reasoning: object


class AgentDelta(Event, tag="agent_delta", gc=False):
    """A piece of the answer's text, to be appended to those before it."""

    text: str


class ToolExecuting(Event, tag="tool_executing", gc=False):
    """A tool has been called; a `ToolCompleted` of the same tool follows."""

    tool_name: str
    parameters: object


class ToolCompleted(Event, tag="tool_completed", gc=False):
    """A tool has answered or failed; ``duration`` is in seconds."""

    tool_name: str
    results: object
    duration: float


class AgentCompleted(Event, tag="agent_completed", gc=False):
    """The last event of a run that reached its end."""

    status: str
    final_response: object


class AgentError(Event, tag="agent_error", gc=False):
    """The last event of a run that did not: ``error`` is a short word, ``message`` a sentence for the user."""

    error: str
    message: str


class RunStatus(msgspec.Struct, frozen=True):
    """What the server still holds of one run: events first_seq .. next_seq - 1."""

    run_id: str
    first_seq: int
    next_seq: int
    ended: bool


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """The first frame on every connection.

    A client keeps the epoch: when it meets another one, the server has lost its history and the cursors are void.
    """

    epoch: str
    user_id: str
    connection_id: str
    runs: list[RunStatus]


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap", omit_defaults=True):
    """Events missed_from .. missed_to of a run can no longer be replayed; a gap is announced, never hidden.

    Attributes:
        missed_to: the last missing event, or -1 where the server knows of none.
        reason: ``evicted``, ``epoch``, ``expired`` or ``ahead``.
        status: what became of the run: ``live``, ``ended``, ``lost`` with a server that was restarted, or ``unknown``. After
            the last two nothing more comes.
        detail: the same in a sentence.
        text: all that the run's deltas have said up to ``missed_to``, from its beginning on; "" where they said nothing, or
            too much to be kept.
    """

    run_id: str
    missed_from: int
    missed_to: int
    reason: str
    status: str = ""
    detail: str = ""
    text: str = ""


class Refused(msgspec.Struct, frozen=True, tag_field="type", tag="refused", omit_defaults=True):
    """A message of the client's was not carried out."""

    code: str
    detail: str
    request_id: str | None = None


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong", omit_defaults=True):
    """The answer to a client's ``ping``, with its id."""

    id: str | None = None


class Authenticated(msgspec.Struct, frozen=True, tag_field="type", tag="authenticated"):
    """A newer token of the same user counts from now on, until ``expires_at`` in seconds since the epoch, or for ever."""

    user_id: str
    expires_at: float | None


class Draining(msgspec.Struct, frozen=True, tag_field="type", tag="draining"):
    """The server goes down: it begins no more runs, and lets live ones go on for so many seconds."""

    seconds: float


class Skipped(msgspec.Struct, frozen=True, tag_field="type", tag="skipped"):
    """What a client's reader makes of a frame that it does not know or cannot read; never on the wire.

    Attributes:
        kind: the frame's type, or "" if it has none.
        is_known: whether the reader knows that type, so that the frame itself is wrong.
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
    """Read a frame from a server; what is unknown or wrong is no error, as the protocol grows (docs/protocol.md)."""
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

"""The events of a run and the control messages of a connection, as they stand on the wire.

Every event is one JSON object in one text frame. The fields that clients rely on are those of the original system;
`SCHEMA_VERSION` changes when a field changes its meaning or goes.
"""

from enum import StrEnum

import msgspec

SCHEMA_VERSION = 1


class EventType(StrEnum):
    """The types of event that a run may publish."""

    AGENT_STARTED = "agent_started"
    AGENT_THINKING = "agent_thinking"
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


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """Events missed_from .. missed_to of a run can no longer be replayed; a gap is announced, never hidden."""

    run_id: str
    missed_from: int
    missed_to: int
    reason: str


class Refused(msgspec.Struct, frozen=True, tag_field="type", tag="refused", omit_defaults=True):
    """A message of the client's was not carried out."""

    code: str
    detail: str
    request_id: str | None = None


Incoming = (
    AgentStarted | AgentThinking | ToolExecuting | ToolCompleted | AgentCompleted | AgentError | Hello | Gap | Refused
)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Incoming).decode

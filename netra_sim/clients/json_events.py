"""Where the parts of an event are in its JSON: the settings that ``websocket-json`` and ``sse-json`` share."""

from typing import Any, NamedTuple

import msgspec

from netra_sim.clients.journal import ENDED, FAILED
from netra_sim.clients.protocol import CONTENT_KINDS, ClientProtocol
from netra_sim.clients.templates import at, number_at, text_at
from netra_sim.history import Kind


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition on a received message.

    Attributes:
        path: a dotted path into the message; without one, the event's type is compared, which ``sse-json`` also takes from
            the line ``event:``.
        values: the message matches if the value at the path is one of these; without values, if it has one that is not null.
    """

    path: str = ""
    values: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if not self.path and not self.values:
            raise ValueError('a condition needs a path, values, or both, such as { path = "type", values = ["done"] }')

    def holds(self, message: Any, kind: str) -> bool:
        """Whether a message of a type matches."""
        value = at(message, self.path) if self.path else kind
        if self.values:
            return any(type(value) is type(one) and value == one for one in self.values)
        return value is not msgspec.UNSET and value is not None


class JsonEvent(NamedTuple):
    """What a message says.

    Attributes:
        kind: its type.
        run_id: its run; "" if it names none.
        end: `ENDED` or `FAILED` if it ends the run, else "".
        details: the other parts, as `Journal.received` takes them.
    """

    kind: str
    run_id: str
    end: str
    details: dict[str, Any]


class JsonProtocol(ClientProtocol, frozen=True):
    """A protocol whose events are JSON.

    ``type``, ``run``, ``sequence``, ``thread`` and ``content`` are dotted paths into an event, such as
    ``choices.0.delta.content``; each may be left out.

    Attributes:
        type: where the event's type is.
        run: where the id of the event's run is.
        sequence: where the event's number within its run is.
        thread: where the event's thread is.
        content: where the event's piece of the answer is.
        end: which event ends a run.
        error: which event ends a run that failed.
    """

    type: str = ""
    run: str = ""
    sequence: str = ""
    thread: str = ""
    content: str = ""
    end: Match | msgspec.UnsetType = msgspec.UNSET
    error: Match | msgspec.UnsetType = msgspec.UNSET

    @property
    def kinds(self) -> frozenset[Kind]:
        """See `ClientProtocol.kinds`."""
        return super().kinds | (CONTENT_KINDS if self.content else frozenset())

    @property
    def names_runs(self) -> bool:
        """See `ClientProtocol.names_runs`."""
        return bool(self.run)

    def event(self, message: Any, kind: str) -> JsonEvent:
        """Read a message; ``kind`` is its type if it names none."""
        kind, end = text_at(message, self.type) or kind, ""
        if self.error is not msgspec.UNSET and self.error.holds(message, kind):
            end = FAILED
        elif self.end is not msgspec.UNSET and self.end.holds(message, kind):
            end = ENDED
        details = {
            "seq": number_at(message, self.sequence),
            "thread_id": text_at(message, self.thread),
            "content": text_at(message, self.content),
        }
        return JsonEvent(kind, text_at(message, self.run), end, details)

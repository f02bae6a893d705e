"""The order that events of the Agent-User Interaction Protocol must keep within one stream, without a socket.

The rules are those of the specification of AG-UI 1.0 (docs.ag-ui.com/spec/1.0), lifecycle and event patterns.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class _Part(NamedTuple):
    """What an event does to one of the things that a run opens and closes.

    Attributes:
        thing: what is opened and closed, in words.
        key: the property of the event that names it.
        does: "opens", "extends" or "closes".
    """

    thing: str
    key: str
    does: str


def _parts(thing: str, key: str, opens: str, closes: tuple[str, ...], extends: str = "") -> dict[str, _Part]:
    found = {opens: _Part(thing, key, "opens")} | {one: _Part(thing, key, "closes") for one in closes}
    return found | ({extends: _Part(thing, key, "extends")} if extends else {})


_PARTS: Mapping[str, _Part] = {
    **_parts("message", "messageId", "TEXT_MESSAGE_START", ("TEXT_MESSAGE_END",), "TEXT_MESSAGE_CONTENT"),
    **_parts("tool call", "toolCallId", "TOOL_CALL_START", ("TOOL_CALL_END",), "TOOL_CALL_ARGS"),
    **_parts("reasoning", "messageId", "REASONING_START", ("REASONING_END",)),
    **_parts(
        "reasoning message",
        "messageId",
        "REASONING_MESSAGE_START",
        ("REASONING_MESSAGE_END",),
        "REASONING_MESSAGE_CONTENT",
    ),
    **_parts("step", "stepName", "STEP_STARTED", ("STEP_FINISHED",)),
    **_parts("subagent", "subagentRunId", "SUBAGENT_STARTED", ("SUBAGENT_FINISHED", "SUBAGENT_ERROR")),
}

_CHUNKS: Mapping[str, _Part] = {
    "TEXT_MESSAGE_CHUNK": _Part("message", "messageId", "extends"),
    "TOOL_CALL_CHUNK": _Part("tool call", "toolCallId", "extends"),
    "REASONING_MESSAGE_CHUNK": _Part("reasoning message", "messageId", "extends"),
}
"""Events that stand for opening, extending and closing at once."""


class EventOrder:
    """Follows the events of one stream and says which rules they break.

    Unknown types of events are ignored, and so are timestamps: the order of arrival is the order.

    Args:
        thread_id: of the request; "" if it is not known.
        run_id: of the request; "" if it is not known.

    Attributes:
        run_id: the run that the stream tells of now; "" before the first one.
        is_live: whether that run has begun and not ended.
    """

    def __init__(self, thread_id: str = "", run_id: str = "") -> None:
        self.run_id = ""
        self.is_live = False
        self._thread_id = thread_id
        self._asked_for = run_id
        self._has_begun = False
        self._has_seen_run = not run_id
        self._open: dict[tuple[str, str], None] = {}
        self._chunks: dict[str, str] = {}

    def feed(self, event: Mapping[str, Any]) -> list[str]:
        """The rules that the next event of the stream breaks, in words."""
        kind = str(event.get("type"))
        if kind == "RUN_STARTED":
            return self._start(event)
        if kind == "RUN_ERROR":  # may come at any time: before the run, in it with items open, and late
            self._has_seen_run = self._has_seen_run or not self.is_live
            self._end()
            return []
        if not self._has_begun:
            self._has_begun = self.is_live = True
            self._within(kind, event)
            return [f"the stream opens with {kind} instead of RUN_STARTED or RUN_ERROR"]
        if not self.is_live:
            return [f"{kind} comes after the end of the run"]
        return self._within(kind, event)

    def finish(self) -> list[str]:
        """The rules that the end of the stream breaks; a run that is still live is no such rule, but cut off."""
        if self.run_id and not self._has_seen_run:
            return [f"no RUN_STARTED names the run that was asked for, {self._asked_for}"]
        return []

    def _start(self, event: Mapping[str, Any]) -> list[str]:
        broken = [f"RUN_STARTED comes while the run {self.run_id} is live"] if self.is_live else []
        self._end()
        self.is_live = True
        self.run_id = str(event.get("runId", ""))
        self._has_seen_run = self._has_seen_run or self.run_id == self._asked_for
        return broken + self._check_thread("RUN_STARTED", event)

    def _end(self) -> None:
        self._has_begun = True
        self.is_live = False
        self._open.clear()
        self._chunks.clear()

    def _within(self, kind: str, event: Mapping[str, Any]) -> list[str]:
        if kind == "RUN_FINISHED":
            return self._finish_run(event)
        if kind in _CHUNKS:
            return self._extend_by_chunk(kind, event)
        part = _PARTS.get(kind)
        if part is None:
            return []
        name = str(event.get(part.key, ""))
        is_open = (part.thing, name) in self._open
        if part.does == "opens":
            self._open[part.thing, name] = None
            return [f"{kind} opens the {part.thing} {name}, which is open"] if is_open else []
        if not is_open:
            return [f"{kind} {part.does} the {part.thing} {name}, which is not open"]
        if part.does == "closes":
            del self._open[part.thing, name]
        return []

    def _extend_by_chunk(self, kind: str, event: Mapping[str, Any]) -> list[str]:
        part = _CHUNKS[kind]
        name = event.get(part.key)
        if name:
            self._chunks[part.thing] = str(name)
        elif part.thing not in self._chunks:
            return [f"the first {kind} does not name its {part.thing}"]
        return []

    def _finish_run(self, event: Mapping[str, Any]) -> list[str]:
        broken = [f"RUN_FINISHED comes while the {thing} {name} is open" for thing, name in self._open]
        named = str(event.get("runId", ""))
        if self.run_id and named != self.run_id:
            broken.append(f"RUN_FINISHED names the run {named}, and RUN_STARTED named {self.run_id}")
        broken += self._check_thread("RUN_FINISHED", event)
        outcome = event.get("outcome")
        if isinstance(outcome, Mapping) and outcome.get("type") == "interrupt":
            interrupts = [one.get("id") for one in outcome.get("interrupts") or () if isinstance(one, Mapping)]
            if not interrupts:
                broken.append("RUN_FINISHED interrupts the run and names no interrupt")
            elif len(set(map(str, interrupts))) < len(interrupts):
                broken.append("RUN_FINISHED names two interrupts of one id")
        self._end()
        return broken

    def _check_thread(self, kind: str, event: Mapping[str, Any]) -> list[str]:
        named = event.get("threadId")
        if self._thread_id and named is not None and named != self._thread_id:
            return [f"{kind} names the thread {named}, and the request named {self._thread_id}"]
        return []

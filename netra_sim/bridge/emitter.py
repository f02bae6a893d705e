"""The capability with which one run of one user publishes its events."""

from contextlib import suppress
from threading import get_ident

from netra_sim.bridge.delivery import Delivery
from netra_sim.bridge.payload import room_if_unchanged, plain
from netra_sim.bridge.run_log import Phase, RunLog
from netra_sim.exceptions import BridgeError, PayloadError, RunClosedError
from netra_sim.protocol import (
    AgentCompleted,
    AgentDelta,
    AgentError,
    AgentStarted,
    AgentThinking,
    Event,
    EventType,
    ToolCompleted,
    ToolExecuting,
)

# Names of its own, since looking a member up on an Enum class is slow.
_DELTA = EventType.AGENT_DELTA
_STARTED, _THINKING, _EXECUTING = EventType.AGENT_STARTED, EventType.AGENT_THINKING, EventType.TOOL_EXECUTING
_TOOL_COMPLETED, _COMPLETED, _ERROR = EventType.TOOL_COMPLETED, EventType.AGENT_COMPLETED, EventType.AGENT_ERROR
_PAYLOAD_PATHS: dict[type[Event], tuple[str, ...]] = {
    event_class: tuple(f"$.{name}" for name in event_class.__struct_fields__ if name not in Event.__struct_fields__)
    for event_class in (
        AgentStarted,
        AgentThinking,
        AgentDelta,
        ToolExecuting,
        ToolCompleted,
        AgentCompleted,
        AgentError,
    )
}
"""Where the payload stands in each event, for errors."""


class RunEmitter:
    """Publishes the events of one run to the run's owner, and can address nobody else.

    It is born in the factory, bound to a user and a run; none of its methods has an argument that names either.
    Publishing is synchronous, never waits for a client and never fails because of one. Each method returns the event's
    sequence number and raises:

    * `PayloadError` when the payload cannot be carried: nothing was published, no number was used;
    * `RunClosedError` after the end of the run, or after `close`;
    * `RunOrderError` when the run's life does not allow the event now;
    * `WrongLoopError` outside the bridge's event loop, such as in a thread: nothing was published, and nothing counted. A
      thread publishes with ``loop.call_soon_threadsafe(emitter.agent_thinking, text)``.
    """

    __slots__ = ("__weakref__", "_delivery", "_pieces", "_run")

    def __init__(self, delivery: Delivery, run: RunLog) -> None:
        self._delivery = delivery
        self._run: RunLog | None = run
        self._pieces: list[str] = []

    @property
    def run_id(self) -> str:
        """The run whose events this publishes."""
        return self._open_run.run_id

    @property
    def thread_id(self) -> str:
        """The conversation that the run belongs to."""
        return self._open_run.thread_id

    @property
    def user_id(self) -> str:
        """The owner of the run, to whom all its events go."""
        return self._open_run.user_id

    @property
    def is_open(self) -> bool:
        """Whether an event can still be published."""
        run = self._run
        return run is not None and run.phase is not Phase.ENDED

    @property
    def has_begun(self) -> bool:
        """Whether the run has published its beginning."""
        return self._run is not None and self._run.phase is not Phase.NEW

    def agent_started(self, agent_name: str) -> int:
        """Begin the run."""
        return self._publish(_STARTED, AgentStarted, "", agent_name)

    def agent_thinking(self, reasoning: object) -> int:
        """Tell what the agent is about."""
        return self._publish(_THINKING, AgentThinking, "", reasoning)

    def agent_delta(self, text: str) -> None:
        """Add a piece to the answer's text. The pieces of one turn of the loop go out together, at its end, as one event.

        What is to be redacted is looked for in each event by itself: a secret that falls apart into two is not found.
        """
        delivery, run = self._delivery, self._open_run
        delivery.require_loop()
        try:
            run.admit(_DELTA)
            if type(text) is not str:
                raise PayloadError("$.text", f"must be text, and is a {type(text).__qualname__}")
        except BridgeError as error:
            delivery.refuse(run, _DELTA, error)
            raise
        if text:
            self._pieces.append(text)
            delivery.before_flush(self._publish_pieces)

    def tool_executing(self, tool_name: str, parameters: object) -> int:
        """Tell that a tool has been called, with which parameters."""
        return self._publish(_EXECUTING, ToolExecuting, tool_name, tool_name, parameters)

    def tool_completed(self, tool_name: str, results: object, duration: float) -> int:
        """Tell what a tool that was executing has answered, after how many seconds."""
        return self._publish(_TOOL_COMPLETED, ToolCompleted, tool_name, tool_name, results, duration)

    def agent_completed(self, final_response: object, status: str = "success") -> int:
        """End the run with its answer."""
        return self._publish(_COMPLETED, AgentCompleted, "", status, final_response)

    def agent_error(self, error: str, message: str) -> int:
        """End the run without an answer: a short word for machines, a sentence for the user."""
        return self._publish(_ERROR, AgentError, "", error, message)

    def close(self) -> None:
        """Give the capability up; a run that has begun and not ended ends with ``agent_error`` "abandoned"."""
        run, delivery = self._run, self._delivery
        if run is None:
            return
        delivery.require_loop()
        self._publish_pieces()
        if run.phase is Phase.OPEN:
            self.agent_error("abandoned", "The run was given up before it had reached its end.")
        elif run.phase is Phase.NEW:
            delivery.forget(run)
        self._run = None

    @property
    def _open_run(self) -> RunLog:
        if self._run is None:
            raise RunClosedError("this emitter was closed with the scope of its engine")
        return self._run

    def _publish_pieces(self) -> None:
        """Publish the pieces that wait, in events that are never too large."""
        text, self._pieces = "".join(self._pieces), []
        # A character takes 6 bytes at most, and the rest is for the names.
        most = max(1, self._delivery.event_bytes // 16)
        for start in range(0, len(text), most):
            with suppress(BridgeError):  # Has been counted, and there is nobody to tell.
                self._publish(_DELTA, AgentDelta, "", text[start : start + most])

    def _publish(self, kind: EventType, event_class: type[Event], tool_name: str, *payload: object) -> int:
        delivery, run = self._delivery, self._run
        # Looking for the running loop is slow, so it is done once a turn: before a flush is asked for.
        if get_ident() != delivery.thread or not delivery.dirty:
            delivery.require_loop()
        if run is None:
            run = self._open_run
        if self._pieces:
            self._publish_pieces()
        seq = run.next_seq
        try:
            if (kind is _EXECUTING or kind is _TOOL_COMPLETED) and not (tool_name and type(tool_name) is str):
                raise PayloadError("$.tool_name", f"must be text that is not empty, and is {tool_name!r}")
            if room_if_unchanged(payload, delivery.harmless_names, delivery.event_bytes) <= 0:
                paths, harmless, room = _PAYLOAD_PATHS[event_class], delivery.harmless_names, delivery.event_bytes
                payload = tuple(plain(value, path, harmless, room) for value, path in zip(payload, paths, strict=True))
            event = event_class(
                run.run_id,
                run.thread_id,
                run.user_id,
                seq,
                f"{run.event_prefix}{seq}",
                delivery.wall_clock(),
                *payload,
            )
            return delivery.publish(run, kind, event, tool_name)
        except BridgeError as error:
            delivery.refuse(run, kind, error)
            raise

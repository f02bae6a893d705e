"""`RunEmitter`: the object through which one run publishes its events."""

from contextlib import suppress
from threading import get_ident

from netra_sim.bridge.delivery import Delivery
from netra_sim.bridge.payload import plain, room_if_unchanged
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

# Module globals, because looking up a member on an Enum class is slow.
_DELTA = EventType.AGENT_DELTA
_STARTED, _THINKING, _EXECUTING = EventType.AGENT_STARTED, EventType.AGENT_THINKING, EventType.TOOL_EXECUTING
_TOOL_COMPLETED, _COMPLETED, _ERROR = EventType.TOOL_COMPLETED, EventType.AGENT_COMPLETED, EventType.AGENT_ERROR
_PAYLOAD_PATHS: dict[type[Event], tuple[str, ...]] = {
    event_class: tuple(f"$.{name}" for name in event_class.__struct_fields__ if name not in Event.__struct_fields__)
    for event_class in Event.__subclasses__()
}
"""The paths of the payload fields of each event class, for error messages."""


class RunEmitter:
    """Publishes the events of one run to the run's owner, and to no other user.

    The factory makes an emitter for each run. It is bound to the run and its owner, and no method takes an argument that
    names either. Publishing is synchronous; it never waits for a client, and never fails because of one. Each method returns
    the sequence number of its event (`agent_delta` returns None) and raises:

    * `PayloadError` if the payload cannot be encoded: nothing was published, and no sequence number was used;
    * `RunClosedError` after the end of the run, or after `close`;
    * `RunOrderError` if the event is out of order, such as a second ``agent_started``;
    * `WrongLoopError` outside the bridge's event loop, such as in a thread: nothing was published or counted. A thread
      publishes with ``loop.call_soon_threadsafe(emitter.agent_thinking, text)``.
    """

    __slots__ = ("__weakref__", "_delivery", "_pieces", "_run")

    def __init__(self, delivery: Delivery, run: RunLog) -> None:
        self._delivery = delivery
        self._run: RunLog | None = run
        self._pieces: list[str] = []

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._open_run.run_id

    @property
    def thread_id(self) -> str:
        """The conversation of the run."""
        return self._open_run.thread_id

    @property
    def user_id(self) -> str:
        """The owner of the run, who receives all its events."""
        return self._open_run.user_id

    @property
    def is_open(self) -> bool:
        """Whether the run can still publish events."""
        run = self._run
        return run is not None and run.phase is not Phase.ENDED

    @property
    def has_begun(self) -> bool:
        """Whether the run has published ``agent_started``."""
        return self._run is not None and self._run.phase is not Phase.NEW

    def agent_started(self, agent_name: str) -> int:
        """Begin the run."""
        return self._publish(_STARTED, AgentStarted, "", agent_name)

    def agent_thinking(self, reasoning: object) -> int:
        """Say what the agent is doing."""
        return self._publish(_THINKING, AgentThinking, "", reasoning)

    def agent_delta(self, text: str) -> None:
        """Add a piece to the answer's text. All pieces of one turn of the loop are published together, at its end.

        Redaction looks at each event separately, so it misses a secret that is split over two events.
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
        """Say that the agent called a tool, and with which parameters."""
        return self._publish(_EXECUTING, ToolExecuting, tool_name, tool_name, parameters)

    def tool_completed(self, tool_name: str, results: object, duration: float) -> int:
        """Say what an executing tool returned, and after how many seconds."""
        return self._publish(_TOOL_COMPLETED, ToolCompleted, tool_name, tool_name, results, duration)

    def agent_completed(self, final_response: object, status: str = "success") -> int:
        """End the run with its answer."""
        return self._publish(_COMPLETED, AgentCompleted, "", status, final_response)

    def agent_error(self, error: str, message: str) -> int:
        """End the run without an answer: ``error`` is a word for programs, ``message`` a sentence for the user."""
        return self._publish(_ERROR, AgentError, "", error, message)

    def close(self) -> None:
        """Publish nothing more. A run that has begun and not ended ends with ``agent_error`` "abandoned"."""
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
        """Publish the pieces that wait, split into events within the size limit."""
        text, self._pieces = "".join(self._pieces), []
        # A character takes at most 6 bytes of JSON; the rest is for the other fields.
        most = max(1, self._delivery.event_bytes // 16)
        for start in range(0, len(text), most):
            with suppress(BridgeError):  # The refusal is counted, and no caller waits for it.
                self._publish(_DELTA, AgentDelta, "", text[start : start + most])

    def _publish(self, kind: EventType, event_class: type[Event], tool_name: str, *payload: object) -> int:
        delivery, run = self._delivery, self._run
        # Looking up the running loop is slow, so it is done once a turn: before the flush is requested.
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

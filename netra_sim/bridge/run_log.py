"""`RunLog`: one run in the bridge, with its owner, its sequence numbers, the order of its events and its replay buffer."""

from collections import deque
from enum import Enum, auto

import msgspec

from netra_sim.exceptions import RunClosedError, RunOrderError
from netra_sim.protocol import AgentDelta, EventType, RunStatus


class Phase(Enum):
    """The phases of a run: before ``agent_started``, until the last event, and after it."""

    NEW = auto()
    OPEN = auto()
    ENDED = auto()


# Module globals: looking up a member on an Enum class takes longer than everything else here.
_OPEN, _ENDED = Phase.OPEN, Phase.ENDED
_THINKING, _ANSWERED, _FAILED = EventType.AGENT_THINKING, EventType.AGENT_COMPLETED, EventType.AGENT_ERROR
_DELTA = EventType.AGENT_DELTA
_read_delta = msgspec.json.Decoder(AgentDelta).decode
_STARTED, _EXECUTING, _COMPLETED = EventType.AGENT_STARTED, EventType.TOOL_EXECUTING, EventType.TOOL_COMPLETED


class OutgoingFrame(msgspec.Struct, frozen=True, gc=False):
    """An encoded frame, kept for replay and queued in outboxes. A control message has no run and no user.

    The garbage collector does not track it (``gc=False``), so it must not refer to anything that can refer back to it.
    """

    data: bytes
    user_id: str | None = None
    run_id: str = ""
    event: str = ""
    seq: int = -1


class RunLog:
    """The numbered events of one run, bounded in number and in bytes.

    The last event is always kept, so that a client that returns late learns how the run ended. The text of dropped deltas is
    kept too, up to `max_bytes`, so that this client can show the whole answer.

    Attributes:
        user_id: the owner, fixed when the run was opened; it alone decides who receives the events.
        is_observed: whether the observer and the counters see the run.
        next_seq: the sequence number of the next event.
        frame_bytes: the bytes of the events kept for replay.
        dropped_text: the text of all dropped deltas; None once it was too long to keep.
        ended_at: when the run ended, in seconds of the loop's clock; None while it is live.
    """

    __slots__ = (
        "__weakref__", "_frames", "_tools", "dropped_text", "ended_at", "event_prefix", "frame_bytes", "is_observed",
        "max_bytes", "max_frames", "next_seq", "phase", "run_id", "thread_id", "user_id",
    )  # fmt: skip

    def __init__(
        self, user_id: str, thread_id: str, run_id: str, max_frames: int, max_bytes: int, *, is_observed: bool = True
    ) -> None:
        self.user_id = user_id
        self.thread_id = thread_id
        self.run_id = run_id
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.is_observed = is_observed
        self.event_prefix = run_id + ":"
        self.next_seq = 0
        self.phase = Phase.NEW
        self.ended_at: float | None = None
        self.frame_bytes = 0
        self.dropped_text: str | None = ""
        self._frames: deque[OutgoingFrame] = deque()
        self._tools: dict[str, int] = {}

    @property
    def first_seq(self) -> int:
        """The sequence number of the oldest event that is still kept."""
        return self.next_seq - len(self._frames)

    @property
    def held_bytes(self) -> int:
        """The size of what is kept for replay: the bytes of the events, and the characters of the dropped text."""
        return self.frame_bytes + len(self.dropped_text or "")

    @property
    def status(self) -> RunStatus:
        """The status of the run in a `Hello`."""
        return RunStatus(self.run_id, self.first_seq, self.next_seq, self.phase is Phase.ENDED)

    def admit(self, event: EventType, tool_name: str = "") -> None:
        """Check that the run can publish this event now.

        Raises:
            RunClosedError: the run has ended.
            RunOrderError: the run has not begun, begins twice, or completes a tool that is not executing.
        """
        phase = self.phase
        if phase is _OPEN:
            if event is _STARTED:
                raise RunOrderError(f"run {self.run_id!r} has already begun; agent_started is its first event only")
            if event is _COMPLETED and not self._tools.get(tool_name):
                raise RunOrderError(
                    f"run {self.run_id!r} has no tool {tool_name!r} executing; publish tool_executing first"
                )
        elif phase is _ENDED:
            raise RunClosedError(
                f"run {self.run_id!r} has ended with event {self.next_seq - 1}; {event} comes too late"
            )
        elif event is not _STARTED:
            raise RunOrderError(f"run {self.run_id!r} has not begun; its first event is agent_started, not {event}")

    def append(self, event: EventType, data: bytes, size: int, tool_name: str) -> OutgoingFrame:
        """Store an admitted event with the number `next_seq`, and update the phase and the executing tools."""
        if event is _THINKING:
            pass
        elif tool_name:
            if event is _EXECUTING:
                self._tools[tool_name] = self._tools.get(tool_name, 0) + 1
            else:
                self._tools[tool_name] -= 1
        elif event is _ANSWERED or event is _FAILED:
            self.phase = _ENDED
            self._tools.clear()
        elif event is _STARTED:
            self.phase = _OPEN
        seq = self.next_seq
        self.next_seq = seq + 1
        frames = self._frames
        frame = OutgoingFrame(data, self.user_id, self.run_id, event, seq)
        frames.append(frame)
        held = self.frame_bytes + size
        while (held > self.max_bytes or len(frames) > self.max_frames) and len(frames) > 1:
            held -= self._drop()
        self.frame_bytes = held
        return frame

    def shed(self, excess: int) -> int:
        """Drop the oldest events until ``excess`` bytes are free or one event is left; return the bytes freed."""
        before = self.held_bytes
        while before - self.held_bytes < excess and len(self._frames) > 1:
            self.frame_bytes -= self._drop()
        return before - self.held_bytes

    def _drop(self) -> int:
        """Drop the oldest event; return its size in bytes."""
        frame = self._frames.popleft()
        if frame.event is _DELTA and self.dropped_text is not None:
            text = self.dropped_text + _read_delta(frame.data).text
            self.dropped_text = text if len(text) <= self.max_bytes else None
        return len(frame.data)

    def frame(self, seq: int) -> OutgoingFrame:
        """The event with this number, which must be in first_seq .. next_seq - 1."""
        return self._frames[seq - self.first_seq]

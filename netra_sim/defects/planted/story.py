"""Small histories written by hand: users, runs and what goes wrong, without a runtime."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import nan
from types import MappingProxyType
from typing import Self

from netra_sim.history import (
    ASYNCIO_REPLACED,
    CONTEXTS_READ,
    ENGINES_COMPARED,
    LOOP_STEPS,
    MOST_UNSENT_BYTES,
    REPLAY_BYTES,
    History,
)
from netra_sim.recording import Recorder

EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
"""The events of an ordinary run, in order."""

CLEAN_GAUGES: Mapping[str, float] = MappingProxyType(
    {
        ASYNCIO_REPLACED: 0,
        CONTEXTS_READ: 10,
        LOOP_STEPS: 100,
        ENGINES_COMPARED: 2,
        REPLAY_BYTES: 1_000,
        MOST_UNSENT_BYTES: 1_000,
    }
)
"""The gauges of a clean process."""


class Story:
    """Writes a history, one run after the other.

    `run` and `end` write the usual records; write any others to `recorder`. `now` is the clock, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)

    def run(
        self,
        user: str = "alice",
        run: str = "alice.1",
        events: Sequence[str] = EVENTS,
        *,
        delay: float = 0.01,
        drop: Collection[int] = (),
        receiver: str | None = None,
        subject: str | None = None,
        thread: str | None = None,
        pauses: Mapping[int, float] = MappingProxyType({}),
        stamp: Callable[[int, float], float] = lambda _, now: now,
    ) -> Self:
        """Write one run, with half a second before each event.

        Args:
            user: who asks.
            run: the run's id.
            events: the published ones.
            delay: seconds from publishing to arrival.
            drop: numbers of the events that are published and never sent.
            receiver: who receives the events, if not the user.
            subject: the user in the mark of the events, if not the user; "" for no mark.
            thread: the thread of the events, if not that of the request.
            pauses: for the number of an event, additional seconds before it.
            stamp: makes the event's timestamp from its number and the time.
        """
        recorder, reader = self.recorder, receiver or user
        connection = f"{reader}/0"
        recorder.connected(connection, reader)
        asked, thread = f"{user}-thread", thread or f"{user}-thread"
        recorder.requested(run, user, self.now, asked)
        recorder.scope_opened(run, user)
        tool_began = self.now
        for seq, event in enumerate(events):
            self.now += 0.5 + pauses.get(seq, 0.0)
            tool_took = self.now - tool_began
            tool_began = self.now if event == "tool_executing" else tool_began
            recorder.published(run, user, event, seq, thread)
            if seq in drop:
                continue
            recorder.sent(connection, reader, run, event, seq)
            self.now += delay
            recorder.received(
                *(connection, reader, run, event, seq),
                subject=user if subject is None else subject,
                timestamp=stamp(seq, self.now),
                thread_id=thread,
                duration=tool_took if event == "tool_completed" else nan,
            )
            if event == "agent_completed":
                recorder.answered(run, reader, "complete")
        recorder.scope_closed(run, user, {})
        return self

    def end(self) -> History:
        """The finished history, with one fault and the gauges of a clean process added."""
        self.recorder.fault_began("a slow disk")
        self.now += 1.0
        self.recorder.fault_ended("a slow disk", 1)
        for gauge, value in CLEAN_GAUGES.items():
            self.recorder.sample(gauge, value)
        self.recorder.left_over("tasks", 0)
        return self.recorder.finish({"engines_per_user": 2, "unsent_bytes": 100_000})

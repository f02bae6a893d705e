"""Histories told by hand: users, runs and what goes wrong with them, without a runtime that makes them."""

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
"""What the probes of a clean process say."""


class Story:
    """Tells a history, one user and run after the other.

    What `run` and `end` do not tell goes to `recorder` directly; `now` is the story's clock, in seconds.
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
        """Tell one run, half a second for each event.

        Args:
            user: who asks.
            run: the run's id.
            events: that are published.
            delay: seconds from publishing to client.
            drop: numbers of the events that are published and never sent.
            receiver: who gets the events, if not the user.
            subject: whose mark the events carry, if not the user's; "" for none.
            thread: the conversation that the events bear, if not the one that was asked for.
            pauses: by the number of an event, seconds that pass before it.
            stamp: from the number of an event and the time, the event's own timestamp.
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
        """The history, with a fault that passes and with what the probes of a clean process say."""
        self.recorder.fault_began("a slow disk")
        self.now += 1.0
        self.recorder.fault_ended("a slow disk", 1)
        for gauge, value in CLEAN_GAUGES.items():
            self.recorder.sample(gauge, value)
        self.recorder.left_over("tasks", 0)
        return self.recorder.finish({"engines_per_user": 2, "unsent_bytes": 100_000})

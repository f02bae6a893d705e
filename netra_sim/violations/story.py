"""Histories told by hand: users, runs and what goes wrong with them, without a runtime that makes them."""

from collections.abc import Collection, Sequence
from typing import Self

from netra_sim.history import (
    ASYNCIO_REPLACED,
    CONTEXTS_READ,
    ENGINES_PROBED,
    LOOP_STEPS,
    REPLAY_BYTES,
    History,
    Recorder,
)

EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
"""The events of an ordinary run, in order."""


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
    ) -> Self:
        """Tell one run, half a second for each event.

        Args:
            user: who asks.
            run: the run's id.
            events: that are published.
            delay: seconds from publishing to client.
            drop: numbers of the events that are published and never sent.
            receiver: who gets the events, if not the user.
            subject: whose data the events carry, if not the user's.
        """
        recorder, reader = self.recorder, receiver or user
        connection = f"{reader}/0"
        recorder.connected(connection, reader)
        recorder.requested(run, user, self.now)
        recorder.scope_opened(run, user)
        for seq, event in enumerate(events):
            self.now += 0.5
            recorder.published(run, user, event, seq)
            if seq in drop:
                continue
            recorder.sent(connection, reader, run, event, seq)
            self.now += delay
            recorder.received(connection, reader, run, event, seq, subject=subject or user, timestamp=self.now)
        recorder.scope_closed(run, user, {})
        return self

    def end(self) -> History:
        """The history, with a fault that passes and with what the probes of a clean process say."""
        self.recorder.fault_began("a slow disk")
        self.now += 1.0
        self.recorder.fault_ended("a slow disk")
        for gauge, value in ((ASYNCIO_REPLACED, 0), (CONTEXTS_READ, 10), (LOOP_STEPS, 100), (ENGINES_PROBED, 2)):
            self.recorder.sample(gauge, value)
        self.recorder.sample(REPLAY_BYTES, 1_000)
        self.recorder.left_over("tasks", 0)
        return self.recorder.finish({"engines_per_user": 2})

"""Histories told by hand: users, runs and what goes wrong with them; and what the checks say of them."""

from netra_sim import Objectives, check
from netra_sim.history import ASYNCIO_REPLACED, CONTEXTS_READ, ENGINES_PROBED, LOOP_STEPS, REPLAY_BYTES, Recorder

EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")


class Story:
    """Tells a history, one user and run after the other; `told` may leave out or change what it likes."""

    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)

    def run(self, user="alice", run="alice.1", events=EVENTS, *, delay=0.01, drop=(), receiver=None, subject=None):
        recorder = self.recorder
        connection = f"{receiver or user}/0"
        recorder.connected(connection, receiver or user)
        recorder.requested(run, user, self.now)
        recorder.scope_opened(run, user)
        for seq, event in enumerate(events):
            self.now += 0.5
            recorder.published(run, user, event, seq)
            if seq in drop:
                continue
            recorder.sent(connection, receiver or user, run, event, seq)
            self.now += delay
            recorder.received(
                connection, receiver or user, run, event, seq, subject=subject or user, timestamp=self.now
            )
        recorder.scope_closed(run, user, {})
        return self

    def end(self):
        self.recorder.fault_began("a slow disk")
        self.now += 1.0
        self.recorder.fault_ended("a slow disk")
        for gauge, value in ((ASYNCIO_REPLACED, 0), (CONTEXTS_READ, 10), (LOOP_STEPS, 100), (ENGINES_PROBED, 2)):
            self.recorder.sample(gauge, value)
        self.recorder.sample(REPLAY_BYTES, 1_000)
        self.recorder.left_over("tasks", 0)
        return self.recorder.finish({"engines_per_user": 2})


def states(history, **objectives):
    return {result.check: result.state for result in check(history, Objectives(**objectives))}


def result_of(history, name, **objectives):
    return next(result for result in check(history, Objectives(**objectives)) if result.check == name)

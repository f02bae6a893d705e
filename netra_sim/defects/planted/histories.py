"""For each check one small told history with the defect that it is for, and the same history without it.

A report holds every check against both, so that a check that has gone blind, or that accuses everything, is known for it.
"""

from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter

import msgspec

from netra_sim.defects.planted.story import EVENTS, Story
from netra_sim.history import ASYNCIO_REPLACED, LOOP_STEPS, MOST_UNSENT_BYTES, REPLAY_BYTES, History, Objectives
from netra_sim.recording import CONTEXT_MARK
from netra_sim.registry import Registry

Tell = Callable[[bool], Story]
"""Tells the history, with the defect or without it."""


class PlantedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A history with one defect.

    Attributes:
        check: the name of the check that must find it.
        defect: what is wrong, in a sentence.
        tell: tells it.
        objectives: that both histories are held against.
    """

    check: str
    defect: str
    tell: Tell
    objectives: Objectives

    def planted(self) -> History:
        """The history with the defect."""
        return self.tell(True).end()

    def clean(self) -> History:
        """Its twin without it."""
        return self.tell(False).end()


_OWN: list[PlantedHistory] = []


def planted_history(check: str, *, objectives: Objectives | None = None) -> Callable[[Tell], Tell]:
    """Register the decorated function as what tells a check's history, with its docstring as the defect."""

    def register(tell: Tell) -> Tell:
        defect = (tell.__doc__ or "").strip()
        _OWN.append(PlantedHistory(check=check, defect=defect, tell=tell, objectives=objectives or Objectives()))
        return tell

    return register


def two_users() -> Story:
    """Two users with a run each, and nothing wrong."""
    return Story().run().run("bob", "bob.1")


def users(count: int, *, delay: float = 0.01) -> Story:
    """So many users with a run each, whose events take so many seconds, and nothing else wrong."""
    story = Story()
    for number in range(count):
        story.run(f"user-{number}", f"user-{number}.1", delay=delay)
    return story


@planted_history("cross-user-isolation")
def _(is_planted: bool) -> Story:
    """Carol receives an event of Alice's run."""
    story = two_users()
    if is_planted:
        story.recorder.sent("carol/0", "carol", "alice.1", EVENTS[0], 0)
        story.recorder.received("carol/0", "carol", "alice.1", EVENTS[0], 0, subject="carol", timestamp=9.0)
    return story


@planted_history("connection-isolation")
def _(is_planted: bool) -> Story:
    """One connection has two users."""
    story = two_users()
    if is_planted:
        story.recorder.connected("alice/0", "bob")
    return story


@planted_history("content-isolation")
def _(is_planted: bool) -> Story:
    """Alice's events carry Bob's data."""
    return Story().run(subject="bob" if is_planted else None).run("bob", "bob.1")


@planted_history("context-isolation")
def _(is_planted: bool) -> Story:
    """Carol's run works in Bob's context."""
    story = two_users()
    context = copy_context()
    context.run(CONTEXT_MARK.set, "bob" if is_planted else "carol")
    context.run(story.run, "carol", "carol.1")
    return story


@planted_history("shared-state")
def _(is_planted: bool) -> Story:
    """The engines of two users share a dictionary."""
    story = two_users()
    if is_planted:
        story.recorder.shared("alice", "bob", "dict")
    return story


@planted_history("liveness")
def _(is_planted: bool) -> Story:
    """One run waits for another one for ever."""
    story = two_users()
    if is_planted:
        story.recorder.stuck("deadlock", "alice waits for bob")
    return story


@planted_history("critical-events")
def _(is_planted: bool) -> Story:
    """A run has no agent_thinking."""
    return Story().run().run("bob", "bob.1", (EVENTS[0], *EVENTS[2:]) if is_planted else EVENTS)


@planted_history("every-run-ends", objectives=Objectives(completed=0.5))
def _(is_planted: bool) -> Story:
    """A request is never answered."""
    story = two_users()
    story.recorder.fault_began("something that goes on")
    if is_planted:
        story.recorder.requested("alice.2", "alice", 0.0)
    return story


@planted_history("delivery")
def _(is_planted: bool) -> Story:
    """One event of five never reaches its owner."""
    return Story().run(drop=(2,) if is_planted else ()).run("bob", "bob.1")


@planted_history("truthfulness")
def _(is_planted: bool) -> Story:
    """An event counts as sent and never arrives."""
    story = two_users()
    if is_planted:
        story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[0], 9)
    return story


@planted_history("nothing-left")
def _(is_planted: bool) -> Story:
    """A connection is left after the shutdown."""
    story = two_users()
    story.recorder.left_over("connections", int(is_planted))
    return story


@planted_history("engine-limit")
def _(is_planted: bool) -> Story:
    """A user has three engines at once, and may have two."""
    story = two_users()
    recorder, engines = story.recorder, [f"alice.1{number}" for number in range(3 if is_planted else 2)]
    for run in engines:
        recorder.requested(run, "alice", story.now)
        recorder.scope_opened(run, "alice")
    for run in engines:
        for seq, event in enumerate(EVENTS):
            recorder.published(run, "alice", event, seq)
            recorder.sent("alice/0", "alice", run, event, seq)
            recorder.received("alice/0", "alice", run, event, seq, subject="alice", timestamp=story.now)
        recorder.scope_closed(run, "alice", {})
    return story


@planted_history("timestamps")
def _(is_planted: bool) -> Story:
    """The events of a run are stamped in the wrong order."""
    return two_users().run("carol", "carol.1", stamp=lambda seq, now: 100.0 - seq if is_planted else now)


@planted_history("memory", objectives=Objectives(replay_bytes=100_000.0))
def _(is_planted: bool) -> Story:
    """The bridge holds twice as many bytes as it may."""
    story = two_users()
    story.recorder.sample(REPLAY_BYTES, 200_000 if is_planted else 50_000)
    return story


@planted_history("asyncio-untouched")
def _(is_planted: bool) -> Story:
    """One of asyncio's functions is another one."""
    story = two_users()
    story.recorder.sample(ASYNCIO_REPLACED, int(is_planted))
    return story


@planted_history("idle-cost")
def _(is_planted: bool) -> Story:
    """The event loop takes a million steps for a handful of events."""
    story = two_users()
    story.recorder.sample(LOOP_STEPS, 1e6 if is_planted else 50)
    return story


@planted_history("latency", objectives=Objectives(recovery=60.0))
def _(is_planted: bool) -> Story:
    """Every event takes half as long again as it may."""
    return users(20, delay=0.15 if is_planted else 0.05)


@planted_history("completion")
def _(is_planted: bool) -> Story:
    """One run of two ends with an error."""
    return Story().run().run("bob", "bob.1", (EVENTS[0], "agent_error") if is_planted else EVENTS)


@planted_history("refusals", objectives=Objectives(completed=0.5))
def _(is_planted: bool) -> Story:
    """One request of three is refused."""
    story = two_users()
    if is_planted:
        story.recorder.requested("bob.2", "bob", 0.0)
        story.recorder.refused("bob.2", "bob", "no")
    return story


@planted_history("recovery")
def _(is_planted: bool) -> Story:
    """A user is back six seconds after an outage, and should be after five."""
    story = two_users()
    story.recorder.fault_began("outage")
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.fault_ended("outage")
    story.now += 6.0 if is_planted else 1.0
    story.recorder.connected("alice/1", "alice")
    return story


@planted_history("thread-isolation")
def _(is_planted: bool) -> Story:
    """The events of a run bear the thread of another conversation."""
    return two_users().run("carol", "carol.1", thread="another-thread" if is_planted else None)


@planted_history("scopes")
def _(is_planted: bool) -> Story:
    """A request is carried out twice."""
    story = two_users()
    if is_planted:
        story.recorder.scope_opened("bob.1", "bob")
        story.recorder.scope_closed("bob.1", "bob", {})
    return story


@planted_history("tools")
def _(is_planted: bool) -> Story:
    """A tool never completes."""
    events = (*EVENTS[:4], "tool_executing", *(() if is_planted else ("tool_completed",)), EVENTS[4])
    return Story().run().run("bob", "bob.1", events)


@planted_history("answers")
def _(is_planted: bool) -> Story:
    """An answer is cut short."""
    story = two_users()
    story.recorder.answered("alice.1", "alice", "truncated" if is_planted else "complete")
    return story


@planted_history("silence", objectives=Objectives(recovery=600.0))
def _(is_planted: bool) -> Story:
    """A user waits for two minutes without a sign."""
    return Story().run(pauses={3: 120.0 if is_planted else 1.0}).run("bob", "bob.1")


@planted_history("unhandled-errors")
def _(is_planted: bool) -> Story:
    """A task fails, and nobody looks at its error."""
    story = two_users()
    if is_planted:
        story.recorder.loop_error("ZeroDivisionError", "Task exception was never retrieved")
    return story


@planted_history("unsent-bytes")
def _(is_planted: bool) -> Story:
    """Two hundred kilobytes wait on one connection, and half of that may."""
    story = two_users()
    story.recorder.sample(MOST_UNSENT_BYTES, 200_000 if is_planted else 50_000)
    return story


@planted_history("faults-acted")
def _(is_planted: bool) -> Story:
    """A fault hits nobody."""
    story = two_users()
    story.recorder.fault_began("a slow network")
    story.recorder.fault_ended("a slow network", 0 if is_planted else 2)
    return story


PLANTED_HISTORIES: Registry[PlantedHistory] = Registry(
    "netra_sim.planted_histories", _OWN, kind=PlantedHistory, name_of=attrgetter("check")
)
"""By the name of the check that each is for, those of other packages included."""

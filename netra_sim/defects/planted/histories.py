"""For each check one small history with a defect that it must find, and the same history without the defect.

A report runs every check on both, which reveals a check that finds nothing, or that accuses everything.
"""

from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter

import msgspec

from netra_sim.defects.planted.foreign import ForeignStory
from netra_sim.defects.planted.story import EVENTS, Story
from netra_sim.history import ASYNCIO_REPLACED, LOOP_STEPS, MOST_UNSENT_BYTES, REPLAY_BYTES, History, Objectives
from netra_sim.recording import CONTEXT_MARK
from netra_sim.registry import Registry

Build = Callable[[bool], Story | ForeignStory]
"""Builds the history: with the defect for True, without it for False."""


class PlantedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A history with one defect.

    Attributes:
        check: the name of the check that must find it.
        defect: what is wrong, in a sentence.
        build: builds the history.
        objectives: for both histories.
    """

    check: str
    defect: str
    build: Build
    objectives: Objectives

    def planted(self) -> History:
        """The history with the defect."""
        return self.build(True).end()

    def clean(self) -> History:
        """The same history without the defect."""
        return self.build(False).end()


_OWN: list[PlantedHistory] = []


def planted_history(check: str, *, objectives: Objectives | None = None) -> Callable[[Build], Build]:
    """Register the decorated function as the builder of a check's history; its docstring describes the defect."""

    def register(build: Build) -> Build:
        defect = (build.__doc__ or "").strip()
        _OWN.append(PlantedHistory(check=check, defect=defect, build=build, objectives=objectives or Objectives()))
        return build

    return register


def two_users() -> Story:
    """Two users with one run each, and nothing wrong."""
    return Story().run().run("bob", "bob.1")


def users(count: int, *, delay: float = 0.01) -> Story:
    """``count`` users with one run each; every event takes ``delay`` seconds, and nothing else is wrong."""
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
    """One connection belongs to two users."""
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
    """One run waits forever for another."""
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
    """A user has three engines at once; two are allowed."""
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
    """The bridge keeps twice as many bytes for replay as allowed."""
    story = two_users()
    story.recorder.sample(REPLAY_BYTES, 200_000 if is_planted else 50_000)
    return story


@planted_history("asyncio-untouched")
def _(is_planted: bool) -> Story:
    """An asyncio function is replaced for the whole process."""
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
    """Every event takes one and a half times as long as allowed."""
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
    """A user is back six seconds after an outage; five are allowed."""
    story = two_users()
    story.recorder.fault_began("outage")
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.fault_ended("outage")
    story.now += 6.0 if is_planted else 1.0
    story.recorder.connected("alice/1", "alice")
    return story


@planted_history("thread-isolation")
def _(is_planted: bool) -> Story:
    """The events of a run carry the thread of another conversation."""
    return two_users().run("carol", "carol.1", thread="another-thread" if is_planted else None)


@planted_history("scopes")
def _(is_planted: bool) -> Story:
    """Two scopes are opened for one request."""
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
    """A user receives no event for two minutes during a run."""
    return Story().run(pauses={3: 120.0 if is_planted else 1.0}).run("bob", "bob.1")


@planted_history("unhandled-errors")
def _(is_planted: bool) -> Story:
    """A task fails, and no code handles its error."""
    story = two_users()
    if is_planted:
        story.recorder.loop_error("ZeroDivisionError", "Task exception was never retrieved")
    return story


@planted_history("unsent-bytes")
def _(is_planted: bool) -> Story:
    """200,000 bytes wait on one connection, twice as many as allowed."""
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


@planted_history("event-order")
def _(is_planted: bool) -> ForeignStory:
    """A run ends while one of its messages is open."""
    story = ForeignStory().run().run("bob", "bob.1")
    if is_planted:
        story.recorder.out_of_order("bob.1", "bob", "bob.1", "RUN_FINISHED", "a message is open when the run ends")
    return story


@planted_history("tokens")
def _(is_planted: bool) -> ForeignStory:
    """A token of an answer comes twice."""
    story = ForeignStory().run().run("bob", "bob.1")
    if is_planted:
        story.recorder.repeated("bob.1", "bob", "bob.1", "TEXT_MESSAGE_CONTENT", 3)
    return story


@planted_history("disclosure")
def _(is_planted: bool) -> ForeignStory:
    """The text of an exception in the model reaches a user."""
    story = ForeignStory().run().run("bob", "bob.1")
    if is_planted:
        story.recorder.disclosed("bob.1", "bob", "bob.1", "RUN_ERROR", "an exception of the model")
    return story


@planted_history("work-after-leaving")
def _(is_planted: bool) -> ForeignStory:
    """The model makes tokens for ten seconds after its only reader has left."""
    return ForeignStory().run().run("bob", "bob.1", leaves_after=3, works_on=50 if is_planted else 2)


PLANTED_HISTORIES: Registry[PlantedHistory] = Registry(
    "netra_sim.planted_histories", _OWN, kind=PlantedHistory, name_of=attrgetter("check")
)
"""The planted histories by the names of their checks, including those of other packages."""

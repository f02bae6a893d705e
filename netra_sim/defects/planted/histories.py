"""For each check one small history with a defect that it must find, and the same history without the defect.

A report runs every check on both, which reveals a check that finds nothing, or that accuses everything.
"""

from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter
from typing import TypeVar

import msgspec

from netra_sim.defects.planted.foreign import ForeignStory
from netra_sim.defects.planted.story import EVENTS, Story
from netra_sim.history import ASYNCIO_REPLACED, LOOP_STEPS, MOST_UNSENT_BYTES, REPLAY_BYTES, History, Objectives
from netra_sim.recording import CONTEXT_MARK
from netra_sim.registry import Registry

S = TypeVar("S", Story, ForeignStory)

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


def two_users() -> Story:
    """Two users with one run each, and nothing wrong."""
    return Story().run().run("bob", "bob.1")


def _two_foreign_users() -> ForeignStory:
    """The same with a system of other people."""
    return ForeignStory().run().run("bob", "bob.1")


def users(count: int, *, delay: float = 0.01, story: Story | None = None) -> Story:
    """Add ``count`` users with one run each to a story; every event takes ``delay`` seconds, and nothing else is wrong."""
    story = story or Story()
    for number in range(count):
        story.run(f"user-{number}", f"user-{number}.1", delay=delay)
    return story


def planted_history(
    check: str, begin: Callable[[], S], *, objectives: Objectives | None = None
) -> Callable[[Callable[[S, bool], None]], None]:
    """Register the decorated function, which goes on with a story, as that of a check; its docstring describes the defect.

    Args:
        check: the name of the check that must find the defect.
        begin: makes the story so far.
        objectives: for both histories.
    """

    def register(go_on: Callable[[S, bool], None]) -> None:
        def build(is_planted: bool) -> S:
            story = begin()
            go_on(story, is_planted)
            return story

        defect = (go_on.__doc__ or "").strip()
        _OWN.append(PlantedHistory(check=check, defect=defect, build=build, objectives=objectives or Objectives()))

    return register


@planted_history("cross-user-isolation", two_users)
def _(story: Story, is_planted: bool) -> None:
    """Carol receives an event of Alice's run."""
    if is_planted:
        story.recorder.sent("carol/0", "carol", "alice.1", EVENTS[0], 0)
        story.recorder.received("carol/0", "carol", "alice.1", EVENTS[0], 0, subject="carol", timestamp=9.0)


@planted_history("connection-isolation", two_users)
def _(story: Story, is_planted: bool) -> None:
    """One connection belongs to two users."""
    if is_planted:
        story.recorder.connected("alice/0", "bob")


@planted_history("content-isolation", Story)
def _(story: Story, is_planted: bool) -> None:
    """Alice's events carry Bob's data."""
    story.run(subject="bob" if is_planted else None).run("bob", "bob.1")


@planted_history("context-isolation", two_users)
def _(story: Story, is_planted: bool) -> None:
    """Carol's run works in Bob's context."""
    context = copy_context()
    context.run(CONTEXT_MARK.set, "bob" if is_planted else "carol")
    context.run(story.run, "carol", "carol.1")


@planted_history("shared-state", two_users)
def _(story: Story, is_planted: bool) -> None:
    """The engines of two users share a dictionary."""
    if is_planted:
        story.recorder.shared("alice", "bob", "dict")


@planted_history("liveness", two_users)
def _(story: Story, is_planted: bool) -> None:
    """One run waits forever for another."""
    if is_planted:
        story.recorder.stuck("deadlock", "alice waits for bob")


@planted_history("critical-events", Story)
def _(story: Story, is_planted: bool) -> None:
    """A run has no agent_thinking."""
    story.run().run("bob", "bob.1", (EVENTS[0], *EVENTS[2:]) if is_planted else EVENTS)


@planted_history("every-run-ends", two_users, objectives=Objectives(completed=0.5))
def _(story: Story, is_planted: bool) -> None:
    """A request is never answered."""
    story.recorder.fault_began("something that goes on")
    if is_planted:
        story.recorder.requested("alice.2", "alice", 0.0)


@planted_history("delivery", Story)
def _(story: Story, is_planted: bool) -> None:
    """One event of five never reaches its owner."""
    story.run(drop=(2,) if is_planted else ()).run("bob", "bob.1")


@planted_history("truthfulness", two_users)
def _(story: Story, is_planted: bool) -> None:
    """An event counts as sent and never arrives."""
    if is_planted:
        story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[0], 9)


@planted_history("nothing-left", two_users)
def _(story: Story, is_planted: bool) -> None:
    """A connection is left after the shutdown."""
    story.recorder.left_over("connections", int(is_planted))


@planted_history("engine-limit", two_users)
def _(story: Story, is_planted: bool) -> None:
    """A user has three engines at once; two are allowed."""
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


@planted_history("timestamps", two_users)
def _(story: Story, is_planted: bool) -> None:
    """The events of a run are stamped in the wrong order."""
    story.run("carol", "carol.1", stamp=lambda seq, now: 100.0 - seq if is_planted else now)


@planted_history("memory", two_users, objectives=Objectives(replay_bytes=100_000.0))
def _(story: Story, is_planted: bool) -> None:
    """The bridge keeps twice as many bytes for replay as allowed."""
    story.recorder.sample(REPLAY_BYTES, 200_000 if is_planted else 50_000)


@planted_history("asyncio-untouched", two_users)
def _(story: Story, is_planted: bool) -> None:
    """An asyncio function is replaced for the whole process."""
    story.recorder.sample(ASYNCIO_REPLACED, int(is_planted))


@planted_history("idle-cost", two_users)
def _(story: Story, is_planted: bool) -> None:
    """The event loop takes a million steps for a handful of events."""
    story.recorder.sample(LOOP_STEPS, 1e6 if is_planted else 50)


@planted_history("latency", Story, objectives=Objectives(recovery=60.0))
def _(story: Story, is_planted: bool) -> None:
    """Every event takes one and a half times as long as allowed."""
    users(20, delay=0.15 if is_planted else 0.05, story=story)


@planted_history("completion", Story)
def _(story: Story, is_planted: bool) -> None:
    """One run of two ends with an error."""
    story.run().run("bob", "bob.1", (EVENTS[0], "agent_error") if is_planted else EVENTS)


@planted_history("refusals", two_users, objectives=Objectives(completed=0.5))
def _(story: Story, is_planted: bool) -> None:
    """One request of three is refused."""
    if is_planted:
        story.recorder.requested("bob.2", "bob", 0.0)
        story.recorder.refused("bob.2", "bob", "no")


@planted_history("recovery", two_users)
def _(story: Story, is_planted: bool) -> None:
    """A user is back six seconds after an outage; five are allowed."""
    story.recorder.fault_began("outage")
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.fault_ended("outage")
    story.now += 6.0 if is_planted else 1.0
    story.recorder.connected("alice/1", "alice")


@planted_history("thread-isolation", two_users)
def _(story: Story, is_planted: bool) -> None:
    """The events of a run carry the thread of another conversation."""
    story.run("carol", "carol.1", thread="another-thread" if is_planted else None)


@planted_history("scopes", two_users)
def _(story: Story, is_planted: bool) -> None:
    """Two scopes are opened for one request."""
    if is_planted:
        story.recorder.scope_opened("bob.1", "bob")
        story.recorder.scope_closed("bob.1", "bob", {})


@planted_history("tools", Story)
def _(story: Story, is_planted: bool) -> None:
    """A tool never completes."""
    events = (*EVENTS[:4], "tool_executing", *(() if is_planted else ("tool_completed",)), EVENTS[4])
    story.run().run("bob", "bob.1", events)


@planted_history("answers", two_users)
def _(story: Story, is_planted: bool) -> None:
    """An answer is cut short."""
    story.recorder.answered("alice.1", "alice", "truncated" if is_planted else "complete")


@planted_history("silence", Story, objectives=Objectives(recovery=600.0))
def _(story: Story, is_planted: bool) -> None:
    """A user receives no event for two minutes during a run."""
    story.run(pauses={3: 120.0 if is_planted else 1.0}).run("bob", "bob.1")


@planted_history("unhandled-errors", two_users)
def _(story: Story, is_planted: bool) -> None:
    """A task fails, and no code handles its error."""
    if is_planted:
        story.recorder.loop_error("ZeroDivisionError", "Task exception was never retrieved")


@planted_history("unsent-bytes", two_users)
def _(story: Story, is_planted: bool) -> None:
    """200,000 bytes wait on one connection, twice as many as allowed."""
    story.recorder.sample(MOST_UNSENT_BYTES, 200_000 if is_planted else 50_000)


@planted_history("faults-acted", two_users)
def _(story: Story, is_planted: bool) -> None:
    """A fault hits nobody."""
    story.recorder.fault_began("a slow network")
    story.recorder.fault_ended("a slow network", 0 if is_planted else 2)


@planted_history("event-order", _two_foreign_users)
def _(story: ForeignStory, is_planted: bool) -> None:
    """A run ends while one of its messages is open."""
    if is_planted:
        story.recorder.out_of_order("bob.1", "bob", "bob.1", "RUN_FINISHED", "a message is open when the run ends")


@planted_history("tokens", _two_foreign_users)
def _(story: ForeignStory, is_planted: bool) -> None:
    """A token of an answer comes twice."""
    if is_planted:
        story.recorder.repeated("bob.1", "bob", "bob.1", "TEXT_MESSAGE_CONTENT", 3)


@planted_history("disclosure", _two_foreign_users)
def _(story: ForeignStory, is_planted: bool) -> None:
    """The text of an exception in the model reaches a user."""
    if is_planted:
        story.recorder.disclosed("bob.1", "bob", "bob.1", "RUN_ERROR", "an exception of the model")


@planted_history("work-after-leaving", ForeignStory)
def _(story: ForeignStory, is_planted: bool) -> None:
    """The model makes tokens for ten seconds after its only reader has left."""
    story.run().run("bob", "bob.1", leaves_after=3, works_on=50 if is_planted else 2)


PLANTED_HISTORIES: Registry[PlantedHistory] = Registry(
    "netra_sim.planted_histories", _OWN, kind=PlantedHistory, name_of=attrgetter("check")
)
"""The planted histories by the names of their checks, including those of other packages."""

"""Every check is seen to catch the very defect that it is for, and nothing else's; no relabelling changes what it finds."""

from contextvars import copy_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import EVENTS, Story

from netra_sim import History, Objectives, check
from netra_sim.checks import CHECKS
from netra_sim.history import ASYNCIO_REPLACED, LOOP_STEPS, Kind
from netra_sim.history.canary import CONTEXT_CANARY
from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS


def told(story, *, plant=lambda recorder: None, **objectives):
    plant(story.recorder)
    return story.end(), Objectives(**objectives)


def clean():
    return Story().run().run("bob", "bob.1")


def with_a_second_engine_too_many():
    story = clean()
    for number in range(3):
        story.recorder.scope_opened(f"alice.1{number}", "alice")
    for number in range(3):
        for seq, event in enumerate(EVENTS):
            story.recorder.published(f"alice.1{number}", "alice", event, seq)
            story.recorder.sent("alice/0", "alice", f"alice.1{number}", event, seq)
            story.recorder.received(
                "alice/0", "alice", f"alice.1{number}", event, seq, subject="alice", timestamp=story.now
            )
        story.recorder.scope_closed(f"alice.1{number}", "alice", {})
    return story


def with_a_run_in_somebody_elses_context():
    story = clean()
    context = copy_context()
    context.run(CONTEXT_CANARY.set, "bob")
    context.run(story.run, "carol", "carol.1")
    return story


def with_a_user_who_came_back_late():
    story = clean()
    story.recorder.fault_began("outage")
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.fault_ended("outage")
    story.now += 6.0
    story.recorder.connected("alice/1", "alice")
    return story


CASES = {
    "cross-user-isolation": lambda: told(
        clean(), plant=lambda it: it.sent("carol/0", "carol", "alice.1", EVENTS[0], 0) or it.received(
            "carol/0", "carol", "alice.1", EVENTS[0], 0, subject="carol", timestamp=9.0)),
    "connection-isolation": lambda: told(clean(), plant=lambda it: it.connected("alice/0", "bob")),
    "content-isolation": lambda: told(Story().run(subject="bob").run("bob", "bob.1")),
    "context-isolation": lambda: told(with_a_run_in_somebody_elses_context()),
    "shared-state": lambda: told(clean(), plant=lambda it: it.shared("alice", "bob", "dict")),
    "critical-events": lambda: told(Story().run().run("bob", "bob.1", (EVENTS[0], *EVENTS[2:]))),
    "every-run-ends": lambda: told(
        clean(), completed=0.5, plant=lambda it: it.fault_began("x") or it.requested("alice.2", "alice", 0.0)),
    "delivery": lambda: told(Story().run(drop=(2,)).run("bob", "bob.1")),
    "truthfulness": lambda: told(clean(), plant=lambda it: it.sent("alice/0", "alice", "alice.1", EVENTS[0], 9)),
    "nothing-left": lambda: told(clean(), plant=lambda it: it.left_over("connections", 1)),
    "engine-limit": lambda: told(with_a_second_engine_too_many()),
    "timestamps": lambda: told(clean(), plant=lambda it: [
        it.published("carol.1", "carol", EVENTS[0], seq) or it.connected("carol/0", "carol")
        or it.sent("carol/0", "carol", "carol.1", EVENTS[0], seq)
        or it.received("carol/0", "carol", "carol.1", EVENTS[0], seq, subject="carol", timestamp=-seq)
        for seq in (0, 1)]),
    "liveness": lambda: told(clean(), plant=lambda it: it.stuck("deadlock", "alice waits for bob")),
    "asyncio-untouched": lambda: told(clean(), plant=lambda it: it.sample(ASYNCIO_REPLACED, 1)),
    "idle-cost": lambda: told(clean(), plant=lambda it: it.sample(LOOP_STEPS, 1e6)),
    "memory": lambda: told(clean(), replay_bytes=999.0),
    "latency": lambda: told(Story().run(delay=0.15).run("bob", "bob.1"), recovery=60.0),
    "completion": lambda: told(Story().run().run("bob", "bob.1", (EVENTS[0], "agent_error"))),
    "refusals": lambda: told(
        clean(), completed=0.5, plant=lambda it: it.requested("bob.2", "bob", 0.0) or it.refused("bob.2", "bob", "no")),
    "recovery": lambda: told(with_a_user_who_came_back_late()),
}  # fmt: skip
"""For each check a history with its defect, and with no other check's; where a fault goes on, nothing recovers."""

CANNOT_COME_ALONE = {"cross-user-isolation": {"connection-isolation"}}
"""What a defect is as well: who gets an event of somebody else's gets it on a connection."""


def failed(history, objectives):
    return {result.check for result in check(history, objectives) if result.state == "failed"}


def test_every_check_has_a_case():
    history, objectives = told(clean())
    assert {result.check for result in check(history, objectives)} == set(CASES)
    assert len(CHECKS) == len(CASES)


def test_no_check_fails_on_a_clean_history_and_each_looks_at_something():
    history, objectives = told(clean())
    assert {result.check: result.state for result in check(history, objectives)} == dict.fromkeys(CASES, "passed")


@pytest.mark.parametrize("name", CASES)
def test_a_planted_defect_fails_its_own_check_and_no_other(name):
    assert failed(*CASES[name]()) - CANNOT_COME_ALONE.get(name, set()) == {name}


USERS = ("alice", "bob", "carol")

runs = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sets(st.integers(0, 4), max_size=2),
        st.sampled_from([None, None, *USERS]),
        st.sampled_from([0.01, 0.3]),
    ),
    min_size=1,
    max_size=8,
)
"""For each run its owner, the events that are lost, who gets the others if not the owner, and how long they take."""


def story_of(runs):
    story = Story()
    for number, (user, drop, receiver, delay) in enumerate(runs):
        story.run(user, f"{user}.{number}", drop=drop, receiver=receiver, delay=delay)
    return story


def rebuilt(history, order=slice(None), rename=lambda name: name):
    """The same history with its rows in another order, or with other names."""
    numbers = {name: history.numbers[name][order] for name in NUMBER_COLUMNS}
    codes = {name: history.codes[name][order] for name in TEXT_COLUMNS}
    tables = {name: [rename(text) if text else text for text in history.tables[name]] for name in TEXT_COLUMNS}
    return History(
        numbers, codes, tables | {"event": history.tables["event"], "detail": history.tables["detail"]}, history.meta
    )


def counts(history):
    return {result.check: (result.state, result.looked_at, result.found) for result in check(history)}


@given(runs)
@settings(deadline=None, max_examples=40)
def test_other_names_change_no_count(told_runs):
    history = story_of(told_runs).end()
    assert counts(rebuilt(history, rename=lambda name: f"x-{name[::-1]}")) == counts(history)


@given(runs, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_other_codes_for_the_same_texts_change_no_count(told_runs, random):
    history = story_of(told_runs).end()
    tables, codes = {}, {}
    for name in TEXT_COLUMNS:
        places = list(range(len(history.tables[name])))
        random.shuffle(places)
        tables[name] = [text for _, text in sorted(zip(places, history.tables[name], strict=True))]
        codes[name] = np.array(places)[history.codes[name]]
    assert counts(History(history.numbers, codes, tables, history.meta)) == counts(history)


@given(runs, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_in_which_different_users_rows_stand_changes_no_count(told_runs, random):
    story = story_of([(user, drop, None, delay) for user, drop, _, delay in told_runs])
    history = story.recorder.finish({"engines_per_user": 2})
    users = history.codes["user"]
    turns = users.tolist()
    random.shuffle(turns)
    waiting = {user: iter(np.flatnonzero(users == user).tolist()) for user in set(turns)}
    shuffled = rebuilt(history, np.array([next(waiting[user]) for user in turns]))
    assert counts(shuffled) == counts(history)


@given(st.integers(1, 6), st.data())
@settings(deadline=None, max_examples=60)
def test_misdeliveries_that_are_planted_are_found_exactly(number_of_runs, data):
    history = story_of([(USERS[run % 3], (), None, 0.01) for run in range(number_of_runs + 1)]).end()
    received = np.flatnonzero(history.numbers["kind"] == Kind.RECEIVED).tolist()
    planted = data.draw(st.sets(st.sampled_from(received), max_size=20))
    for row in planted:
        others = [
            code for code, name in enumerate(history.tables["user"]) if name and code != history.codes["user"][row]
        ]
        history.codes["user"][row] = data.draw(st.sampled_from(others))
    result = check(history)[0]
    assert result.check == "cross-user-isolation"
    assert {finding.row for finding in result.findings} == planted
    assert result.found == len(planted)

"""Every check finds its planted defect and no other; relabelling a history changes no result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import OF_OTHER_SYSTEMS, Story

from netra_sim import History, check
from netra_sim.checks import CHECKS
from netra_sim.defects.planted.histories import PLANTED_HISTORIES, users
from netra_sim.history import Kind
from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS

CANNOT_COME_ALONE = {"cross-user-isolation": {"connection-isolation"}}
"""Checks that also find a defect: a user who receives an event of another user receives it on a connection."""


def states(history, objectives):
    return {result.check: result.state for result in check(history, objectives)}


def test_every_check_has_a_planted_history():
    assert set(PLANTED_HISTORIES) == set(CHECKS)


def test_no_check_fails_on_a_clean_history_and_each_looks_at_something():
    expected = dict.fromkeys(CHECKS, "passed") | {"engine-limit": "inconclusive"}  # No user reaches the limit.
    expected |= dict.fromkeys(OF_OTHER_SYSTEMS, "not applicable")
    assert states(users(20).end(), None) == expected


@pytest.mark.parametrize("name", PLANTED_HISTORIES)
def test_a_planted_defect_fails_its_own_check_and_no_other(name):
    one = PLANTED_HISTORIES[name]
    failed = {check for check, state in states(one.planted(), one.objectives).items() if state == "failed"}
    assert failed - CANNOT_COME_ALONE.get(name, set()) == {name}


@pytest.mark.parametrize("name", PLANTED_HISTORIES)
def test_the_history_without_the_defect_passes_its_check_and_fails_no_other(name):
    one = PLANTED_HISTORIES[name]
    clean = states(one.clean(), one.objectives)
    assert clean[name] == "passed"
    assert "failed" not in clean.values()


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
"""For each run its owner, the lost events, the receiver if not the owner, and the delay of events."""


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
@settings(max_examples=40)
def test_other_names_change_no_count(told_runs):
    history = story_of(told_runs).end()
    assert counts(rebuilt(history, rename=lambda name: f"x-{name[::-1]}")) == counts(history)


@given(runs, st.randoms(use_true_random=False))
@settings(max_examples=40)
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
@settings(max_examples=40)
def test_the_order_of_rows_of_different_users_changes_no_count(told_runs, random):
    story = story_of([(user, drop, None, delay) for user, drop, _, delay in told_runs])
    history = story.recorder.finish({"engines_per_user": 2})
    users = history.codes["user"]
    turns = users.tolist()
    random.shuffle(turns)
    waiting = {user: iter(np.flatnonzero(users == user).tolist()) for user in set(turns)}
    shuffled = rebuilt(history, np.array([next(waiting[user]) for user in turns]))
    assert counts(shuffled) == counts(history)


@given(st.integers(1, 6), st.data())
@settings(max_examples=60)
def test_planted_misdeliveries_are_found_exactly(number_of_runs, data):
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

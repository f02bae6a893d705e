"""Marks in the data of users and runs, and answers that are compared with their questions."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import Scenario, simulate
from netra_sim.factory import answer_to, pipeline
from netra_sim.history import Kind
from netra_sim.recording import how_answered, mark, marked_question, marks_in


def test_all_events_of_a_run_except_the_first_have_its_mark():
    history = simulate(Scenario(users=5), seed=1)
    received = history.frame(Kind.RECEIVED)
    unmarked = received[received["subject"] == ""]
    assert len(received) > 5 * len(unmarked)
    assert set(unmarked["event"]) == {"agent_started"}
    marked = received[received["subject"] != ""]
    assert (marked["subject"].astype(str) == marked["user"].astype(str)).all()
    assert history.frame(Kind.OTHER_RUN).empty


@pytest.mark.parametrize(
    ("frame", "owner"),
    [
        (mark("alice", "alice.1"), ("alice", "")),
        (mark("alice", "alice.2"), ("alice", "alice.2")),
        (mark("alice", "alice.1") + mark("bob", "bob.1"), ("bob", "")),
        (mark("alice"), ("alice", "")),
        ("no mark", ("", "")),
    ],
)
def test_the_marks_in_a_frame_name_the_owner_and_the_run(frame, owner):
    assert marks_in(frame.encode(), "alice", "alice.1") == owner


IDS = st.sampled_from(["alice", "bob", "a;b", 'a"b', "a;run:b", "Zoë", ""])
PIECES = st.builds(mark, IDS, IDS) | st.sampled_from(["canary:", "run:alice;", "text", ";"])


@given(st.lists(PIECES, max_size=4).map("".join), IDS, IDS)
def test_the_first_mark_of_another_user_or_else_of_another_run_counts(frame, reader, run_id):
    marks = re.findall(r"canary:([^;\"\\]+);(?:run:([^;\"\\]+);)?", frame)
    users = [user for user, _ in marks]
    others = [user for user in users if user != reader]
    runs = [run for _, run in marks if run and run_id and run != run_id]
    expected = (others[0], "") if others else (reader if users else "", runs[0] if runs else "")
    assert marks_in(frame.encode(), reader, run_id) == expected


def test_a_stale_answer_of_the_users_other_run_is_recorded(monkeypatch):
    kept = {}

    def stale(question, known):
        user = question.partition(";")[0]
        return kept.setdefault(user, pipeline.write_report(question, known))

    steps = tuple((name, text, stale if name == "reporting" else work) for name, text, work in pipeline._STEPS)
    monkeypatch.setattr(pipeline, "_STEPS", steps)
    two_runs = Scenario(users=3).with_settings({"workload.runs_per_user": 2})
    history = simulate(two_runs, seed=1)
    assert len(history.frame(Kind.OTHER_RUN)) >= 3


def test_every_answer_of_the_clean_runtime_is_complete():
    history = simulate(Scenario(users=5), seed=1)
    assert history.frame(Kind.ANSWERED)["event"].astype(str).tolist() == ["complete"] * 5


def test_an_agent_that_works_on_another_question_gives_wrong_answers(monkeypatch):
    async def of_another_question(self, *, question):
        return self._work("another question", self._known)

    monkeypatch.setattr(pipeline._TimedTool, "__call__", of_another_question)
    history = simulate(Scenario(users=3), seed=1)
    assert history.frame(Kind.ANSWERED)["event"].astype(str).tolist() == ["wrong"] * 3


RIGHT = answer_to(marked_question("alice", "alice.1"))


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (RIGHT, "complete"),
        (json.loads(json.dumps(RIGHT)), "complete"),
        (None, "empty"),
        ("", "empty"),
        ({}, "empty"),
        (str(RIGHT)[:20], "truncated"),
        ({"question": RIGHT["question"]}, "truncated"),
        (RIGHT | {"actions": RIGHT["actions"][:1]}, "truncated"),
        (RIGHT | {"topic": "weather"}, "wrong"),
        (answer_to(marked_question("bob", "bob.1")), "wrong"),
        ("something else", "wrong"),
    ],
)
def test_an_answer_is_compared_with_its_question(answer, how):
    assert how_answered(answer, RIGHT)[0] == how


def test_any_answer_is_complete_if_the_right_one_is_unknown():
    assert how_answered("anything") == ("complete", "")
    assert how_answered(None)[0] == "empty"

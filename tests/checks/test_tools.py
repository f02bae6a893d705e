"""Tools complete after they begin, before their run ends, and in a possible time."""

import json
from math import nan

import pytest
from story import EVENTS, Story, result_of

from netra_sim.history import read_log

BEGIN, BEGUN, DONE, END = ("agent_started", "agent_thinking"), "tool_executing", "tool_completed", "agent_completed"


def tools_of(story):
    return result_of(story.end(), "tools")


def messages(*events):
    return [finding.message for finding in tools_of(Story().run(events=(*BEGIN, *events))).findings]


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ((BEGUN, BEGUN, DONE, DONE, END), []),
        ((BEGUN, BEGUN, DONE, END), ["the run ended while tools had begun and not completed: 1"]),
        ((BEGUN, DONE, BEGUN, BEGUN, END), ["the run ended while tools had begun and not completed: 2"]),
        ((BEGUN, "agent_error"), []),
        ((BEGUN, DONE, DONE, BEGUN, END), ["a tool completed before it had begun"]),
        ((BEGUN, BEGUN), []),
    ],
)
def test_every_tool_that_begins_must_complete(events, found):
    assert messages(*events) == found


def with_duration(seconds, events=EVENTS, pause=0.5):
    story = Story()
    story.recorder.connected("alice/0", "alice")
    for seq, event in enumerate(events):
        story.now += pause
        story.recorder.published("alice.1", "alice", event, seq)
        story.recorder.received(
            *("alice/0", "alice", "alice.1", event, seq),
            subject="alice",
            timestamp=story.now,
            duration=seconds if event == DONE else nan,
        )
    return story


@pytest.mark.parametrize(("seconds", "found"), [(0.5, 0), (0.54, 0), (0.0, 0), (-0.1, 1), (0.7, 1), (1.0, 1)])
def test_a_duration_must_not_be_negative_or_longer_than_the_tool_ran(seconds, found):
    assert tools_of(with_duration(seconds)).found == found


def test_the_earliest_running_tool_limits_the_durations_of_overlapping_ones():
    events = (*BEGIN, BEGUN, DONE, BEGUN, BEGUN, DONE, DONE, END)
    assert tools_of(with_duration(0.5, events)).found == 0
    assert tools_of(with_duration(1.0, (*BEGIN, BEGUN, BEGUN, DONE, DONE, END))).found == 0
    assert tools_of(with_duration(1.6, events)).found == 3


def log_of(tmp_path, records):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"user": "alice", "run": "r"} | record) + "\n" for record in records))
    return read_log(path).history


@pytest.mark.parametrize("is_numbered", [True, False])
@pytest.mark.parametrize(("duration", "found"), [(2.0, 1), (60.0, 2)])
def test_a_log_of_received_events_is_judged(tmp_path, is_numbered, duration, found):
    events = (*BEGIN, BEGUN, DONE, BEGUN, END)
    records = [{"event": event, "time": 2.0 * number} for number, event in enumerate(events)]
    for number, record in enumerate(records):
        record |= {"seq": number} if is_numbered else {}
        record |= {"duration": duration} if record["event"] == DONE else {}
    assert result_of(log_of(tmp_path, records), "tools").found == found


def test_a_run_without_its_beginning_in_the_log_is_no_finding(tmp_path):
    records = [{"event": event, "seq": number} for number, event in enumerate((DONE, BEGUN, DONE, DONE, END), 3)]
    for kind in ("received", "published"):
        assert result_of(log_of(tmp_path, [{"kind": kind} | record for record in records]), "tools").found == 0

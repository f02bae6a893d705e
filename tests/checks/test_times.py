"""Times run forward: timestamps within a run, and causes before their effects."""

import json

import pytest
from story import EVENTS, Story, result_of

from netra_sim.defects.planted.histories import two_users, users
from netra_sim.history import read_log


def messages(story, meta=None):
    history = story.end()
    history.meta |= meta or {}
    return [finding.message for finding in result_of(history, "timestamps").findings]


def test_slow_clocks_of_many_clients_are_one_finding():
    (message,) = messages(users(20, delay=-0.4))
    assert message.startswith(
        "the clients' clock is about 0.400 s behind the server's for 20 users: they received 100 events"
    )


def test_one_slow_clock_among_many_users_is_one_finding():
    (message,) = messages(users(20).run(delay=-0.4))
    assert "for 1 users: they received 5 events" in message


def test_one_event_received_before_it_was_published_is_one_finding():
    story = two_users()
    story.recorder.received("bob/0", "bob", "bob.1", EVENTS[0], 5, subject="bob", timestamp=story.now)
    story.now += 2.0
    story.recorder.published("bob.1", "bob", EVENTS[0], 5)
    assert messages(story) == ["agent_started was received 2.000 s before it was published"]


def test_an_answer_before_its_request_is_found():
    story = two_users()
    story.recorder.received("bob/0", "bob", "bob.2", EVENTS[0], 0, subject="bob", timestamp=story.now)
    story.now += 3.0
    story.recorder.requested("bob.2", "bob", story.now)
    assert messages(story) == ["agent_started was received 3.000 s before its run was asked for"]


def test_an_end_before_its_beginning_is_found():
    story = two_users()
    story.recorder.scope_closed("carol.1", "carol", {})
    story.recorder.disconnected("carol/0", "carol", 1000, "bye")
    story.now += 1.0
    story.recorder.scope_opened("carol.1", "carol")
    story.recorder.connected("carol/0", "carol")
    assert messages(story) == [
        "the scope of run carol.1 ended before it began",
        "the connection carol/0 ended before it began",
    ]


def test_timestamps_of_0_are_found():
    found = messages(two_users().run("carol", "carol.1", stamp=lambda seq, now: 0.0))
    assert "agent_thinking has the timestamp 0" in found


def test_equal_timestamps_of_all_events_of_a_run_are_found():
    (message,) = messages(two_users().run("carol", "carol.1", stamp=lambda seq, now: 7.0))
    assert message == "all events of the run have the same timestamp, though they were published over seconds"


@pytest.mark.parametrize("stamp", [12.5, 1_757_419_200_000.0, 1_600_000_000.0])
def test_a_timestamp_outside_of_the_recording_is_found(stamp):
    story = Story().run(stamp=lambda seq, now: stamp + seq)
    assert messages(story, {"began": 1_757_419_200.0})[0].startswith(
        "agent_started has a timestamp outside of the recording"
    )


@pytest.mark.parametrize("offset", [0.0, -30.0, 600.0])
def test_a_wall_clock_that_is_set_a_little_is_no_finding(offset):
    story = Story().run(stamp=lambda seq, now: 1_757_419_200.0 + now + offset)
    assert messages(story, {"began": 1_757_419_200.0}) == []


def test_the_last_timestamp_of_a_month_long_recording_is_right():
    story = Story().run(stamp=lambda seq, now: 1_757_419_200.0 + now, pauses={3: 30 * 86_400.0})
    assert messages(story, {"began": 1_757_419_200.0}) == []


def log_of(tmp_path, records):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"user": "alice", "run": "r"} | record) + "\n" for record in records))
    return read_log(path).history


@pytest.mark.parametrize(("behind", "found"), [(0.03, 0), (0.5, 1)])
def test_the_clocks_in_a_log_may_differ_as_much_as_ntp_allows(tmp_path, behind, found):
    records = [
        {"event": event, "seq": seq, "kind": "published", "time": 100.0 + seq} for seq, event in enumerate(EVENTS)
    ]
    records += [record | {"kind": "received", "time": record["time"] - behind} for record in records]
    assert result_of(log_of(tmp_path, records), "timestamps").found == found


def test_a_log_with_relative_times_may_have_the_timestamp_0(tmp_path):
    records = [{"event": event, "seq": seq, "time": seq, "value": seq} for seq, event in enumerate(EVENTS)]
    assert result_of(log_of(tmp_path, records), "timestamps").found == 0


def test_equal_timestamps_are_found_in_a_log_of_received_events(tmp_path):
    records = [
        {"kind": "received", "event": event, "seq": seq, "time": 100.0 + seq, "value": 7.0}
        for seq, event in enumerate(EVENTS)
    ]
    (finding,) = result_of(log_of(tmp_path, records), "timestamps").findings
    assert finding.message.startswith("all events of the run have the same timestamp")

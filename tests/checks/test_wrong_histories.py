"""Histories with errors that only a client would notice: each is found, and the same history without it passes."""

import numpy as np
import pytest
from story import EVENTS, Story, states

from netra_sim import History, check
from netra_sim.history import Kind


def clean():
    return Story().run("bob", "bob.1")


def failed(story, **objectives):
    return {name for name, state in states(story.end(), **objectives).items() if state == "failed"}


def receive(story, connection="alice/0", seq=0, event=None, run="alice.1", user="alice", **options):
    event = event or EVENTS[seq]
    story.recorder.received(
        connection, user, run, event, seq, subject=user, timestamp=story.now, thread_id=f"{user}-thread", **options
    )


def test_a_second_tab_that_never_gets_an_event_is_found():
    story = clean()
    story.recorder.attached("alice/0", "alice", "first tab")
    story.recorder.connected("alice/1", "alice")
    story.recorder.attached("alice/1", "alice", "second tab")
    assert failed(story.run()) == {"delivery"}


def test_two_tabs_that_both_get_all_events_are_right():
    story = clean()
    for number in (0, 1):
        story.recorder.connected(f"alice/{number}", "alice")
        story.recorder.attached(f"alice/{number}", "alice", f"tab {number}")
    story.run()
    for seq in range(5):
        story.recorder.sent("alice/1", "alice", "alice.1", EVENTS[seq], seq)
        receive(story, "alice/1", seq)
    assert failed(story) == set()


@pytest.mark.parametrize("is_named", [True, False], ids=["named client", "unnamed client"])
def test_repeating_all_events_after_a_reconnect_is_found(is_named):
    story = clean().run()
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.connected("alice/1", "alice")
    if is_named:
        for number in (0, 1):
            story.recorder.attached(f"alice/{number}", "alice", "tab")
    for seq in range(5):
        story.recorder.sent("alice/1", "alice", "alice.1", EVENTS[seq], seq)
        receive(story, "alice/1", seq)
    assert failed(story) == {"delivery"}


def test_a_page_closed_and_opened_again_may_get_all_events_again():
    story = clean().run()
    story.recorder.disconnected("alice/0", "alice", 1001, "the page was left")
    story.recorder.connected("alice/1", "alice")
    for seq in range(5):
        story.recorder.sent("alice/1", "alice", "alice.1", EVENTS[seq], seq)
        receive(story, "alice/1", seq)
    assert failed(story) == set()


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 4000, float("nan")])
@pytest.mark.parametrize("lost", [(1, 2), (3, 4), (0, 1, 2, 3, 4)], ids=["in the middle", "at the end", "all"])
def test_no_close_code_excuses_what_was_lost_long_before(code, lost):
    story = clean().run(drop=lost)
    story.now += 600
    story.recorder.disconnected("alice/0", "alice", code, "gone")
    assert "delivery" in failed(story)


@pytest.mark.parametrize("code", [1000, 1001, 1006])
def test_what_was_in_flight_when_a_connection_broke_for_good_is_excused(code):
    story = clean().run(drop=(3, 4))
    story.recorder.disconnected("alice/0", "alice", code, "gone")
    assert failed(story, completed=0.5, delivered=0.5) == {"every-run-ends", "recovery"}


def test_sends_that_never_arrived_ten_minutes_before_the_end_are_false_claims():
    story = clean().run(drop=(3, 4))
    for seq in (3, 4):
        story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[seq], seq)
    story.now += 600
    story.recorder.disconnected("alice/0", "alice", 1001, "the page was left")
    assert {"truthfulness", "delivery"} <= failed(story)


def test_a_lost_send_before_one_that_arrived_is_a_false_claim_for_any_code():
    story = clean().run(drop=(1,))
    story.recorder.published("alice.2", "alice", EVENTS[0], 0, "alice-thread")
    story.recorder.sent("alice/0", "alice", "alice.2", EVENTS[0], 0)
    story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[1], 5)
    receive(story, seq=5, event=EVENTS[1])
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    assert "truthfulness" in failed(story)


def test_an_event_that_arrives_under_the_number_of_another_is_found():
    story = clean().run(drop=(1,))
    story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[1], 1)
    receive(story, seq=1, event="tool_executing")
    assert "delivery" in failed(story)


def test_an_event_that_was_never_published_is_found():
    story = clean().run()
    story.recorder.sent("alice/0", "alice", "alice.1", "agent_thinking", 5)
    receive(story, seq=5, event="agent_thinking")
    assert "delivery" in failed(story)


def test_an_announced_gap_that_no_client_reads_is_found():
    story = clean()
    story.recorder.attached("alice/0", "alice", "tab")
    story.run(drop=(2,))
    story.recorder.gap("alice/0", "alice", "alice.1", 2, 2, "evicted")
    assert {"delivery", "truthfulness"} <= failed(story, delivered=0.5)


def test_events_that_the_client_reader_misses_are_found():
    story = clean().run()
    story.recorder._row(Kind.MISSING, user="alice", connection="alice/0", run="alice.1", seq=1, value=2)
    assert failed(story) == {"delivery"}


@pytest.mark.parametrize("kind", ["hello", "gap", "refused"])
def test_a_control_frame_that_names_another_user_is_found(kind):
    story = clean().run()
    story.recorder._row(Kind.CONTROL_RECEIVED, user="alice", connection="alice/0", event=kind, subject="bob")
    assert failed(story) == {"content-isolation"}


def test_data_of_another_run_of_the_user_is_found():
    story = clean().run()
    story.recorder._row(Kind.OTHER_RUN, user="alice", run="alice.1", connection="alice/0", seq=1, subject="alice.0")
    assert failed(story) == {"content-isolation"}


def test_events_without_a_mark_are_not_counted():
    story = Story()
    story.run("bob", "bob.1", subject="")
    result = next(one for one in check(story.end()) if one.check == "content-isolation")
    assert (result.looked_at, result.measured["events received"].value, result.measured["with a mark"].value) == (
        0,
        5,
        0,
    )


def test_events_received_before_they_are_published_are_one_finding_about_the_clock():
    story = Story()
    for user in ("alice", "bob"):
        story.run(user, f"{user}.1", delay=-0.4)
    result = next(one for one in check(story.end()) if one.check == "timestamps")
    assert result.found == 1
    assert "clock is about 0.4" in result.findings[0].message


def test_a_second_request_under_an_old_run_id_that_is_never_answered_is_found():
    story = clean().run()
    story.now += 300
    story.recorder.requested("alice.1", "alice", story.now)
    assert "every-run-ends" in failed(story, completed=0.5)


def test_a_forgotten_run_id_may_be_used_again():
    story = clean().run()
    story.now += 300
    again = story.run()
    assert failed(again) == set()


def test_a_run_without_a_scope_is_found():
    story = clean().run()
    for seq, event in enumerate((EVENTS[0], "agent_error")):
        story.recorder.published("alice.9", "alice", event, seq, "alice-thread")
        story.recorder.sent("alice/0", "alice", "alice.9", event, seq)
        receive(story, seq=seq, event=event, run="alice.9")
    assert "scopes" in failed(story)


def test_events_after_the_scope_was_closed_are_found():
    story = clean().run(events=EVENTS[:4])
    story.recorder.published("alice.1", "alice", EVENTS[4], 4, "alice-thread")
    story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[4], 4)
    receive(story, seq=4)
    assert failed(story) == {"scopes"}


def test_a_run_that_was_refused_and_completed_is_found():
    story = clean().run()
    story.recorder.refused("alice.1", "alice", "engine_limit")
    assert failed(story, refused=1.0) == {"scopes"}


def test_a_tool_that_completes_before_it_begins_is_found():
    story = clean().run(events=(EVENTS[0], EVENTS[1], "tool_completed", "tool_executing", EVENTS[4]))
    assert "tools" in failed(story)


def test_a_duration_that_is_a_clock_time_is_found():
    story = clean().run(events=EVENTS[:3])
    story.recorder.published("alice.1", "alice", EVENTS[3], 3, "alice-thread")
    receive(story, seq=3, duration=1e6)
    assert "tools" in failed(story)


@pytest.mark.parametrize("how", ["empty", "truncated", "wrong"])
def test_an_answer_to_another_question_is_found(how):
    story = clean().run()
    story.recorder.answered("alice.1", "alice", how, "it is not")
    assert failed(story) == {"answers"}


def test_events_that_are_held_back_to_the_end_of_their_run_are_found():
    story = clean().run(pauses={1: 30.0, 2: -0.49, 3: -0.49, 4: -0.49})
    assert failed(story) == {"silence"}


def test_a_log_that_begins_within_a_run_is_no_finding():
    whole = clean().run().end()
    rows = np.flatnonzero((whole.numbers["time"] > 4.0) & (whole.numbers["kind"] != Kind.SAMPLE))
    numbers = {name: values[rows] for name, values in whole.numbers.items()}
    codes = {name: values[rows] for name, values in whole.codes.items()}
    recorded = sorted({Kind(kind).name.lower() for kind in np.unique(numbers["kind"])})
    later = History(numbers, codes, whole.tables, {"recorded": recorded})
    assert {result.check for result in check(later) if result.state == "failed"} == set()


def test_a_request_for_another_users_run_is_found_from_the_first_row_on():
    story = Story()
    story.recorder.requested("r", "alice", 0.0)
    story.recorder.requested("r", "bob", 0.0)
    assert "scopes" in failed(story)

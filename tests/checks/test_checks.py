"""Each check passes right histories, fails wrong ones, and passes nothing that it did not examine."""

import itertools

import pytest
from story import EVENTS, OF_OTHER_SYSTEMS, Story, result_of, states

from netra_sim import check
from netra_sim.defects.planted.histories import users
from netra_sim.history import Kind
from netra_sim.recording import Recorder


def test_all_checks_pass_on_a_clean_history():
    found = states(users(20).end())
    assert found.pop("engine-limit") == "inconclusive"  # No user reached the limit.
    assert {found.pop(name) for name in OF_OTHER_SYSTEMS} == {"not applicable"}
    assert set(found.values()) == {"passed"}


def test_no_check_passes_on_an_empty_history():
    assert set(states(Recorder(lambda: 0.0).finish({})).values()) == {"not applicable"}


def test_an_event_that_reaches_another_user_is_found():
    result = result_of(Story().run(receiver="bob").end(), "cross-user-isolation")
    assert result.found == 10
    first = result.findings[0]
    assert first.message == "bob was sent agent_started of alice's run"
    assert (first.user, first.run, first.event, first.seq, first.time) == ("bob", "alice.1", "agent_started", 0, 0.5)


def test_data_of_another_user_in_an_event_is_found():
    result = result_of(Story().run(subject="bob").end(), "content-isolation")
    assert result.findings[0].message == "alice received data of bob in agent_started"


def test_an_event_of_a_run_without_a_request_is_found():
    story = Story().run()
    story.recorder.received("alice/0", "alice", "ghost.1", "agent_started", 0, subject="alice", timestamp=story.now)
    result = result_of(story.end(), "cross-user-isolation")
    assert "nobody has asked for" in result.findings[0].message


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (EVENTS[:-1], "ends 0 times"),
        ((*EVENTS, "agent_error"), "ends 2 times"),
        ((*EVENTS, "agent_thinking"), "after the end"),
        (EVENTS[1:], "begins with agent_thinking"),
        (("agent_started", *EVENTS), "begins more than once"),
        (("agent_started", "tool_executing", "tool_completed", "agent_completed"), "without agent_thinking"),
        (("agent_started", "tool_executing", "agent_thinking", "tool_completed", "agent_completed"), "wrong order"),
        ((), "published nothing"),
    ],
)
def test_wrong_critical_events_are_found(events, message):
    result = result_of(Story().run(events=events).end(), "critical-events")
    assert result.found == 1
    assert message in result.findings[0].message
    assert result.findings[0].run == "alice.1"


def test_a_run_that_ends_with_an_error_needs_no_other_events():
    assert states(Story().run(events=("agent_started", "agent_error")).end())["critical-events"] == "passed"


def test_a_missing_number_is_found():
    story = Story()
    story.recorder.scope_opened("r", "alice")
    for seq, event in zip((0, 1, 3, 4, 5), EVENTS, strict=True):
        story.recorder.published("r", "alice", event, seq)
    assert "event 2 is numbered 3" in result_of(story.end(), "critical-events").findings[0].message


def test_a_request_without_an_answer_is_found_and_a_refused_one_is_answered():
    story = Story().run()
    story.recorder.requested("bob.1", "bob", 0.0)
    story.recorder.requested("carol.1", "carol", 0.0)
    story.recorder.refused("carol.1", "carol", "engine_limit")
    result = result_of(story.end(), "every-run-ends")
    assert [(finding.user, finding.run) for finding in result.findings] == [("bob", "bob.1")]


def test_a_refusal_that_never_reaches_the_client_is_found():
    story = Story().run()
    story.recorder.requested("bob.1", "bob", 0.0)
    story.recorder.scope_refused("bob.1", "bob", "EngineLimitError")
    assert "without a word" in result_of(story.end(), "every-run-ends").findings[0].message


def test_a_lost_event_is_found_unless_its_gap_was_announced():
    lost = Story().run(drop=(2,))
    result = result_of(lost.end(), "delivery", delivered=0.5)
    assert [(finding.event, finding.seq) for finding in result.findings] == [("tool_executing", 2)]
    announced = Story().run(drop=(2,))
    announced.recorder.gap("alice/0", "alice", "alice.1", 2, 2, "evicted")
    assert states(announced.end(), delivered=0.5)["delivery"] == "passed"
    assert states(announced.end(), delivered=0.995)["delivery"] == "failed"


def test_a_repeated_or_reordered_event_is_found():
    story = Story().run()
    story.recorder.received("alice/0", "alice", "alice.1", "agent_completed", 4, subject="alice", timestamp=story.now)
    story.recorder.received("alice/0", "alice", "alice.1", "agent_thinking", 1, subject="alice", timestamp=story.now)
    messages = {finding.message for finding in result_of(story.end(), "delivery").findings}
    assert messages == {
        "agent_completed was received twice by one client",
        "agent_thinking was received twice by one client",
    }


def test_a_user_is_owed_nothing_after_the_last_connection_has_closed():
    story = Story().run(drop=(4,))
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    assert states(story.end())["delivery"] == "passed"


def test_a_send_that_never_arrived_on_an_open_connection_is_a_false_claim():
    story = Story().run(drop=(3,))
    story.recorder.sent("alice/0", "alice", "alice.1", "tool_completed", 3)
    assert result_of(story.end(), "truthfulness").findings[0].event == "tool_completed"
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    assert states(story.end())["truthfulness"] == "passed"


def test_an_event_that_was_never_sent_is_found():
    story = Story().run()
    story.recorder.received("alice/0", "alice", "alice.1", "agent_thinking", 9, subject="alice", timestamp=story.now)
    assert "without having been sent" in result_of(story.end(), "truthfulness").findings[0].message


@pytest.mark.parametrize("kind", ["unclosed", "in scope", "after shutdown"])
def test_left_overs_are_found(kind):
    story = Story().run()
    if kind == "unclosed":
        story.recorder.scope_opened("bob.1", "bob")
    elif kind == "in scope":
        story.recorder.scope_closed("alice.1", "alice", {"tasks": 2})
    else:
        story.recorder.left_over("connections", 3)
    result = result_of(story.end(), "nothing-left")
    assert result.found == 1
    expected = {
        "unclosed": "the scope of run bob.1 was never closed",
        "in scope": "2 tasks",
        "after shutdown": "3 connections",
    }
    assert expected[kind] in result.findings[0].message


def test_shared_state_is_found():
    story = Story().run()
    story.recorder.shared("alice", "bob", "dict at engine > Agent > dict")
    result = result_of(story.end(), "shared-state")
    assert result.findings[0].message == "the engines of alice and bob share a dict at engine > Agent > dict"


def test_the_first_event_is_timed_from_when_the_request_was_due():
    story = Story()
    story.now = 5.0
    story.recorder.requested("alice.0", "alice", 1.0)
    story.recorder.received("alice/0", "alice", "alice.0", "agent_started", 0, subject="alice", timestamp=story.now)
    measured = result_of(story.end(), "latency").measured
    assert measured["first event of a request, p95"].value == 4.0


def test_too_many_refusals_are_found():
    story = Story()
    for number, name in zip(range(10), itertools.cycle(["ok", "no"]), strict=False):
        story.recorder.requested(f"r{number}", "alice", 0.0)
        if name == "no":
            story.recorder.refused(f"r{number}", "alice", "engine_limit")
    assert states(story.end(), refused=0.5)["refusals"] == "passed"
    result = result_of(story.end(), "refusals", refused=0.4)
    assert "50.00% of the requests were refused" in result.findings[0].message


def test_engines_beyond_the_limit_are_found_as_soon_as_they_open():
    story = Story().run()
    for number in range(3):
        story.recorder.scope_opened(f"bob.{number}", "bob")
    for number in range(3):
        story.recorder.scope_closed(f"bob.{number}", "bob", {})
    result = result_of(story.end(), "engine-limit")
    assert [finding.message for finding in result.findings] == ["bob has 3 live engines, and may have 2"]
    assert result.findings[0].run == "bob.2"


def test_a_timestamp_that_goes_backwards_is_found():
    story = Story().run()
    story.recorder.received("alice/0", "alice", "alice.1", "agent_thinking", 5, subject="alice", timestamp=-27.0)
    assert "before the event before it" in result_of(story.end(), "timestamps").findings[0].message


def test_more_memory_than_the_objective_is_found():
    result = result_of(Story().run().end(), "memory", replay_bytes=999)
    assert result.findings[0].message == "the bridge keeps 1,000 bytes; the objective is 999"


def test_too_few_completed_requests_are_found_with_the_ends_of_the_others():
    story = Story().run().run("bob", "bob.1", ("agent_started", "agent_error"))
    story.recorder.requested("carol.1", "carol", 0.0)
    for number, code in enumerate(("http 429", "http 500", "engine_limit")):
        story.recorder.requested(f"dora.{number}", "dora", 0.0)
        story.recorder.refused(f"dora.{number}", "dora", code)
    result = result_of(story.end(), "completion", completed=0.9)
    assert [finding.message for finding in result.findings] == [
        "16.67% of the requests ended with an answer; the objective is 90.00%",
        "the request ended with agent_error",
        "the request never ended",
        "the request was refused with status 429",
        "the request failed with status 500",
        "the request was refused with engine_limit",
    ]
    assert states(story.end(), completed=0.1)["completion"] == "passed"


def test_refused_connections_count_as_refusals():
    story = Story().run()
    story.recorder.connect_refused("alice", "ConnectionLimitError")
    messages = [finding.message for finding in result_of(story.end(), "refusals").findings]
    assert messages == [
        "50.00% of the attempts to connect were refused; the objective is 1.00% at most",
        "the attempt to connect was refused with ConnectionLimitError",
    ]


def test_the_objectives_of_the_history_count_unless_others_are_given():
    story = Story().run().run("bob", "bob.1", ("agent_started", "agent_error"))
    history = story.recorder.finish({"objectives": {"completed": 0.5}})
    assert {result.check: result.state for result in check(history)}["completion"] == "passed"
    assert states(history)["completion"] == "failed"


def test_an_event_after_the_end_of_its_run_is_found():
    story = Story().run()
    story.recorder.received("alice/0", "alice", "alice.1", "agent_thinking", 5, subject="alice", timestamp=story.now)
    messages = [finding.message for finding in result_of(story.end(), "delivery").findings]
    assert messages == [
        "agent_thinking was received after the end of its run",
        "agent_thinking was never published",
    ]


def test_a_run_without_its_first_event_is_found_unless_a_gap_was_announced():
    def story_of_a_run_from_its_middle():
        story = Story().run()
        story.recorder.connected("bob/0", "bob")
        story.recorder.requested("bob.1", "bob", story.now)
        story.recorder.received("bob/0", "bob", "bob.1", "tool_executing", 2, subject="bob", timestamp=story.now)
        return story

    result = result_of(story_of_a_run_from_its_middle().end(), "delivery")
    assert {finding.message for finding in result.findings} == {
        "tool_executing is the first that its user got of the run",
        "tool_executing was never published",
    }
    announced = story_of_a_run_from_its_middle()
    announced.recorder.gap("bob/0", "bob", "bob.1", 0, 1, "evicted")
    messages = {finding.message for finding in result_of(announced.end(), "delivery").findings}
    assert messages == {"tool_executing was never published"}


def test_a_client_that_reconnects_may_continue_within_a_run():
    story = Story().run(events=EVENTS[:2])
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    story.recorder.connected("alice/1", "alice")
    for seq, event in enumerate(EVENTS[2:], 2):
        story.recorder.published("alice.1", "alice", event, seq)
        story.recorder.received("alice/1", "alice", "alice.1", event, seq, subject="alice", timestamp=story.now)
    assert states(story.end())["delivery"] == "passed"


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (
            lambda recorder: recorder.connected("alice/0", "bob"),
            "alice's connection alice/0 was opened again for bob",
        ),
        (
            lambda recorder: recorder.sent("bob/0", "bob", "alice.1", "agent_thinking", 1),
            "agent_thinking of another user's run alice.1 came on bob's connection bob/0",
        ),
        (
            lambda recorder: recorder.sent("bob/0", "alice", "alice.1", "agent_thinking", 1),
            "alice got agent_thinking on bob's connection bob/0",
        ),
        (
            lambda recorder: recorder.sent("bob/0", "alice", "bob.1", "agent_thinking", 1),
            "alice got agent_thinking on bob's connection bob/0",
        ),
        (
            lambda recorder: recorder.sent("nowhere", "alice", "alice.1", "agent_thinking", 1),
            "agent_thinking came on nowhere, which was never opened",
        ),
        (
            lambda recorder: (
                recorder.disconnected("alice/0", "alice", 1000, "bye"),
                recorder.sent("alice/0", "alice", "alice.1", "agent_thinking", 1),
            ),
            "agent_thinking was sent on alice's connection alice/0 after it was closed",
        ),
    ],
)
def test_a_connection_of_two_users_or_one_that_is_not_open_is_found(plant, message):
    story = Story().run().run("bob", "bob.1")
    plant(story.recorder)
    assert [finding.message for finding in result_of(story.end(), "connection-isolation").findings] == [message]


def test_what_was_sent_before_a_connection_closed_may_arrive_after():
    story = Story().run(drop=(4,))
    story.recorder.sent("alice/0", "alice", "alice.1", "agent_completed", 4)
    story.recorder.disconnected("alice/0", "alice", 1000, "bye")
    story.recorder.received("alice/0", "alice", "alice.1", "agent_completed", 4, subject="alice", timestamp=story.now)
    assert states(story.end())["connection-isolation"] == "passed"


def test_a_connection_name_may_be_used_again_by_its_user():
    story = Story().run()
    story.recorder.disconnected("alice/0", "alice", 1006, "gone")
    assert states(story.run("alice", "alice.2").end())["connection-isolation"] == "passed"


def test_more_connections_than_the_limit_are_found():
    story = Story().run()
    for number in range(2):
        story.recorder.connected(f"alice/{number + 1}", "alice")
    history = story.recorder.finish({"connections_per_user": 2})
    messages = [finding.message for finding in result_of(history, "engine-limit").findings]
    assert messages == ["alice has 3 open connections, and may have 2"]


def test_left_overs_are_counted_by_type():
    story = Story().run()
    story.recorder.scope_closed("alice.1", "alice", {"tasks": 2})
    story.recorder.left_over("emitters", 1)
    measured = result_of(story.end(), "nothing-left").measured
    expected = {"scopes": 1.0, "left": 3.0, "left, tasks": 2.0, "left, emitters": 1.0}
    assert {name: figure.value for name, figure in measured.items()} == expected


def test_a_lost_first_event_is_one_finding():
    result = result_of(Story().run(drop=(0,)).end(), "delivery", delivered=0.5)
    assert [finding.message for finding in result.findings] == [
        "agent_started was never received, and no gap was announced"
    ]


def test_left_overs_of_a_scope_are_found_without_itemised_records():
    story = Story().run()
    history = story.end()
    history.numbers["value"][history.numbers["kind"] == Kind.SCOPE_CLOSED] = 2.0
    assert [finding.message for finding in result_of(history, "nothing-left").findings] == [
        "2 things outlived the scope of run alice.1"
    ]


def test_live_engines_of_one_user_do_not_count_for_another():
    story = Story()
    for user in ("alice", "bob"):
        for number in range(2):
            story.recorder.scope_opened(f"{user}.{number}", user)
    assert states(story.end())["engine-limit"] == "passed"

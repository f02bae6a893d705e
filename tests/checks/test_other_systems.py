"""Histories of other systems: what their clients saw is judged, and what they could not see is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import OF_OTHER_SYSTEMS, ForeignStory, result_of, states

from netra_sim import Scenario
from netra_sim.checks import Records, check, lacks
from netra_sim.defects.planted.foreign import PER_TOKEN, RECORDED
from netra_sim.history import Kind, Objectives, read_log
from netra_sim.simulation import ScenarioError

NAN = float("nan")

JUDGED = {
    *("content-isolation", "liveness", "unhandled-errors", "answers", "every-run-ends", "timestamps"),
    *("latency", "silence", "completion", "refusals", "faults-acted", *OF_OTHER_SYSTEMS),
}


def messages(history, name, **objectives):
    return [finding.message for finding in result_of(history, name, **objectives).findings]


def many_users(count=25):
    story = ForeignStory()
    for number in range(count):
        story.run(f"u{number}", f"u{number}.1")
    return story


def test_a_right_history_passes_every_check_that_can_judge_it_and_no_other_check():
    found = states(many_users().run("bob", "bob.1", leaves_after=3, works_on=2).end())
    assert {name for name, state in found.items() if state == "passed"} == JUDGED
    assert {state for name, state in found.items() if name not in JUDGED} == {"not applicable"}


def test_a_check_that_cannot_judge_says_what_is_missing():
    history = many_users().end()
    told = {one.check: one.inconclusive or lacks(Records(history), one.check) for one in check(history)}
    not_judged = [one.check for one in check(history) if one.state == "not applicable"]
    assert {name for name in not_judged if not told[name]} <= {"tools"}  # it says that it looked at 0 tools
    assert told["work-after-leaving"] == "no reader left early: not judged"
    assert told["cross-user-isolation"].startswith("received events name no run")


def test_a_check_needs_the_records_that_the_meta_names():
    story = ForeignStory(recorded=())
    recorder = story.recorder
    recorder.requested("alice.1", "alice", 0.0)
    recorder.received("c", "alice", "alice.1", "agent_completed", -1, subject="alice", timestamp=NAN)
    history = story.end()
    found = states(history)
    for name in (*OF_OTHER_SYSTEMS, "liveness", "unhandled-errors"):
        assert found[name] == "not applicable"
        assert name == "work-after-leaving" or lacks(Records(history), name)


# Work after leaving


def test_work_that_goes_on_after_the_last_reader_left_is_found_with_user_run_and_time():
    story = ForeignStory().run().run("bob", "bob.1", leaves_after=3, works_on=50)
    result = result_of(story.end(), "work-after-leaving")
    (finding,) = result.findings
    assert finding.message == (
        "after bob had left the run, services worked on for 10.0 s: 50 units of work, 26 of them later than the 5 s allowed"
    )
    assert (finding.user, finding.run) == ("bob", "bob.1")
    assert result.measured["units of work after leaving"].value == 50
    assert result.measured["longest work after leaving"].value == pytest.approx(50 * PER_TOKEN)


def test_the_objective_says_how_long_work_may_go_on():
    history = ForeignStory().run("bob", "bob.1", leaves_after=3, works_on=10).end()
    assert states(history)["work-after-leaving"] == "passed"
    assert states(history, work_after_leaving=1.0)["work-after-leaving"] == "failed"
    assert states(history, work_after_leaving=2.5)["work-after-leaving"] == "passed"


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_lost_reader_has_left_as_well(is_lost):
    story = ForeignStory().run()
    story.recorder.worked("bob.1", "bob", 0, "model")
    story.recorder.left("bob.1", "bob", "bob.1", is_lost=is_lost)
    story.now += 20.0
    story.recorder.worked("bob.1", "bob", 1, "model")
    assert states(story.end())["work-after-leaving"] == "failed"


def test_a_run_that_is_read_again_was_not_left():
    story = ForeignStory().run("bob", "bob.1", leaves_after=3)
    story.now += 20.0
    story.recorder.worked("bob.1", "bob", 3, "model")
    story.recorder.received("again", "bob", "bob.1", "agent_completed", -1, subject="", timestamp=NAN)
    assert states(story.end())["work-after-leaving"] == "not applicable"


def test_a_run_for_which_no_service_worked_is_not_judged():
    story = ForeignStory()
    story.recorder.left("bob.1", "bob", "bob.1")
    result = result_of(story.end(), "work-after-leaving")
    assert (result.state, result.inconclusive) == (
        "not applicable",
        "1 runs were left, and no service recorded work for them: not judged",
    )


def test_a_history_that_ends_too_soon_after_the_leaving_is_not_judged():
    history = ForeignStory().run("bob", "bob.1", leaves_after=3, works_on=2).end()
    result = result_of(history, "work-after-leaving", work_after_leaving=60.0)
    assert (result.state, result.inconclusive) == (
        "not applicable",
        "the recording ends within 60 s after 1 runs were left: not judged",
    )


# Ends


def test_a_user_who_left_by_choice_waits_for_no_end():
    history = ForeignStory().run().run("bob", "bob.1", leaves_after=3).end()
    found = {one.check: one for one in check(history)}
    assert [found[name].state for name in ("every-run-ends", "completion")] == ["passed", "passed"]
    assert found["every-run-ends"].looked_at == 1
    assert found["latency"].measured["requests without an end"].value == 0


def test_a_user_whose_connection_is_lost_waits_for_the_end():
    story = ForeignStory().run().run("bob", "bob.1", end="")
    story.recorder.left("bob.1", "bob", "bob.1", is_lost=True)
    assert messages(story.end(), "every-run-ends") == [
        "bob asked and never learned how it ended; no beginning of its run is recorded"
    ]


def test_a_stream_that_breaks_off_is_no_end():
    history = ForeignStory().run().run("bob", "bob.1", end="").end()
    assert [states(history)[name] for name in ("every-run-ends", "completion")] == ["failed", "failed"]


def test_after_a_fault_nobody_is_accused_of_not_being_served_again():
    story = ForeignStory()
    story.recorder.requested("bob.1", "bob", 0.0)
    assert states(story.end())["recovery"] == "not applicable"


# Marks


def test_data_of_another_user_is_found_in_any_event():
    history = ForeignStory().run().run("bob", "bob.1", subject="alice").end()
    assert messages(history, "content-isolation")[0] == "bob received data of alice in TEXT_MESSAGE_CONTENT"


def test_another_users_thread_gives_no_right_to_that_users_data():
    story = ForeignStory().run(thread="t").run("mallory", "mallory.1", thread="t", subject="alice")
    assert states(story.end())["content-isolation"] == "failed"


@pytest.mark.parametrize(("isolated_by", "state"), [("run", "failed"), ("thread", "passed"), ("room", "passed")])
def test_an_earlier_run_of_the_thread_may_come_back(isolated_by, state):
    story = ForeignStory(isolated_by=isolated_by).run(run="alice.1", thread="t").run(run="alice.2", thread="t")
    story.recorder.other_run("alice.2", "alice", "alice.2", "MESSAGES_SNAPSHOT", "alice.1")
    assert states(story.end())["content-isolation"] == state


@pytest.mark.parametrize("isolated_by", ["run", "thread", "room"])
def test_a_run_of_another_thread_may_not_come_back(isolated_by):
    story = ForeignStory(isolated_by=isolated_by).run(run="alice.1", thread="t").run(run="alice.2", thread="other")
    story.recorder.other_run("alice.2", "alice", "alice.2", "MESSAGES_SNAPSHOT", "alice.1")
    story.recorder.other_run("alice.2", "alice", "alice.2", "MESSAGES_SNAPSHOT", "nobody.1")
    assert len(messages(story.end(), "content-isolation")) == 2


def test_a_run_of_another_user_may_not_come_back_in_that_users_thread():
    story = ForeignStory().run(thread="t").run("mallory", "mallory.1", thread="t")
    story.recorder.other_run("mallory.1", "mallory", "mallory.1", "MESSAGES_SNAPSHOT", "alice.1")
    told = "mallory received data of the run alice.1 in MESSAGES_SNAPSHOT of another run"
    assert messages(story.end(), "content-isolation") == [told]


def room_story():
    """Alice and a silent user are in the lobby, Bob in both rooms, Mallory in the kitchen; each room has one message."""
    story = ForeignStory(isolated_by="room", names_runs=True)
    recorder = story.recorder
    for user, room in (
        ("alice", "lobby"),
        ("silent", "lobby"),
        ("bob", "lobby"),
        ("bob", "kitchen"),
        ("mallory", "kitchen"),
    ):
        recorder.attached(f"{user}/{room}", user, f"{user}/{room}", 0.01, room)
        recorder.connected(f"{user}/{room}", user)
    for room, owner, readers in (
        ("lobby", "bob", ("alice", "silent", "bob")),
        ("kitchen", "mallory", ("bob", "mallory")),
    ):
        recorder.requested(f"{owner}.1", owner, story.now, room)
        for reader in readers:
            story.now += 0.1
            event = "agent_completed" if reader == owner else "message"
            connection = f"{reader}/{room}"
            recorder.received(connection, reader, f"{owner}.1", event, -1, subject=owner, timestamp=NAN, thread_id=room)
    return story


def test_data_of_others_in_the_room_is_wanted():
    history = room_story().end()
    found = states(history)
    for name in ("content-isolation", "cross-user-isolation", "connection-isolation", "thread-isolation"):
        assert found[name] == "passed"


@pytest.mark.parametrize("isolated_by", ["run", "thread"])
def test_without_rooms_data_of_others_is_not_wanted(isolated_by):
    history = room_story().end()
    history.meta["isolated_by"] = isolated_by
    for name in ("content-isolation", "cross-user-isolation", "connection-isolation"):
        assert states(history)[name] == "failed"


def test_data_of_another_room_is_found_whether_the_event_names_its_run_or_not():
    for run in ("mallory.1", "bob.1", ""):
        story = room_story()
        story.recorder.received("alice/lobby", "alice", run, "message", -1, subject="mallory", timestamp=NAN)
        assert messages(story.end(), "content-isolation") == ["alice received data of mallory in message"]


def test_a_run_of_another_room_is_found_although_its_user_is_in_both_rooms():
    story = room_story()
    story.recorder.requested("bob.2", "bob", story.now, "kitchen")
    for connection, user in (("alice/lobby", "alice"), ("bob/lobby", "bob")):
        story.recorder.received(connection, user, "", "message", -1, subject="bob", timestamp=NAN)
        story.recorder.other_run(connection, user, "", "message", "bob.1")
        story.recorder.other_run(connection, user, "", "message", "bob.2")
    told = "received data of the run bob.2 in message of another run"
    assert messages(story.end(), "content-isolation") == [f"alice {told}", f"bob {told}"]


def test_an_event_of_a_run_in_another_room_is_found():
    story = room_story()
    story.recorder.received("alice/lobby", "alice", "mallory.1", "message", -1, subject="", timestamp=NAN)
    assert messages(story.end(), "cross-user-isolation") == ["alice received message of mallory's run"]


def test_an_event_without_a_run_has_no_wrong_owner():
    story = room_story()
    story.recorder.received("alice/lobby", "alice", "", "message", -1, subject="bob", timestamp=NAN)
    result = result_of(story.end(), "cross-user-isolation")
    assert (result.state, result.looked_at) == ("passed", 5)


def test_a_user_without_a_room_shares_none():
    story = room_story()
    story.recorder.received("eve", "eve", "", "message", -1, subject="bob", timestamp=NAN)
    assert messages(story.end(), "content-isolation") == ["eve received data of bob in message"]


# Order, tokens, secrets


def test_a_broken_order_is_told_with_its_rule():
    story = ForeignStory().run()
    story.recorder.out_of_order("alice.1", "alice", "alice.1", "RUN_FINISHED", "a message is open when the run ends")
    (finding,) = result_of(story.end(), "event-order").findings
    assert finding.message == "RUN_FINISHED breaks the protocol: a message is open when the run ends"
    assert (finding.user, finding.run, finding.event) == ("alice", "alice.1", "RUN_FINISHED")


def test_tokens_that_come_twice_or_not_at_all_are_told_and_are_no_events():
    story = ForeignStory().run()
    story.recorder.repeated("alice.1", "alice", "alice.1", "TEXT_MESSAGE_CONTENT", 3)
    story.recorder.missing("alice.1", "alice", "alice.1", 4, 4)
    story.recorder.missing("alice.1", "alice", "alice.1", 6, 9)
    history = story.end()
    assert messages(history, "tokens") == [
        "alice received token 3 of the answer twice",
        "alice never received token 4 of the answer",
        "alice never received tokens 6 to 9 of the answer",
    ]
    assert states(history)["delivery"] == "not applicable"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (7, ["bob never received the last token of the answer, and the run ended well"]),
        (9, ["bob never received the last 3 tokens of the answer, and the run ended well"]),
        (6, []),
    ],
)
def test_tokens_that_are_lost_at_the_end_of_an_answer_are_told(made, told):
    history = ForeignStory().run().run("bob", "bob.1", tokens=6, made=made).end()
    assert messages(history, "tokens") == told
    measured = result_of(history, "tokens").measured
    assert measured["answers whose end was compared with the model's"].value == 2


def test_tokens_that_are_missing_in_the_middle_are_not_lost_at_the_end_too():
    story = ForeignStory().run(tokens=6, made=8)
    story.recorder.missing("alice.1", "alice", "alice.1", 2, 3)
    assert messages(story.end(), "tokens") == ["alice never received tokens 2 to 3 of the answer"]


def test_the_end_of_an_answer_is_not_judged_where_the_model_was_asked_twice_or_had_not_ended():
    twice = ForeignStory().run(tokens=6, made=8)
    twice.recorder.worked("alice.1", "alice", 0, "model")
    hung_up = ForeignStory().run(tokens=6, made=0)  # the model made none after the last that arrived
    not_ended = ForeignStory().run(tokens=6, made=0)
    not_ended.recorder.worked("alice.1", "alice", 7, "model", is_last=True)
    for story in (twice, hung_up, not_ended):
        found = result_of(story.end(), "tokens")
        assert found.measured["answers whose end was compared with the model's"].value == 0
        assert found.found == 0


@pytest.mark.parametrize(("fault", "judged"), [("partition", 0), ("slow-agents", 1)])
def test_the_end_of_an_answer_is_not_judged_during_a_partition_as_the_model_does_not_hear_that_it_was_hung_up_on(
    fault, judged
):
    story = ForeignStory()
    story.recorder.fault_began(fault)
    found = result_of(story.run(tokens=6, made=8).end(), "tokens")
    assert found.measured["answers whose end was compared with the model's"].value == judged
    assert found.found == judged


def test_an_event_that_comes_again_is_no_token(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"kind": "repeated", "user": "alice", "run": "alice.1", "event": "message", "seq": 3}')
    found = states(read_log(path).history)
    assert (found["tokens"], found["delivery"]) == ("not applicable", "failed")


def test_answers_without_numbers_show_nothing_about_tokens():
    story = ForeignStory()
    story.recorder.answered("alice.1", "alice", "complete")
    assert states(story.end())["tokens"] == "not applicable"


def test_a_secret_that_reaches_a_user_is_named_and_not_quoted():
    story = ForeignStory().run()
    story.recorder.disclosed("alice.1", "alice", "alice.1", "RUN_ERROR", "the model's key")
    assert messages(story.end(), "disclosure") == ['alice received the planted secret "the model\'s key" in RUN_ERROR']


def test_a_system_that_was_given_no_secret_has_kept_none():
    story = ForeignStory().run()
    history = story.end()
    history.numbers["value"][history.numbers["kind"] == Kind.SAMPLE] = 0.0
    result = result_of(history, "disclosure")
    assert (result.state, result.inconclusive) == (
        "not applicable",
        "no planted secret was given to the system: not judged",
    )


# Numbered events


def numbered(numbers):
    story = ForeignStory(names_runs=True)
    story.recorder.requested("alice.1", "alice", 0.0)
    story.recorder.attached("alice/0", "alice", "alice")
    story.recorder.connected("alice/0", "alice")
    for seq in numbers:
        story.now += 0.1
        story.recorder.received("alice/0", "alice", "alice.1", "message", seq, subject="alice", timestamp=NAN)
    return story.end()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1, 2, 4), "message comes after numbers that are missing, and no gap was announced"),
        ((0, 1, 1, 2), "message was received twice by one client"),
        ((0, 2, 1), "message was received after a later one"),
    ],
)
def test_numbers_of_the_protocol_are_judged_as_delivery(numbers, message):
    assert message in messages(numbered(numbers), "delivery")


def test_numbers_may_begin_anywhere():
    result = result_of(numbered((1, 2, 3)), "delivery")
    assert (result.state, result.looked_at) == ("passed", 3)


# Times


def test_the_time_to_the_first_piece_of_an_answer_is_measured_and_judged_if_asked():
    history = many_users().end()
    result = result_of(history, "latency")
    # 10 ms after the token, which takes 200 ms after RUN_STARTED, which comes 30 ms after the request; less twice the line.
    assert result.measured["first content of a request, p95"].value == pytest.approx(0.03 + 0.2 + 0.01 - 0.02)
    assert states(history, first_content_p95=0.5)["latency"] == "passed"
    assert states(history, first_content_p95=0.1)["latency"] == "failed"


def arrivals(work, received, recorded=RECORDED):
    """The result of silence for a run with units of work and events at these times."""
    story = ForeignStory(recorded=recorded)
    recorder = story.recorder
    recorder.requested("alice.1", "alice", 0.0)
    story.now = 0.02
    recorder.attached("c", "alice", "alice")
    recorder.connected("c", "alice")
    for time, is_arrival in sorted([(time, False) for time in work] + [(time, True) for time in received]):
        story.now = time
        if is_arrival:
            recorder.received("c", "alice", "alice.1", "message", -1, subject="alice", timestamp=NAN)
        else:
            recorder.worked("alice.1", "alice", 0, "model")
    story.now += 1.0
    return result_of(story.end(), "silence")


def test_a_model_that_answers_late_and_at_once_holds_nothing_back():
    assert arrivals((8.0, 8.01, 8.02), (0.1, 8.01, 8.02, 8.03, 8.04)).found == 0


def test_tokens_that_were_made_over_seconds_and_come_together_were_held_back():
    result = arrivals((2.0, 4.0, 6.0, 8.0), (0.1, 8.01, 8.02, 8.03, 8.04))
    assert "were held back and came together at its end" in result.findings[0].message


def test_work_after_the_last_event_is_no_sign_of_events_held_back():
    assert arrivals((2.0, 2.01, 9.0, 12.0), (0.1, 2.01, 2.02, 2.03)).found == 0


def test_the_wait_for_the_first_event_counts_from_the_request_on_a_connection_that_is_opened_for_it():
    result = arrivals((), (95.0, 95.1))
    assert [finding.message for finding in result.findings] == [
        "message came 95.000 s after the request; the objective is 90 s"
    ]


def test_the_objectives_of_a_foreign_history_are_those_of_its_meta():
    story = ForeignStory(objectives=Objectives(work_after_leaving=1.0)).run("bob", "bob.1", leaves_after=3, works_on=10)
    assert {one.check: one.state for one in check(story.end())}["work-after-leaving"] == "failed"


def test_objectives_without_a_default_can_be_set_in_a_scenario():
    scenario = Scenario().with_settings({"objectives.work_after_leaving": 3.0})
    assert scenario.objectives == Objectives(work_after_leaving=3.0)
    assert scenario.with_settings({"objectives.first_content_p95": 1}).objectives.work_after_leaving == 3.0
    with pytest.raises(ScenarioError, match=r"objectives: there is no field nothing; it takes delivery_mean"):
        scenario.with_settings({"objectives.nothing": 1.0})


# Any history


@given(st.lists(st.integers(0, 60).filter(lambda units: units != 25), min_size=1, max_size=6))
@settings(max_examples=40)
def test_exactly_the_runs_with_work_beyond_the_objective_are_found(units):
    story = ForeignStory()
    for number, count in enumerate(units):
        story.run(f"u{number}", f"u{number}.1", leaves_after=2, works_on=count)
    result = result_of(story.end(), "work-after-leaving")
    assert {finding.run for finding in result.findings} == {
        f"u{number}.1" for number, count in enumerate(units) if count * PER_TOKEN > 5.0
    }
    assert (result.looked_at, result.measured["units of work after leaving"].value) == (len(units), sum(units))


USERS, ROOMS = ("ann", "ben", "cat"), ("lobby", "kitchen")


@given(
    st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(ROOMS)), min_size=1),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(USERS)), max_size=8),
)
@settings(max_examples=100)
def test_exactly_the_data_of_users_outside_the_room_is_found(members, received):
    places = sorted(members)
    story = ForeignStory(isolated_by="room")
    for user, room in places:
        story.recorder.attached(f"{user}/{room}", user, f"{user}/{room}", room=room)
    wrong = []
    for place, owner in received:
        reader, room = places[place % len(places)]
        story.now += 1.0
        story.recorder.received(f"{reader}/{room}", reader, "", "message", -1, subject=owner, timestamp=NAN)
        wrong += [story.now] if owner != reader and (owner, room) not in members else []
    result = result_of(story.end(), "content-isolation")
    assert [finding.time for finding in result.findings] == wrong

"""Users receive events while a run goes on: without long pauses, and not all at its end."""

import pytest
from story import EVENTS, Story, result_of

from netra_sim.defects.planted.histories import two_users


def judged(arrivals, *, published=None, fault=False, away=False, events=EVENTS, began=0.0):
    """The result for a run of carol with events that arrive at these times; by default they are published then."""
    story = two_users()
    start, recorder = story.now, story.recorder
    recorder.connected("carol/0", "carol")
    recorder.requested("carol.1", "carol", start)
    if away:
        recorder.disconnected("carol/0", "carol", 1006, "gone")
    if fault:
        recorder.fault_began("stalled")
    moments = [(time, 0, seq) for seq, time in enumerate(published or arrivals)]
    moments += [(time, 1, seq) for seq, time in enumerate(arrivals)]
    opened = not away
    for time, is_arrival, seq in sorted(moments):
        story.now = start + time
        if not is_arrival:
            recorder.published("carol.1", "carol", events[seq], seq)
            continue
        connection = "carol/1" if away else "carol/0"
        if not opened:
            recorder.connected(connection, "carol")
            opened = True
        recorder.sent(connection, "carol", "carol.1", events[seq], seq)
        stamp = start + (published or arrivals)[seq]
        recorder.received(connection, "carol", "carol.1", events[seq], seq, subject="carol", timestamp=stamp)
    if fault:
        recorder.fault_ended("stalled", 1)
    story.now += 0.5
    return result_of(story.end(), "silence")


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        ((1, 2, 3, 4, 95), "agent_completed came 91.000 s after the event before; the objective is 90 s"),
        ((91, 92, 93, 94, 95), "agent_started came 91.000 s after the request; the objective is 90 s"),
    ],
)
def test_a_pause_beyond_the_objective_is_found(arrivals, message):
    result = judged(arrivals)
    assert [finding.message for finding in result.findings] == [message]
    assert result.measured["longest pause"].value == pytest.approx(91.0)


def test_a_pause_equal_to_the_objective_is_no_finding():
    assert judged((1, 2, 3, 4, 94.0)).found == 0


@pytest.mark.parametrize("arrivals", [(1, 2, 3, 4, 5), (0.1, 0.2, 6, 6.1, 6.2), (0.1, 0.2, 0.3, 0.4, 0.5)])
def test_events_that_arrive_while_the_run_goes_on_are_right(arrivals):
    assert judged(arrivals).found == 0


def test_events_published_over_seconds_that_arrive_together_are_found():
    result = judged((10.0, 10.01, 10.02, 10.03, 10.04), published=(1, 3, 5, 7, 9))
    assert "were held back and came together at its end" in result.findings[0].message


def test_events_published_together_at_the_end_are_found_even_if_the_first_came_early():
    assert judged((0.1, 10.0, 10.01, 10.02, 10.03)).found == 1


def test_a_client_that_was_away_did_not_wait():
    together = (10.0, 10.01, 10.02, 10.03, 10.04)
    assert judged(together, published=(1, 3, 5, 7, 9), away=True).found == 0


def test_a_client_that_a_fault_stops_from_reading_is_no_finding():
    assert judged((10.0, 10.01, 10.02, 10.03, 10.04), published=(1, 3, 5, 7, 9), fault=True).found == 0


def test_a_system_stalled_since_the_request_held_nothing_back():
    assert judged((40.0, 40.5, 41.0, 41.5, 42.0)).found == 0


def test_the_time_between_two_uses_of_a_run_id_is_no_pause():
    story = two_users()
    story.now += 300
    assert result_of(Story.run(story).end(), "silence").found == 0

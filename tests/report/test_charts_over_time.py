"""Pictures over time: the heat map, gauges, live engines and recovery, each with the faults marked."""

import numpy as np
import pytest

from netra_sim.charts import Measure, gauge_over_time, latency_over_time, live_engines, recovery
from netra_sim.recording import Recorder


class Recording:
    """Events at equal distances, each with its own latency."""

    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)
        self.seq = 0

    def events(self, until, latency, every=0.01):
        while self.now < until - 1e-9:
            began = self.now
            self.recorder.published("r", "u", "agent_thinking", self.seq)
            self.now = began + latency
            self.recorder.received("c", "u", "r", "agent_thinking", self.seq, subject="u", timestamp=0.0)
            self.now = max(began + every, self.now)
            self.seq += 1

    def fault(self, name, *, began=True):
        (self.recorder.fault_began if began else self.recorder.fault_ended)(name)

    def finish(self):
        return self.recorder.finish({})


def with_fault(*, after=0.001, late_until=0.0):
    """Ten seconds before a fault, ten with it, and ten after it, in which the first events may still be late."""
    recording = Recording()
    recording.events(10, 0.001)
    recording.fault("loop-stall")
    recording.events(20, 0.3)
    recording.fault("loop-stall", began=False)
    recording.events(20 + late_until, 0.3)
    recording.events(30, after)
    return recording.finish()


def strip_and_panels(picture):
    """The strip that names the faults, and the panels below it."""
    visible = [axes for axes in picture.figure.axes if axes.get_label() != "<colorbar>"]
    return visible[0], visible[1:]


def spans(axes):
    """The beginnings and ends of the bars on some axes."""
    boxes = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    return [(round(box.x0, 3), round(box.x1, 3)) for box in boxes]


def test_the_heat_map_counts_every_event_marks_the_objective_and_names_the_fault():
    history = with_fault()
    picture = latency_over_time(history, 0.1)
    strip, (axes,) = strip_and_panels(picture)
    assert axes.collections[1].get_array().sum() == len(history.frame(5))
    assert list(axes.lines[0].get_ydata()) == [0.1, 0.1]
    assert [label.get_text() for label in strip.get_yticklabels()] == ["loop-stall"]
    assert spans(strip) == [(10.0, 20.2)]
    assert spans(axes)[0] == (10.0, 20.2)
    assert picture.title == "1.69% of 2,014 events took longer than 100 ms, all of these during loop-stall"
    assert "Faults: loop-stall" in picture.alt
    assert "Hatched" in picture.caption
    assert picture.numbers["fault on"].sum() == pytest.approx(30, abs=3)
    assert picture.numbers["events"].sum() == 2014


def test_without_a_fault_there_is_no_strip():
    recording = Recording()
    recording.events(3, 0.02)
    picture = latency_over_time(recording.finish(), 0.1)
    assert len([axes for axes in picture.figure.axes if axes.get_label() != "<colorbar>"]) == 1
    assert picture.title == "0% of 150 events took longer than 100 ms"
    assert "Hatched" not in picture.caption


def test_a_first_event_is_measured_from_when_its_request_was_due():
    recording = Recording()
    recording.now = 5.0
    recording.recorder.requested("r", "u", 1.0)
    recording.events(5.01, 0.0)
    history = recording.finish()
    assert "0% of 1 events" in latency_over_time(history, 0.1).title
    late = latency_over_time(history, 0.1, Measure.FIRST_EVENT)
    assert late.title == "100% of 1 first events took longer than 100 ms"
    assert late.numbers["slowest (ms)"].to_list() == [4000.0]
    assert late.numbers["from (s)"].to_list() == [pytest.approx(1, abs=0.02)]


@pytest.mark.parametrize(
    ("late_until", "after", "title"),
    [
        (0.0, 0.001, "p95 is back within 100 ms as soon as loop-stall ended"),
        (10.0, 0.3, "p95 is not back within 100 ms by the end, 10.2 s after loop-stall ended"),
    ],
)
def test_recovery_says_whether_the_objective_is_met_again(late_until, after, title):
    assert recovery(with_fault(late_until=late_until, after=after), 0.1).title == title


def test_recovery_says_how_long_it_took_and_marks_the_moment():
    picture = recovery(with_fault(late_until=7.0), 0.1)
    _, (axes,) = strip_and_panels(picture)
    back = next(line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1)
    # The fault ended with the event at 20.2 s, the last late one arrived at 27.1 s.
    assert 27.1 <= back <= 28
    assert picture.title == f"p95 is back within 100 ms, {back - 20.2:.3g} s after loop-stall ended"
    numbers = picture.numbers
    assert numbers["events"].sum() > 0
    assert (numbers["p95 (ms)"][numbers["from (s)"] >= back] < 100).all()
    assert 20.2 in numbers["from (s)"].round(6).to_list()


def test_one_late_event_long_after_the_fault_does_not_deny_recovery():
    recording = Recording()
    recording.events(10, 0.001)
    recording.fault("deploy")
    recording.events(12, 0.3)
    recording.fault("deploy", began=False)
    recording.events(20, 0.001, every=0.1)
    recording.events(20.2, 0.2)
    recording.events(30, 0.001, every=0.1)
    assert recovery(recording.finish(), 0.1).title == "p95 is back within 100 ms as soon as deploy ended"


def test_recovery_without_harm_or_without_a_fault_says_so():
    recording = Recording()
    recording.events(5, 0.001)
    recording.fault("deploy")
    recording.events(8, 0.001)
    recording.fault("deploy", began=False)
    recording.events(12, 0.001)
    history = recording.finish()
    assert recovery(history, 0.1).title == "p95 kept within 100 ms through deploy"
    assert "no fault to recover from" in recovery(history, 0.1, "another").alt


def test_recovery_shows_the_share_of_users_that_are_connected():
    recording = Recording()
    for user in ("a", "b"):
        recording.recorder.connected(f"{user}/1", user)
    recording.events(10, 0.001)
    recording.fault("disconnect")
    recording.recorder.disconnected("a/1", "a", 1006, "reset")
    recording.events(20, 0.001)
    recording.fault("disconnect", began=False)
    recording.recorder.connected("a/2", "a")
    recording.events(30, 0.001)
    picture = recovery(recording.finish(), 0.1)
    _, (_, connected) = strip_and_panels(picture)
    assert connected.get_ylabel() == "users\nconnected"
    assert sorted(set(connected.lines[0].get_ydata())) == [0.5, 1.0]
    assert "At the worst moment 50% of the users were connected" in picture.alt


def test_a_gauge_is_drawn_with_its_peak_its_end_and_its_limit():
    recording = Recording()
    recording.fault("slow-consumer")
    for value in (0, 3, 12, 5):
        recording.now += 1
        recording.recorder.sample("waiting frames", value)
        recording.recorder.sample("something else", 99)
    picture = gauge_over_time(recording.finish(), "waiting frames", limit=10)
    _, (axes,) = strip_and_panels(picture)
    assert list(axes.lines[0].get_ydata()) == [0, 3, 12, 5]
    assert picture.title == (
        "Waiting frames: 12 at most, at 3.0 s during slow-consumer; 5 at the end. The limit of 10 was exceeded"
    )
    assert [text.get_text() for text in axes.texts] == ["limit\n10"]
    assert picture.numbers["waiting frames"].to_list() == [0, 3, 12, 5]


def test_many_samples_keep_their_peak():
    recording = Recording()
    values = np.zeros(50_000)
    values[31_234] = 77
    for value in values:
        recording.now += 0.01
        recording.recorder.sample("g", value)
    picture = gauge_over_time(recording.finish(), "g")
    drawn = picture.figure.axes[0].lines[0].get_ydata()
    assert (len(drawn) < 1500, max(drawn)) == (True, 77)


def test_the_engines_picture_counts_live_engines():
    recording = Recording()
    for run in "abc":
        recording.recorder.scope_opened(run, "u")
        recording.now += 1
    recording.recorder.scope_closed("a", "u", {})
    picture = live_engines(recording.finish())
    assert picture.title == "At most 3 engines live at once, and 2 are left"
    assert list(picture.figure.axes[0].lines[0].get_ydata()) == [1, 2, 3, 2]


def test_many_faults_share_a_row():
    recording = Recording()
    for number in range(9):
        recording.fault(f"fault-{number}")
    recording.events(1, 0.01)
    strip, _ = strip_and_panels(latency_over_time(recording.finish(), 0.1))
    assert [label.get_text() for label in strip.get_yticklabels()] == [
        *(f"fault-{number}" for number in range(5)), "4 more faults",
    ]  # fmt: skip

"""The timeline of a run shows what it waited for; the worst run is chosen correctly."""

import pytest

from netra_sim.charts import run_timeline, worst_run_timeline
from netra_sim.recording import Recorder


class Recording:
    """Builds runs of some users step by step."""

    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)

    def at(self, now):
        self.now = now
        return self.recorder

    def run(self, user, *, due=0.0, began=1.0, tool=(2.0, 4.0), end=5.0, late=0.1, final="agent_completed"):
        """A run with one tool; each event arrives a little later, the final one later still."""
        run = f"{user}.1"
        times = (began, began, *tool)
        steps = [*zip(times, ("agent_started", "agent_thinking", "tool_executing", "tool_completed"), strict=True)]
        self.at(due).requested(run, user, due)
        for seq, (time, event) in enumerate(steps):
            self.at(time).published(run, user, event, seq)
            self.at(time + 0.01).received(f"{user}/1", user, run, event, seq, subject=user, timestamp=0.0)
        if final:
            self.at(end).published(run, user, final, len(steps))
            self.at(end + late).received(f"{user}/1", user, run, final, len(steps), subject=user, timestamp=0.0)

    def finish(self):
        return self.recorder.finish({"source": "simulation", "seed": 7})


def lanes(picture):
    axes = picture.figure.axes[-1]
    return {label.get_text(): place for place, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}


def bars(picture, lane):
    """Beginnings and ends of the bars of a lane."""
    middle = lanes(picture)[lane]
    boxes = [path.get_extents() for each in picture.figure.axes[-1].collections for path in each.get_paths()]
    boxes = [box for box in boxes if 0.5 < box.height < 0.6 and box.y0 < middle < box.y1]
    return sorted((round(box.x0, 3), round(box.x1, 3)) for box in boxes)


def written(picture):
    return [text.get_text() for text in picture.figure.axes[-1].texts]


def test_waiting_thinking_and_tools_are_bars_and_the_answer_is_in_the_title():
    recording = Recording()
    recording.run("alice")
    picture = run_timeline(recording.finish(), "alice.1")
    assert picture.title == "alice.1 had its answer after 5.1 s; its slowest event took 100 ms to the client"
    assert bars(picture, "agent") == [(0.0, 1.0), (1.0, 2.0)]
    assert bars(picture, "tool") == [(2.0, 4.0)]
    assert {"waiting 1 s", "1 s", "2 s", "answer after 5.1 s"} <= set(written(picture))
    assert picture.numbers["took (ms)"].round(3).to_list() == [10, 10, 10, 10, 100]


def test_concurrent_tools_have_separate_lanes():
    recording = Recording()
    for seq, (time, event) in enumerate(
        [(0, "tool_executing"), (1, "tool_executing"), (2, "tool_completed"), (3, "tool_completed")]
    ):
        recording.at(time).published("r", "u", event, seq)
    picture = run_timeline(recording.finish(), "r")
    assert (bars(picture, "tool 1"), bars(picture, "tool 2")) == ([(0, 2)], [(1, 3)])


def test_the_worst_run_has_the_longest_time_from_due_to_end():
    recording = Recording()
    recording.run("alice", due=0.0, end=5.0)
    recording.run("bob", due=4.0, began=10.0, tool=(11, 12), end=13.0)
    recording.run("dora", due=13.0, began=13.5, tool=(14, 15), end=16.0)
    recording.run("carol", due=8.0, began=14.0, tool=(14, 15), end=16.0, final="")
    picture = worst_run_timeline(recording.finish())
    assert picture.title.startswith("The slowest of 3 answered runs: bob.1 had its answer after 9.1 s")
    assert "1 run got no answer" in picture.caption


def test_an_error_is_no_answer():
    recording = Recording()
    recording.run("alice", final="agent_error")
    assert "alice.1 had an error after 5.1 s" in worst_run_timeline(recording.finish()).title


def test_an_answer_at_another_user_does_not_count_and_is_marked():
    recording = Recording()
    recording.run("alice", final="")
    recording.at(5).published("alice.1", "alice", "agent_completed", 4)
    recording.at(6).received("mallory/1", "mallory", "alice.1", "agent_completed", 4, subject="alice", timestamp=0.0)
    picture = worst_run_timeline(recording.finish())
    assert picture.title.startswith("No run was answered; the first of 1: alice.1 got no answer")
    assert "at another user" in {text.get_text() for text in picture.figure.legends[0].get_texts()}


def test_lost_connections_are_marked_where_they_were_lost_and_orderly_ends_are_not():
    recording = Recording()
    recording.at(0).connected("alice/1", "alice")
    recording.at(0).connected("bob/1", "bob")
    recording.run("alice")
    recording.at(2.5).disconnected("alice/1", "alice", 1006, "reset")
    recording.at(3).connected("alice/2", "alice")
    recording.at(4).disconnected("alice/2", "alice", 1000, "the tab was closed")
    picture = run_timeline(recording.finish(), "alice.1")
    assert bars(picture, "connection") == [(0, 2.5), (3, 4)]
    crosses = [line for line in picture.figure.axes[-1].lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[2.5]]
    assert "1 of 2 connections ended badly" in picture.alt


def test_a_refused_run_says_why():
    recording = Recording()
    recording.at(1).requested("r", "u", 0.5)
    recording.at(2).refused("r", "u", "not_ready")
    picture = run_timeline(recording.finish(), "r")
    assert picture.title == "r got no answer: refused (not_ready)"
    assert "refused (not_ready)" in written(picture)


def test_a_fault_stands_above_the_lanes():
    recording = Recording()
    recording.at(2).fault_began("tool-hang")
    recording.at(3).fault_ended("tool-hang")
    recording.run("alice")
    strip = run_timeline(recording.finish(), "alice.1").figure.axes[0]
    assert [label.get_text() for label in strip.get_yticklabels()] == ["tool-hang"]


def test_more_tabs_than_lanes_are_counted():
    recording = Recording()
    for number in range(9):
        recording.at(0).connected(f"alice/{number}", "alice")
    recording.run("alice")
    picture = run_timeline(recording.finish(), "alice.1")
    assert [name for name in lanes(picture) if name.startswith("connection")] == [
        f"connection {n}" for n in range(1, 5)
    ]
    assert "5 more connections at the same time not drawn" in picture.caption


@pytest.mark.parametrize("run", ["", "unknown"])
def test_an_unknown_run_shows_nothing(run):
    recording = Recording()
    recording.run("alice")
    assert "does not know" in run_timeline(recording.finish(), run).alt


def test_a_run_of_many_events_is_thinned():
    recording = Recording()
    for seq in range(20_000):
        recording.at(seq / 1000).published("r", "u", "agent_thinking", seq)
        recording.at(seq / 1000).received("c", "u", "r", "agent_thinking", seq, subject="u", timestamp=0.0)
    picture = run_timeline(recording.finish(), "r")
    assert max(len(line.get_xdata()) for line in picture.figure.axes[-1].lines) <= 1501
    assert "Of 20,000 events 20,000 reached the user" in picture.alt

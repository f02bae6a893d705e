"""The pictures show what is in the data, and their titles say it."""

import pytest

from netra_sim.history import Recorder
from netra_sim.report import Evidence, Source, isolation_matrix, latency_percentiles, live_engines


def evidence(*, leak=False, delay=0.02, users=30):
    now = 0.0
    recorder = Recorder(lambda: now)
    for number in range(users):
        user, run = f"user-{number:02d}", f"user-{number:02d}.1"
        recorder.scope_opened(run, user)
        for seq in range(40):
            recorder.published(run, user, "agent_thinking", seq)
            now += delay
            recorder.received("c", user, run, "agent_thinking", seq, subject=user, timestamp=0.0)
        recorder.scope_closed(run, user, {})
    if leak:
        recorder.received("c", "user-03", "user-29.1", "agent_thinking", 1, subject="user-29", timestamp=0.0)
    return Evidence(Source.SIMULATED, [], recorder.finish({}))


def axes(picture):
    return picture.figure.axes[0]


def test_a_leak_is_in_the_title_in_the_words_and_in_a_cell_of_its_own():
    picture = isolation_matrix(evidence(leak=True))
    assert axes(picture).get_title(loc="left") == "1 of 1,201 events reached somebody else"
    assert "1 of 1,201" in picture.alt
    assert [text.get_text() for text in axes(picture).texts] == ["1"]
    assert {"user-03"} <= {label.get_text() for label in axes(picture).get_yticklabels()}


def test_without_a_leak_only_the_diagonal_is_filled():
    picture = isolation_matrix(evidence())
    assert list(axes(picture).texts) == []
    assert axes(picture).get_title(loc="left").startswith("0 of 1,200 events")


@pytest.mark.parametrize(("objective", "title"), [(0.1, "arrive within"), (0.01, "is missed: simulated")])
def test_the_latency_picture_says_whether_the_objective_is_met_and_draws_it(objective, title):
    picture = latency_percentiles([evidence()], objective)
    assert title in axes(picture).get_title(loc="left")
    curve, line = axes(picture).lines
    assert list(line.get_ydata()) == [objective * 1000] * 2
    assert curve.get_ydata()[0] == pytest.approx(20.0)
    assert (axes(picture).get_xlabel(), axes(picture).get_ylabel()) == (
        "share of events that took no longer",
        "time to the client (ms)",
    )
    assert "20.0 ms" in picture.alt


def test_the_engines_picture_counts_those_alive():
    picture = live_engines(evidence())
    assert axes(picture).get_title(loc="left") == "At most 1 engines live at once, and 0 are left"
    assert max(axes(picture).lines[0].get_ydata()) == 1


def test_the_same_data_make_the_same_bytes():
    assert isolation_matrix(evidence()).png() == isolation_matrix(evidence()).png()

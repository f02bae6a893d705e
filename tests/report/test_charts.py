"""The pictures show the data, their titles say the finding, and the text and numbers say the same."""

import base64
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from netra_sim.charts import (
    around_faults,
    by_user,
    detection_matrix,
    isolation_matrix,
    latency_ecdfs,
    latency_percentiles,
    load_against_latency,
)
from netra_sim.history import Kind
from netra_sim.recording import Recorder
from netra_sim.simulation import find_scenario, simulate


def recorded(*, leaks=(), delay=0.02, users=30, events=40, meta=None):
    """Users one after the other, each with one run; all events take the same time."""
    now = 0.0
    recorder = Recorder(lambda: now)
    for number in range(users):
        user, run = f"user-{number:05d}", f"user-{number:05d}.1"
        for seq in range(events):
            recorder.published(run, user, "agent_thinking", seq)
            now += delay
            recorder.received("c", user, run, "agent_thinking", seq, subject=user, timestamp=0.0)
    for reader, owner in leaks:
        user = f"user-{reader:05d}"
        recorder.received("c", user, f"{user}.1", "agent_thinking", 1, subject=f"user-{owner:05d}", timestamp=0.0)
    return recorder.finish(meta or {})


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_leak_is_in_the_title_the_text_the_numbers_and_a_cell():
    picture = isolation_matrix(recorded(leaks=[(3, 19)], users=20))
    (axes,) = picture.figure.axes
    assert picture.title == "1 of 801 events with a user's data reached another user"
    assert "user-00003 has data of user-00019" in picture.alt
    assert texts(axes) == ["1"]
    assert (axes.texts[0].get_position()) == (19, 3)
    cells = np.asarray(axes.images[0].get_array())
    assert len({tuple(cells[place]) for place in ((3, 19), (3, 3), (19, 3))}) == 3
    assert picture.numbers.iloc[1].to_list() == ["user-00003", "user-00019", 1]


def test_without_a_leak_only_the_diagonal_is_filled():
    picture = isolation_matrix(recorded(users=20))
    (axes,) = picture.figure.axes
    assert (texts(axes), picture.title) == ([], "0 of 800 events with a user's data reached another user")
    filled = (np.asarray(axes.images[0].get_array()) != 255).any(axis=2)
    assert (filled == np.eye(20, dtype=bool)).all()
    assert "Only the diagonal is filled" in picture.alt


def test_events_without_user_data_are_no_leak():
    history = simulate(find_scenario("steady-load").with_settings({"users": 20}), 1)
    received = history.frame(Kind.RECEIVED)
    picture = isolation_matrix(history)
    marked = int((received["subject"].astype(str) != "").sum())
    assert 0 < marked < len(received)
    assert picture.title == f"0 of {marked:,} events with a user's data reached another user"
    assert f"{len(received) - marked} more events carry no user's data." in picture.caption
    assert picture.numbers["owner"].to_list() == ["their own"]


def test_users_with_leaks_are_named_among_many():
    leaks = [(1500, 1501), (1500, 1501), (7, 2999)]
    picture = isolation_matrix(recorded(leaks=leaks, users=3000, events=1))
    overview, zoom = picture.figure.axes
    assert picture.title == "3 of 3,003 events with a user's data reached another user"
    # The two are neighbours, so that their group lies on the diagonal, and is marked all the same.
    assert sorted(zip(*overview.lines[0].get_data(), strict=True)) == [(20, 20), (39, 0)]
    assert [label.get_text() for label in zoom.get_yticklabels()] == [
        "user-00007", "user-01500", "user-01501", "user-02999",
    ]  # fmt: skip
    assert sorted(texts(zoom)) == ["1", "2"]
    assert picture.numbers["events"].to_list() == [3000, 2, 1]


@pytest.mark.parametrize(("objective", "title"), [(0.1, "arrive within"), (0.01, "is missed: simulated")])
def test_the_percentile_curves_say_whether_the_objective_is_met_and_draw_it(objective, title):
    picture = latency_percentiles({"simulated": recorded()}, objective)
    (axes,) = picture.figure.axes
    curve, line = axes.lines[:2]
    assert title in picture.title
    assert list(line.get_ydata()) == [objective] * 2
    assert curve.get_ydata()[0] == pytest.approx(0.02)
    assert axes.get_xlabel() == "share of events that took no longer"
    assert "20 ms" in {label.get_text() for label in axes.get_yticklabels()}
    assert "simulated 20 ms" in picture.alt


def test_a_percentile_curve_ends_where_ten_events_are_left():
    series = {"many": np.linspace(0.01, 0.09, 100_000), "few": np.linspace(0.01, 0.09, 1000)}
    curves = {line.get_label(): line for line in latency_percentiles(series, 0.1).figure.axes[0].lines}
    assert curves["many, p95 86 ms"].get_xdata()[-1] == pytest.approx(10_000)
    assert curves["few, p95 86 ms"].get_xdata()[-1] == pytest.approx(100)


def test_a_percentile_without_ten_events_beyond_it_is_not_among_the_numbers():
    numbers = latency_percentiles({"few": np.linspace(0.01, 0.09, 200)}, 0.1).numbers.iloc[0]
    assert numbers["p95 (ms)"] == pytest.approx(86, abs=0.1)
    assert np.isnan(numbers["p99 (ms)"])


@pytest.mark.parametrize(("number", "told"), [(1, ""), (2, " in both"), (3, " in all 3 cases")])
def test_a_title_counts_its_curves(number, told):
    picture = latency_percentiles({f"s{one}": [0.01] * 20 for one in range(number)}, 0.1)
    assert picture.title == f"95 of 100 events arrive within the objective of 100 ms{told}"


def test_series_look_different_and_the_slowest_of_too_many_are_drawn():
    picture = latency_percentiles({f"s{number}": [0.01 * (number + 1)] * 50 for number in range(40)}, 0.1)
    drawn = [line for line in picture.figure.axes[0].lines if line.get_label().startswith("s")]
    looks = {(line.get_color(), line.get_marker()) for line in drawn}
    assert len(looks) == len(drawn) == 12
    assert drawn[0].get_label().startswith("s28,")
    assert (len(picture.numbers), "12 slowest of 40" in picture.caption) == (40, True)


def test_distributions_compare_before_during_and_after_a_fault():
    now = 0.0
    recorder = Recorder(lambda: now)
    for seq in range(300):
        if seq == 100:
            recorder.fault_began("loop-stall")
        if seq == 200:
            recorder.fault_ended("loop-stall")
        recorder.published("r", "u", "agent_thinking", seq)
        now += 0.5 if 100 <= seq < 200 and seq % 4 else 0.05
        recorder.received("c", "u", "r", "agent_thinking", seq, subject="u", timestamp=0.0)
    picture = latency_ecdfs(around_faults(recorder.finish({})), 0.1)
    assert picture.title == "Within 100 ms: before 100%, during 25%, after 100%"
    during = picture.figure.axes[0].lines[2]
    assert during.get_label() == "during"
    assert np.interp(0.1, during.get_xdata(), during.get_ydata()) == pytest.approx(0.25, abs=0.01)


def test_users_are_compared_on_one_axis_each_with_the_others_in_grey():
    history = recorded(users=8)
    picture = latency_ecdfs(by_user(history, lambda user: user[-1]), 0.1)
    panels = [axes for axes in picture.figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list("01234567")
    assert len({axes.get_xlim() for axes in panels}) == 1
    assert {len(axes.lines) for axes in panels} == {9}
    assert picture.title == "All 8 alike: 100% of events within 100 ms"


def trials(latency, users=(10, 20, 40, 80), seeds=3):
    rows = [
        {"users": n, "seed": s, "p50": latency(n) / 2 + s / 1e4, "p95": latency(n) + s / 1e3}
        for n in users
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)  # fmt: skip


def test_load_against_latency_names_the_last_good_load_and_the_knee_and_draws_medians():
    picture = load_against_latency(trials(lambda users: 0.01 + 0.2 * (users / 80) ** 3), 0.1, 40)
    (axes,) = picture.figure.axes
    assert picture.title == "p95 keeps within 100 ms up to 40 users, not with 80; the knee is at 40"
    assert texts(axes) == ["objective\nfor p95\n100 ms", "knee: 40 users"]
    curve = axes.containers[1].lines[0]
    assert list(curve.get_xdata()) == [10, 20, 40, 80]
    assert curve.get_ydata()[-1] == pytest.approx(0.211)
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel()) == ("log", "log", "concurrent users")
    assert picture.numbers["p95, most (ms)"].iloc[-1] == pytest.approx(212)


@pytest.mark.parametrize(
    ("latency", "title"),
    [(0.01, "p95 keeps within 100 ms up to 80 users"), (0.5, "p95 is over 100 ms already with 10 users")],
)
def test_load_against_latency_without_a_change_says_so(latency, title):
    assert load_against_latency(trials(lambda _: latency), 0.1).title == f"{title}; no knee was reached"


def test_the_detection_matrix_marks_what_nothing_catches_and_false_alarms():
    counts = np.array([[20, 0, 3], [0, 0, 0], [0, 1, 0]])
    picture = detection_matrix(["leak", "stray", "late"], ["isolation", "delivery", "latency"], counts, 20, [0, 0, 2])
    (axes,) = picture.figure.axes
    assert picture.title == "2 of 3 defects are caught; nothing catches stray; false alarms from latency"
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 1): "100", (2, 1): "15", (1, 3): "5", (2, 0): "10"}
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["nothing broken", "leak", "stray ✗ not caught", "late"]
    assert picture.numbers["caught by"].to_list() == [1, 2, 0, 1]


def test_a_partial_share_never_rounds_to_0_or_100():
    picture = detection_matrix(["a", "b"], ["x"], np.array([[999], [1]]), 1000, [0])
    assert texts(picture.figure.axes[0]) == ["99", "1"]
    assert picture.title == "2 of 2 defects are caught; no false alarms"


def test_a_detection_matrix_refuses_mismatched_shapes():
    with pytest.raises(ValueError, match=r"\(1, 2\).*expected \(2, 1\)"):
        detection_matrix(["a", "b"], ["x"], np.array([[1, 2]]), 3, [0])


def test_the_same_data_make_the_same_bytes_in_any_style():
    def png():
        return latency_percentiles({"one": recorded(), "two": recorded(delay=0.03)}, 0.1).png()

    first = png()
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        assert png() == first
    assert first.startswith(b"\x89PNG")


def test_a_picture_comes_with_its_text_and_its_numbers():
    picture = isolation_matrix(recorded(leaks=[(3, 19)], users=20, meta={"source": "<b>", "scenario": {"name": "a&b"}}))
    html = picture._repr_html_()
    assert f'alt="{escape(picture.alt)}"' in html
    assert "&lt;b&gt;, scenario a&amp;b." in html
    assert "<details><summary>The numbers of this picture</summary>" in html
    assert '<th scope="row">user-00003</th><td>user-00019</td><td>1</td>' in html
    link = re.search(r'href="data:text/csv;base64,([^"]*)"', html)
    assert base64.b64decode(link.group(1)).decode() == picture.csv()
    assert picture.csv().splitlines()[2] == "user-00003,user-00019,1"


def test_a_page_shows_a_hundred_rows_of_the_numbers_and_says_how_many_there_are():
    picture = latency_percentiles({f"s{number}": [0.01] * 20 for number in range(130)}, 0.1)
    html = picture._repr_html_()
    assert html.count('<th scope="row">') == 100
    assert "the first 100 of 130 rows" in html
    assert len(picture.csv().splitlines()) == 131

"""Every picture is legible with any data, even none: no text is cut off, and no two texts collide."""

import itertools
import re

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from netra_sim.charts import (
    Measure,
    around_faults,
    by_user,
    detection_matrix,
    early_waits,
    gauge_over_time,
    isolation_matrix,
    latency_ecdfs,
    latency_over_time,
    latency_percentiles,
    live_engines,
    load_against_latency,
    recovery,
    resources_over_time,
    run_timeline,
    worst_run_timeline,
)
from netra_sim.recording import Recorder
from netra_sim.simulation import find_scenario, simulate

PICTURES = {
    "percentiles": lambda history: latency_percentiles({"one": history, "a name that is longer": history}, 0.1),
    "over time": lambda history: latency_over_time(history, 0.1),
    "first events": lambda history: latency_over_time(history, 1.0, Measure.FIRST_EVENT),
    "last events": lambda history: latency_percentiles({"one": history}, 9.0, Measure.LAST_EVENT),
    "ecdfs": lambda history: latency_ecdfs(around_faults(history), 0.1),
    "ecdfs of users": lambda history: latency_ecdfs(by_user(history), 0.1),
    "worst run": worst_run_timeline,
    "a run": lambda history: run_timeline(history, next(iter(reversed(history.tables["run"])), "")),
    "isolation": isolation_matrix,
    "gauge": lambda history: gauge_over_time(history, "replay bytes", unit="bytes", limit=1_000_000),
    "engines": live_engines,
    "recovery": lambda history: recovery(history, 0.1),
    "resources": resources_over_time,
}


def illegible(picture):
    """Texts that are cut off, and pairs of texts that collide."""
    figure = picture.figure
    boxes = [(text.get_text(), text.get_window_extent()) for text in seen(figure)]
    found = [
        ("cut off", text)
        for text, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1
    ]
    # A pixel is taken off each side: texts may touch.
    x0, y0, x1, y1 = np.array([np.add(box.extents, (1, 1, -1, -1)) for _, box in boxes]).T[:, :, None]
    overlap = (x0 < x1.T) & (x1 > x0.T) & (y0 < y1.T) & (y1 > y0.T)
    found += [("collide", boxes[one][0], boxes[other][0]) for one, other in np.argwhere(np.triu(overlap, 1))]
    return found


def seen(figure):
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = (high - low) * 1e-9
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axes.get_visible() or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    return [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
        and (text.axes is None or text.axes.get_visible())
    ]  # fmt: skip


def is_legible(picture):
    assert picture.png().startswith(b"\x89PNG")
    assert illegible(picture) == []
    assert picture.title in " ".join(picture.figure.get_suptitle().split()) or "…" in picture.figure.get_suptitle()
    assert picture.alt.endswith(".")
    assert re.match(r'<figure class="chart( tall)?"( data-live="[^"]*")?>', picture._repr_html_())
    return True


@pytest.fixture(scope="module", params=["disconnect-storm", "everything-at-once", "many-tabs"])
def simulated(request):
    return simulate(find_scenario(request.param).with_settings({"users": 30}), 1)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_library_scenarios_are_legible(simulated, name):
    assert is_legible(PICTURES[name](simulated))


class Clock:
    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)

    def event(self, seq=0, *, run="r", user="u", subject=None, took=0.0):
        self.recorder.published(run, user, "agent_thinking", seq)
        self.now += took
        self.recorder.received("c", user, run, "agent_thinking", seq, subject=subject or user, timestamp=0.0)


def empty(clock):
    pass


def one_request(clock):
    clock.recorder.requested("r", "u", 0.0)


def one_event(clock):
    one_request(clock)
    clock.event()


def only_a_fault(clock):
    clock.recorder.fault_began("deploy")


def no_time_passes(clock):
    one_request(clock)
    clock.recorder.connected("c", "u")
    clock.recorder.scope_opened("r", "u")
    clock.recorder.fault_began("deploy")
    for seq in range(500):
        clock.event(seq)
    clock.recorder.sample("replay bytes", 0.0)
    clock.recorder.fault_ended("deploy")


def all_take_as_long(clock):
    for seq in range(500):
        clock.event(seq, took=0.02)


def text_from_a_hostile_log(clock):
    run, user, fault = "$r_1$ <b>&amp;", "$\\frac{$", "\u65e5\u672c\u8a9e $\\frac{ " + "W" * 300
    clock.recorder.requested(run, user, 0.0)
    clock.recorder.connected("c\x00", user)
    clock.recorder.scope_opened(run, user)
    clock.recorder.sample("replay bytes", float("nan"))
    clock.recorder.sample("replay bytes", -3.0)
    for seq in range(60):
        if seq == 20:
            clock.recorder.fault_began(fault)
        if seq == 40:
            clock.recorder.fault_ended(fault)
        clock.event(seq, run=run, user=user, subject=None if seq % 7 else "\n\U0001f9ff\u202e $x", took=0.02)
    clock.recorder.refused(run, user, "$" + "W" * 500)


def faults_without_end_or_length(clock):
    for number in range(12):
        clock.recorder.fault_began(f"fault-{number}")
        clock.event(number, took=0.01)
        if number % 2:
            clock.recorder.fault_ended(f"fault-{number}")
    clock.recorder.fault_began("without length")
    clock.recorder.fault_ended("without length")
    clock.recorder.fault_ended("that never began")


def latencies_over_nine_decades(clock):
    for seq in range(40):
        clock.event(seq, took=10.0 ** (seq % 9 - 5))


def everybody_has_everybodys_data(clock):
    for reader, owner in itertools.product(range(40), repeat=2):
        clock.event(
            owner,
            run=f"r{reader}",
            user=f"a user with a long name {reader}",
            subject=f"a user with a long name {owner}",
        )


CASES = [
    empty, one_request, one_event, only_a_fault, no_time_passes, all_take_as_long, text_from_a_hostile_log,
    faults_without_end_or_length, latencies_over_nine_decades, everybody_has_everybodys_data,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_strange_histories_are_legible(case, name):
    clock = Clock()
    case(clock)
    assert is_legible(PICTURES[name](clock.recorder.finish({"scenario": {"name": "$a_"}})))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_an_empty_history_says_so(name):
    picture = PICTURES[name](Recorder(lambda: 0.0).finish({}))
    assert picture.title == "Nothing to show"
    assert len(picture.alt) > len("Nothing to show: ")


@pytest.mark.parametrize(("rows", "columns", "seeds"), [(0, 0, 0), (1, 0, 1), (1, 1, 1), (3, 30, 20), (45, 22, 1000)])
def test_detection_matrices_of_every_size_are_legible(rows, columns, seeds):
    counts = np.random.default_rng(1).integers(0, seeds + 1, (rows, columns)) if seeds else np.zeros((rows, columns))
    names = [f"the defect with the number {row}" for row in range(rows)]
    checks = [f"check_with_number_{column}" for column in range(columns)]
    assert is_legible(detection_matrix(names, checks, counts, seeds, np.zeros(columns, int)))


@pytest.mark.parametrize(
    "trials",
    [
        pd.DataFrame(),
        pd.DataFrame({"users": [], "p95": []}),
        pd.DataFrame({"users": [0], "p95": [0.1]}),
        pd.DataFrame({"users": [10], "p95": [0.0]}),
        pd.DataFrame({"users": [10, 20], "p95": [np.nan, 0.2], "p50": [np.nan, np.nan]}),
        pd.DataFrame({"users": [10, 10, 11, 12, 13, 10_000], "p95": [0.1, 0.2, 0.1, 0.1, 0.1, 99.0]}),
        pd.DataFrame({"users": range(1, 200), "p95": 0.05}),
        pd.DataFrame({"users": [2**power for power in range(17)], "p50": 0.1, "p95": 0.2, "p99": 7.0}),
    ],
)
def test_curves_of_strange_loads_are_legible(trials):
    for knee in (None, 10, 10_000):
        assert is_legible(load_against_latency(trials, 0.1, knee))


@pytest.mark.parametrize("count", [1, 4, 5, 9, 12, 40])
def test_distributions_of_any_number_of_series_are_legible(count):
    rng = np.random.default_rng(1)
    series = {f"a series with the number {number}": rng.lognormal(-3, 1, 300) for number in range(count)}
    assert is_legible(latency_ecdfs(series, 0.1))
    assert is_legible(latency_percentiles(series, 0.1))


def test_a_large_sample_keeps_its_tail_and_a_legible_axis():
    sample = np.random.default_rng(1).lognormal(-3, 1, 1_000_000)
    assert is_legible(latency_percentiles({"many": sample}, 0.1))


def test_a_matrix_of_ten_thousand_users_is_legible():
    clock = Clock()
    for number in range(10_000):
        clock.event(0, run=f"r{number}", user=f"user-{number:05d}", subject=None if number % 500 else "user-00000")
    picture = isolation_matrix(clock.recorder.finish({}))
    assert picture.title == "19 of 10,000 events with a user's data reached another user"
    assert is_legible(picture)


@pytest.mark.parametrize(
    "platforms", [["this machine"], ["this machine", "simulated Windows clock", "Windows CPython 3.13.11"]]
)
@pytest.mark.parametrize("worst", [0.0, -0.03, 3.0])
def test_strips_of_waits_are_legible(platforms, worst):
    rows = [
        (platform, wait, side, worst * share)
        for platform in platforms
        for wait in ("sleep", "time-out", "deadline")
        for side in ("stock", "Windows-safe")
        for share in (0.0, 0.1, 1.0)
    ]
    assert is_legible(early_waits(pd.DataFrame(rows, columns=["platform", "wait", "side", "error"])))

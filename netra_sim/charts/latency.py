"""How long events take to arrive: percentile curves, a heat map over time, and cumulative distributions."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from netra_sim.charts.faults import HATCHED, during, fault_windows, names, time_limits, timed_panels
from netra_sim.charts.live import Live
from netra_sim.charts.measures import Latencies, Measure, measured, seconds
from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import (
    COUNTS,
    FLOOR,
    LOOKS,
    PALE,
    VERMILION,
    Look,
    canvas,
    duration,
    headline,
    legend,
    listed,
    log_durations,
    looks,
    mark_objective,
    percent,
    plain,
    shorten,
    styled,
)
from netra_sim.checks.statistics import QUANTILE, nearest_rank
from netra_sim.history import History

_MARKS = {2: "50%", 10: "90%", 20: "95%", 100: "99%", 1000: "99.9%", 10_000: "99.99%", 100_000: "99.999%"}
"""The ticks of the percentile axis: 1/(1 - q) and the label of the quantile q."""

_NOTHING = "no event reached its owner."


@styled()
def latency_percentiles(
    series: Mapping[str, Latencies], objective: float, measure: Measure = Measure.DELIVERY
) -> Picture:
    """Percentile curves of several series, from the median as far into the tail as each sample allows.

    The axis is that of Gil Tene's HdrHistogram: 1/(1 - q) on a logarithmic scale.

    Args:
        series: the latencies of each series, by name; of more than 12, those with the highest 95th percentiles are drawn.
        objective: the objective for the 95th percentile, in seconds.
        measure: which latency of a history is drawn; for arrays, it only sets the words.
    """
    values = _samples(series, measure)
    if not values:
        return nothing_to_show(_NOTHING)
    p95s = {name: float(np.quantile(sample, 0.95, method="inverted_cdf")) for name, sample in values.items()}
    missed = [name for name, p95 in p95s.items() if p95 > objective]
    drawn = sorted(p95s, key=lambda name: -p95s[name])[: len(LOOKS)]
    drawn = [name for name in values if name in drawn]
    figure = canvas(height=5.4 + 0.28 * (len(drawn) // 3))
    axes = figure.subplots()
    highest, heights = 22.0, [objective]
    for name, look in looks(drawn).items():
        # The curve ends at the last quantile with ten values beyond it: with fewer, chance decides.
        deepest = max(len(values[name]) / 10, 2.0)
        places = np.unique([*np.geomspace(2, deepest, 160), *(mark for mark in _MARKS if mark <= deepest)])
        times = np.maximum(np.quantile(values[name], 1 - 1 / places, method="inverted_cdf"), FLOOR)
        marked = [index for index, place in enumerate(places) if place in _MARKS]
        label = f"{plain(name)}, p95 {duration(p95s[name])}"
        axes.plot(
            places, times, color=look.colour, linestyle=look.line, marker=look.marker, markevery=marked, label=label
        )
        highest, heights = max(highest, deepest * 1.1), [*heights, *times[[0, -1]]]
    log_durations(axes.yaxis, heights, "time to the client")
    axes.set(xscale="log", xlim=(1.9, highest), xlabel=f"share of {measure} that took no longer")
    # On a long axis, the label 90% would run into the label 95%, where the objective is.
    marks = [mark for mark in _MARKS if mark <= highest and (mark != 10 or highest < 3000)]
    axes.set_xticks(marks, [_MARKS[mark] for mark in marks])
    axes.set_xticks([], minor=True)
    mark_objective(axes, objective, "objective\nfor 95%")
    axes.axvline(20, color=VERMILION, linewidth=1.0, linestyle=":", zorder=1.6)
    legend(figure, *axes.get_legend_handles_labels())
    if not missed:
        title = f"95 of 100 {measure} arrive within the objective of {duration(objective)}" + _in_all(values)
    else:
        title = f"The objective of {duration(objective)} is missed: {listed(missed)}"
    headline(figure, title)
    figures = "; ".join(f"{plain(name)} {duration(p95)}" for name, p95 in list(p95s.items())[:12])
    alt = f"Percentile curves of how long {measure} took. {title}. The 95th percentiles are: {figures}."
    caption = f"{measure.described} A curve stops short of its ten slowest. Both axes are logarithmic."
    if len(drawn) < len(values):
        caption += f" The {len(drawn)} slowest of {len(values)} are drawn; the numbers are of all."
    return Picture(figure, title, alt, caption, _summary(values, objective, measure), Live("percentile", ("duration",)))


@styled()
def latency_over_time(history: History, objective: float, measure: Measure = Measure.DELIVERY) -> Picture:
    """A heat map of latencies over the time when they began, with the faults marked.

    Args:
        history: the history.
        objective: in seconds; the title gives the share of the latencies above it.
        measure: the measure of latency.
    """
    _, times, _, took = measured(history, measure)
    if not len(times):
        return nothing_to_show(_NOTHING)
    windows = fault_windows(history)
    limits = time_limits(times)
    figure, (axes,) = timed_panels(windows, limits, [4.0])
    low, high = log_durations(axes.yaxis, [objective, took.min(), took.max()], "time to the client")
    edges = np.linspace(*limits, 91)
    counts, _, steps = np.histogram2d(times, np.maximum(took, FLOOR), [edges, np.geomspace(low, high, 37)])
    shown = np.ma.masked_equal(counts.T, 0)
    most = max(float(counts.max()), 10.0)
    mesh = axes.pcolormesh(edges, steps, shown, norm=LogNorm(1, most), cmap=COUNTS, rasterized=True, zorder=1)
    bar = figure.colorbar(mesh, ax=figure.axes, pad=0.01, aspect=28, label=f"{measure} in a cell")
    ticks = [tick for tick in (1, 10, 100, 1000, 10_000, 100_000, 1_000_000) if tick <= most]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    bar.minorticks_off()
    mark_objective(axes, objective, "objective")
    late = took > objective
    title = f"{percent(float(late.mean()))} of {len(took):,} {measure} took longer than {duration(objective)}"
    hit = during(times[late], windows)
    if windows and late.any():
        part = "none" if not hit.any() else "all" if hit.all() else percent(float(hit.mean()))
        title += f", {part} of these during {listed(names(windows), 2)}"
    headline(figure, title)
    faults = f" Faults: {listed(names(windows))}." if windows else " No fault was injected."
    worst = int(took.argmax())
    alt = (
        f"Heat map of how long {measure} took, over {duration(limits[1] - limits[0])}. {title}. The slowest took "
        f"{duration(float(took[worst]))}, from {times[worst]:.1f} s after the beginning.{faults}"
    )
    caption = f"{origin(history)} {measure.described}{HATCHED if windows else ''}"
    return Picture(
        figure,
        title,
        alt,
        caption,
        _by_time(times, took, edges, windows, measure),
        Live("seconds", ("duration",), windows),
    )


@styled()
def latency_ecdfs(series: Mapping[str, Latencies], objective: float, measure: Measure = Measure.DELIVERY) -> Picture:
    """Cumulative distributions: up to four series share one panel, more get one panel each.

    Args:
        series: the latencies of each series, by name, such as from `by_user` or `around_faults`; the first 12 are drawn.
        objective: in seconds; the title compares the shares of latencies within it.
        measure: which latency of a history is drawn; for arrays, it only sets the words.
    """
    values = _samples(series, measure)
    if not values:
        return nothing_to_show(_NOTHING)
    drawn = looks(values)
    columns = 1 if len(drawn) <= 4 else 3 if len(drawn) <= 9 else 4
    figure = _draw_cumulative(values, drawn, columns, objective, measure)
    title = _compared(values, objective, measure)
    headline(figure, title)
    alt = f"Cumulative distributions of how long {measure} took in {listed(list(values), 12)}. {title}. " + _medians(
        values
    )
    caption = f"{measure.described} The dashed line is the objective, {duration(objective)}."
    if columns > 1:
        caption += " Grey: all the others."
    if len(drawn) < len(values):
        caption += f" The first {len(drawn)} of {len(values)} are drawn; the numbers are of all."
    return Picture(figure, title, alt, caption, _summary(values, objective, measure), Live("duration", ("share",)))


def around_faults(history: History, measure: Measure = Measure.DELIVERY) -> dict[str, np.ndarray]:
    """Latencies in seconds, by when they began: before the first fault, during a fault, or after one.

    "after" includes the time between two faults. A part without latencies is left out. If no fault was injected, all
    latencies are in one part, "without a fault".
    """
    _, times, _, took = measured(history, measure)
    windows = fault_windows(history)
    if not windows:
        return {"without a fault": took}
    inside = during(times, windows)
    before = times < min(window.began for window in windows)
    parts = {"before": took[before], "during": took[inside], "after": took[~before & ~inside]}
    return {name: part for name, part in parts.items() if len(part)}


def by_user(
    history: History, label: Callable[[str], str] = str, measure: Measure = Measure.DELIVERY
) -> dict[str, np.ndarray]:
    """Latencies in seconds of each user, or of each class of users, sorted by label.

    Args:
        history: the history.
        label: returns the label of a user's class; by default each user is a class.
        measure: the measure of latency.
    """
    found = measured(history, measure)
    labels = {user: label(user) for user in dict.fromkeys(found.users)}
    grouped = pd.Series(found.took).groupby(pd.Series(found.users, dtype=object).map(labels), sort=True)
    return {str(name): took.to_numpy(float) for name, took in grouped}


def _samples(series: Mapping[str, Latencies], measure: Measure) -> dict[str, np.ndarray]:
    samples = {name: seconds(one, measure) for name, one in series.items()}
    return {name: sample for name, sample in samples.items() if len(sample)}


def _summary(values: Mapping[str, np.ndarray], objective: float, measure: Measure) -> pd.DataFrame:
    quantiles = {"p50 (ms)": 0.5, "p90 (ms)": 0.9, "p95 (ms)": 0.95, "p99 (ms)": 0.99, "p99.9 (ms)": 0.999}
    rows = []
    for name, sample in values.items():
        found = np.quantile(sample, [*quantiles.values(), 1.0], method="inverted_cdf") * 1000
        # A quantile with fewer than ten values beyond it is left out; 9.999 allows for rounding.
        known = {
            column: float(value) if len(sample) * (1 - quantile) >= 9.999 else np.nan
            for (column, quantile), value in zip(quantiles.items(), found, strict=False)
        }
        within = float((sample <= objective).mean()) * 100
        rows.append({"series": name, str(measure): len(sample), "within the objective (%)": within, **known,
                     "slowest (ms)": float(found[-1])})  # fmt: skip
    return pd.DataFrame(rows)


def _by_time(times: np.ndarray, took: np.ndarray, edges: np.ndarray, windows: Any, measure: Measure) -> pd.DataFrame:
    bins = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    grouped = pd.Series(took * 1000).groupby(bins)
    p50, p95 = (grouped.agg(partial(nearest_rank, share=share)) for share in (0.5, QUANTILE))
    table = pd.DataFrame(
        {str(measure): grouped.size(), "p50 (ms)": p50, "p95 (ms)": p95, "slowest (ms)": grouped.max()}
    )
    table.insert(0, "from (s)", edges[table.index])
    # A bin is in a fault if its middle is.
    middles = (edges[table.index] + edges[table.index + 1]) / 2
    table["fault on"] = during(middles, windows)
    return table.reset_index(drop=True)


def _cumulative(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and cumulative shares of an empirical distribution: all of up to 400, else 400 evenly spaced quantiles."""
    shares = np.linspace(0, 1, min(len(sample), 400) + 1)[1:]
    return np.maximum(np.quantile(sample, shares, method="inverted_cdf"), FLOOR), shares


def _draw_cumulative(
    values: Mapping[str, np.ndarray], drawn: Mapping[str, Look], columns: int, objective: float, measure: Measure
) -> Figure:
    """Draw all curves in one panel, or each curve in its own panel with the others in grey behind it."""
    rows = 1 if columns == 1 else -(-len(drawn) // columns)
    figure = canvas(height=5.0 if columns == 1 else 1.2 + 2.1 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    curves = {name: _cumulative(values[name]) for name in drawn}
    ends = [end for points, _ in curves.values() for end in points[[0, -1]]]
    low, high = log_durations(grid[0].xaxis, [objective, *ends], "", ticks=9 if columns == 1 else 4)
    grid[0].set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    panels = [list(drawn)] if columns == 1 else [[name] for name in drawn]
    for axes, own in zip(grid, panels, strict=False):
        axes.axvline(objective, color=VERMILION, linewidth=1.8, linestyle=(0, (8, 2)), gid="objective")
        for name in [*(name for name in drawn if name not in own), *own]:
            look = drawn[name] if name in own else Look(PALE, "-", "")
            shares, style = curves[name][1], "steps-post" if len(values[name]) <= 400 else "default"
            axes.plot(
                [low, *curves[name][0], high], [0, *shares, 1], drawstyle=style, color=look.colour, linestyle=look.line,
                linewidth=2.4 if name in own else 1.2, label=plain(name),
            )  # fmt: skip
    across = f"time to the client (dashed: objective {duration(objective)})"
    if columns == 1:
        grid[0].set(xlabel=across, ylabel=f"share of {measure}")
        legend(figure, *grid[0].get_legend_handles_labels())
        return figure
    for index, axes in enumerate(grid):
        axes.set_visible(index < len(drawn))
        axes.tick_params(labelbottom=index + columns >= len(drawn))
    for axes, name in zip(grid, drawn, strict=False):
        shorten(axes.set_title(plain(name), loc="left", fontsize=12), figure.bbox.width / columns - 60)
    figure.supxlabel(across, fontsize=13)
    figure.supylabel(f"share of {measure}", fontsize=13)
    return figure


def _compared(values: Mapping[str, np.ndarray], objective: float, measure: Measure) -> str:
    within = {name: float((sample <= objective).mean()) for name, sample in values.items()}
    if len(within) <= 3:
        return f"Within {duration(objective)}: " + ", ".join(
            f"{plain(name)} {percent(share)}" for name, share in within.items()
        )
    worst, best = min(within, key=within.__getitem__), max(within, key=within.__getitem__)
    if within[worst] == within[best]:
        return f"All {len(within):,} alike: {percent(within[best])} of {measure} within {duration(objective)}"
    return (
        f"Within {duration(objective)}: from {percent(within[worst])} ({plain(worst)}) "
        f"to {percent(within[best])} ({plain(best)})"
    )


def _medians(values: Mapping[str, np.ndarray]) -> str:
    figures = ", ".join(
        f"{plain(name)} {duration(float(np.median(sample)))}" for name, sample in list(values.items())[:12]
    )
    return f"Medians: {figures}."


def _in_all(values: Mapping[str, np.ndarray]) -> str:
    if len(values) <= 2:
        return " in both" if len(values) == 2 else ""
    return f" in all {len(values):,} cases"

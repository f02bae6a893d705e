"""Values over time: gauges such as outbox depth, live engines, and the recovery after a fault."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from netra_sim.charts.faults import HATCHED, FaultWindow, during, fault_windows, names, time_limits, timed_panels
from netra_sim.charts.live import Live
from netra_sim.charts.measures import Measure, measured
from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import (
    BLUE,
    GREEN,
    HALO,
    RUST,
    VERMILION,
    duration,
    headline,
    listed,
    log_durations,
    mark_objective,
    percent,
    plain,
    styled,
)
from netra_sim.checks.statistics import QUANTILE, nearest_rank
from netra_sim.history import History, Kind

POINTS = 600
"""Most steps of a drawn line; of steps that coincide, the highest is drawn."""

BINS = 80
LEAST_EVENTS = 20
"""Events that a 95th percentile needs; with fewer, a single late event decides it."""


@styled()
def gauge_over_time(history: History, gauge: str, *, unit: str = "", limit: float | None = None) -> Picture:
    """A sampled gauge, such as the unsent bytes in outboxes, with the faults.

    Args:
        history: the history.
        gauge: the name of the gauge in the history.
        unit: the unit of the gauge.
        limit: the limit that the gauge must not exceed.
    """
    samples = history.frame(Kind.SAMPLE)
    samples = samples[(samples["detail"] == gauge) & samples["value"].notna()]
    if samples.empty:
        return nothing_to_show(f"the gauge “{plain(gauge)}” was never read.")
    times, values = samples["time"].to_numpy(float), samples["value"].to_numpy(float) + 0.0
    windows = fault_windows(history)
    what = f"{gauge} ({unit})" if unit else gauge
    peak = int(values.argmax())
    title = f"{gauge.capitalize()}: {values[peak]:,.0f} at most, at {times[peak]:.1f} s"
    if _inside(times[peak], windows):
        title += f" during {listed(_inside(times[peak], windows), 2)}"
    title += f"; {values[-1]:,.0f} at the end"
    if limit is not None:
        title += f". The limit of {limit:,.0f} was {'exceeded' if values.max() > limit else 'kept'}"
    figure = _steps(times, values, windows, plain(what, 40), limit)
    headline(figure, title)
    alt = f"Line of {what} over {times[-1] - times[0]:.0f} s, read {len(times):,} times. {title}."
    caption = f"{origin(history)}{HATCHED if windows else ''}"
    return Picture(figure, title, alt, caption, _peaks(times, values, what), Live("seconds", ("number",), windows))


@styled()
def live_engines(history: History) -> Picture:
    """The number of live engines over time, each from the opening to the closing of its scope."""
    kinds = history.numbers["kind"]
    changes = np.flatnonzero((kinds == Kind.SCOPE_OPENED) | (kinds == Kind.SCOPE_CLOSED))
    if not len(changes):
        return nothing_to_show("no engine was made.")
    times = history.numbers["time"][changes]
    alive = np.where(kinds[changes] == Kind.SCOPE_OPENED, 1, -1).cumsum()
    title = f"At most {int(alive.max()):,} engines live at once, and {int(alive[-1]):,} are left"
    windows = fault_windows(history)
    figure = _steps(times, alive.astype(float), windows, "live engines", None)
    headline(figure, title)
    alt = f"Line of live engines over {times[-1] - times[0]:.0f} s. {title}."
    caption = f"{origin(history)} From the opening to the closing of each user's scope."
    return Picture(
        figure,
        title,
        alt,
        caption,
        _peaks(times, alive.astype(float), "live engines"),
        Live("seconds", ("number",), windows),
    )


@styled()
def recovery(history: History, objective: float, fault: str = "", measure: Measure = Measure.DELIVERY) -> Picture:
    """How the delivery of events and the connections recover after a fault.

    Args:
        history: the history.
        objective: for the 95th percentile, in seconds; the system is back when it meets this until the history ends.
        fault: the name of the fault; by default the last fault that ends before the last event.
        measure: the measure of latency.
    """
    _, _, times, took = measured(history, measure)
    windows = [window for window in fault_windows(history) if window.fault == fault or not fault]
    if not len(times) or not windows:
        return nothing_to_show("no event reached its owner." if windows else "there was no fault to recover from.")
    # A fault that lasts to the end shows no recovery.
    over = [window for window in windows if window.ended < times.max()]
    window = max(over or windows, key=lambda window: (window.ended, window.began))
    limits = time_limits(times, np.array([window.began, window.ended]))
    width = (limits[1] - limits[0]) / BINS
    starts, ends, counts, p95s = _steps_around(times, took, window.ended, width)
    connected = _connected_share(history, ends)
    title, back = _how_it_came_back(starts, ends, p95s, objective, window)
    table = pd.DataFrame({"from (s)": starts, "to (s)": ends, str(measure): counts, "p95 (ms)": p95s * 1000})
    figure, panels = timed_panels(fault_windows(history), limits, [3.2, 1.5] if connected is not None else [3.6])
    _draw_recovery(panels, (starts + ends) / 2, p95s, objective, measure)
    if connected is not None:
        panels[1].plot(ends, connected, color=GREEN, linestyle="-.", label="users connected")
        panels[1].set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
        panels[1].set(ylim=(-0.08, 1.12), ylabel="users\nconnected")
        table["users connected (%)"] = connected * 100
    if back is not None:
        for axes in panels:
            axes.axvline(back, color="black", linewidth=1.6, gid="back")
        panels[0].annotate(
            "back", (back, 1), xycoords=panels[0].get_xaxis_transform(), xytext=(4, -4), textcoords="offset points",
            va="top", weight="bold", path_effects=HALO, zorder=5,
        )  # fmt: skip
    headline(figure, title)
    low = (
        ""
        if connected is None
        else f" At the worst moment {percent(float(connected.min()))} of the users were connected."
    )
    name = plain(window.fault)
    alt = f"Line of the 95th percentile of how long {measure} took before, during and after {name}. {title}.{low}"
    caption = (
        f"{origin(history)} By arrival at the client, in steps of at least {duration(width)} and "
        f"{LEAST_EVENTS} {measure}. {measure.described} Back: from here, no step's 95th percentile is over the objective."
    )
    return Picture(figure, title, alt, caption, table, Live("seconds", ("duration", "share"), fault_windows(history)))


def _steps_around(
    times: np.ndarray, took: np.ndarray, ended: float, width: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Beginnings, ends, event counts and 95th percentiles of steps of time; no step spans the end of the fault.

    Where possible, a step has at least `LEAST_EVENTS` events.
    """
    bins = np.floor((times - ended) / width).astype(int)
    numbers, counts = np.unique(bins, return_counts=True)
    groups, held = np.zeros(len(numbers), int), 0
    for place, count in enumerate(counts):
        crosses = place > 0 and numbers[place - 1] < 0 <= numbers[place]
        full = held >= LEAST_EVENTS or crosses
        groups[place] = groups[place - 1] + full if place else 0
        held = count if full or not place else held + count
    # The last step joins the one before it if it is too small, unless it is the only one after the fault.
    before_last = np.flatnonzero(groups == groups[-1] - 1)
    if held < LEAST_EVENTS and len(before_last) and (numbers[before_last[-1]] >= 0) == (numbers[-1] >= 0):
        groups[groups == groups[-1]] -= 1
    firsts, lasts = np.flatnonzero(np.diff(groups, prepend=-1)), np.flatnonzero(np.diff(groups, append=groups[-1] + 1))
    grouped = pd.Series(took).groupby(groups[np.searchsorted(numbers, bins)])
    starts, ends = ended + numbers[firsts] * width, ended + (numbers[lasts] + 1) * width
    return starts, ends, grouped.size().to_numpy(), grouped.agg(partial(nearest_rank, share=QUANTILE)).to_numpy()


def _how_it_came_back(
    starts: np.ndarray, ends: np.ndarray, p95s: np.ndarray, objective: float, window: FaultWindow
) -> tuple[str, float | None]:
    """The finding, and the time from which the objective is met; None if there is no such time."""
    name, goal = plain(window.fault), duration(objective)
    after, late = starts >= window.ended - 1e-9, p95s > objective
    if not after.any():
        return f"{name} lasted until the last event: there is no recovery to see", None
    before = ends <= window.began
    if before.any() and np.mean(late[before]) > 0.5 and late[after].any():
        return f"p95 is over {goal} before {name} already, and after it", None
    if not late[~before].any():
        return f"p95 kept within {goal} through {name}", None
    if not late[after].any():
        return f"p95 is back within {goal} as soon as {name} ended", window.ended
    back = float(ends[after & late][-1])
    took = duration(back - window.ended)
    if late[-1]:
        return f"p95 is not back within {goal} by the end, {took} after {name} ended", None
    return f"p95 is back within {goal}, {took} after {name} ended", back


def _draw_recovery(
    panels: list[Any], middles: np.ndarray, p95s: np.ndarray, objective: float, measure: Measure
) -> None:
    axes = panels[0]
    log_durations(axes.yaxis, [objective, p95s.min(), p95s.max()], f"p95 of {measure}")
    axes.plot(
        middles,
        np.maximum(p95s, axes.get_ylim()[0]),
        color=BLUE,
        marker="o",
        markersize=4.5,
        linewidth=1.8,
        label=f"p95 of {measure}",
    )
    mark_objective(axes, objective, "objective")


def _connected_share(history: History, times: np.ndarray) -> np.ndarray | None:
    """Of users between their first and last connection, the share that is connected; None without connections."""
    rows = history.frame(Kind.CONNECTED, Kind.DISCONNECTED)
    if rows.empty:
        return None
    change = np.where(rows["kind"] == Kind.CONNECTED, 1, -1)
    rows = pd.DataFrame({"user": rows["user"].cat.codes, "time": rows["time"], "change": change})
    held = rows.groupby("user")["change"].cumsum()
    came_up = rows["time"][(held == 1) & (rows["change"] == 1)].sort_values().to_numpy()
    went_down = rows["time"][(held == 0) & (rows["change"] == -1)].sort_values().to_numpy()
    spans = rows.groupby("user")["time"].agg(["first", "last"])
    still = rows.groupby("user")["change"].sum() > 0
    spans.loc[still, "last"] = np.inf
    here = np.searchsorted(np.sort(spans["first"]), times, "right") - np.searchsorted(
        np.sort(spans["last"]), times, "right"
    )
    up = np.searchsorted(came_up, times, "right") - np.searchsorted(went_down, times, "right")
    share: np.ndarray = np.where(here > 0, up / np.maximum(here, 1), 1.0)
    return share


def _steps(times: np.ndarray, values: np.ndarray, windows: list[FaultWindow], label: str, limit: float | None) -> Any:
    limits = time_limits(times)
    figure, (axes,) = timed_panels(windows, limits, [3.4])
    drawn_times, drawn = _thinned(times, values)
    axes.step(drawn_times, drawn, where="post", color=BLUE, label=label)
    axes.fill_between(drawn_times, drawn, step="post", color=BLUE, alpha=0.15, linewidth=0)
    top = max(float(values.max()), limit or 0.0, 1.0)
    axes.set(ylim=(min(float(values.min()), 0.0), top * 1.08), ylabel=label)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if limit is not None:
        axes.axhline(limit, color=VERMILION, linewidth=1.8, linestyle=(0, (8, 2)), gid="limit")
        axes.annotate(
            f"limit\n{limit:,.0f}", (1.0, limit), xycoords=axes.get_yaxis_transform(), xytext=(5, 0),
            textcoords="offset points", color=RUST, fontsize=12, va="center",
        )  # fmt: skip
    return figure


def _thinned(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thin a line to the points that a picture can distinguish: the highest of each bin, and the last."""
    if len(times) <= 2 * POINTS:
        return times, values
    bins = np.minimum(((times - times[0]) / max(times[-1] - times[0], 1e-9) * POINTS).astype(int), POINTS - 1)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    return np.append(times[starts], times[-1]), np.append(np.maximum.reduceat(values, starts), values[-1])


def _peaks(times: np.ndarray, values: np.ndarray, what: str) -> pd.DataFrame:
    shown_times, shown = _thinned(times, values)
    return pd.DataFrame({"time (s)": shown_times, what: shown})


def _inside(time: float, windows: list[FaultWindow]) -> list[str]:
    return names([window for window in windows if during(np.array([time]), [window])[0]])

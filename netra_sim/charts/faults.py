"""Faults on a time axis: a strip with their names, and hatching while they were on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from netra_sim.charts.style import GREY, INK, canvas, plain
from netra_sim.history import History, Kind

NAMED = 6
"""Rows of faults at most; if there are more faults, the last row combines the rest."""


HATCHED = " Hatched: a fault was on."
"""For captions of pictures with faults."""


class FaultWindow(NamedTuple):
    """When a fault was on, in seconds; a fault without an end lasts to the end of the history."""

    fault: str
    began: float
    ended: float


def fault_windows(history: History) -> list[FaultWindow]:
    """The faults of a history, ordered by their beginning."""
    changes = history.frame(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
    last = float(history.numbers["time"].max()) if len(history) else 0.0
    open_: dict[str, list[float]] = {}
    windows = []
    for kind, time, fault in zip(changes["kind"], changes["time"], changes["detail"], strict=True):
        if kind == Kind.FAULT_BEGAN:
            open_.setdefault(fault, []).append(time)
        elif open_.get(fault):
            windows.append(FaultWindow(str(fault), float(open_[fault].pop(0)), float(time)))
    windows += [FaultWindow(str(fault), float(began), last) for fault, begun in open_.items() for began in begun]
    return sorted(windows, key=lambda window: (window.began, window.ended, window.fault))


def during(times: np.ndarray, windows: Sequence[FaultWindow]) -> np.ndarray:
    """A mask of the times that lie within a fault."""
    inside = np.zeros(len(times), bool)
    for began, ended in merged(windows):
        inside |= (times >= began) & (times < ended)
    return inside


def merged(windows: Sequence[FaultWindow]) -> list[tuple[float, float]]:
    """The spans with any fault, without overlaps, in order."""
    spans: list[tuple[float, float]] = []
    for _, began, ended in sorted(windows, key=lambda window: window.began):
        if spans and began <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], ended))
        else:
            spans.append((began, ended))
    return spans


def names(windows: Sequence[FaultWindow]) -> list[str]:
    """The name of each fault once, ordered by its beginning."""
    return list(dict.fromkeys(window.fault for window in windows))


def timed_panels(
    windows: Sequence[FaultWindow], limits: tuple[float, float], heights: Sequence[float]
) -> tuple[Figure, list[Any]]:
    """A figure with axes that share one time axis, with the faults marked on each.

    Args:
        windows: the faults.
        limits: the limits of the time axis, in seconds.
        heights: the heights of the axes in inches, from the top down.
    """
    shown = [window for window in windows if window.ended >= limits[0] and window.began <= limits[1]]
    rows = _rows(shown)
    strip = [0.3 * len(rows)] if rows else []
    figure = canvas(sum(heights) + sum(strip) + 1.1)
    panels = list(
        figure.subplots(len(strip) + len(heights), 1, sharex=True, height_ratios=[*strip, *heights], squeeze=False)[
            :, 0
        ]
    )
    panels[0].set_xlim(*limits)
    if rows:
        _draw_strip(panels.pop(0), rows, limits)
    for axes in panels:
        axes.broken_barh(
            [(began, ended - began) for began, ended in merged(shown)], (0, 1), transform=axes.get_xaxis_transform(),
            facecolor="none", edgecolor=GREY, hatch="//", alpha=0.35, linewidth=0.8, zorder=1.5,
        )  # fmt: skip
    panels[-1].set_xlabel("time since the beginning (s)")
    figure.align_ylabels(panels)
    return figure, panels


def time_limits(*times: np.ndarray) -> tuple[float, float]:
    """The first and the last of all times, in seconds; a span of at least 1 s around equal times."""
    filled = [each for each in times if len(each)]
    low, high = min(float(each.min()) for each in filled), max(float(each.max()) for each in filled)
    return (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)


def _rows(windows: Sequence[FaultWindow]) -> list[tuple[str, list[tuple[float, float]]]]:
    by_name = {name: merged([window for window in windows if window.fault == name]) for name in names(windows)}
    rows = [(plain(name), spans) for name, spans in by_name.items()]
    if len(rows) > NAMED:
        rest = [window for window in windows if window.fault in list(by_name)[NAMED - 1 :]]
        rows = [*rows[: NAMED - 1], (f"{len(rows) - NAMED + 1} more faults", merged(rest))]
    return rows


def _draw_strip(axes: Any, rows: list[tuple[str, list[tuple[float, float]]]], limits: tuple[float, float]) -> None:
    axes.grid(visible=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=12)
    axes.tick_params(length=0, labelbottom=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    for row, (_, spans) in enumerate(rows):
        # A fault without duration is drawn as a line.
        least = (limits[1] - limits[0]) / 400
        axes.broken_barh(
            [(began, max(ended - began, least)) for began, ended in spans], (row - 0.34, 0.68),
            facecolor="#EFEFEF", edgecolor=INK, hatch="//", linewidth=0.8,
        )  # fmt: skip

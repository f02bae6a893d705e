"""What clients see of any system: how each request ended, and what services did after a reader had left."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from netra_sim.charts.faults import HATCHED, fault_windows, time_limits, timed_panels
from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import (
    BLUE,
    FLOOR,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Look,
    canvas,
    duration,
    headline,
    legend,
    log_durations,
    mark_objective,
    plain,
    styled,
)
from netra_sim.checks import request_latencies
from netra_sim.history import History, Kind
from netra_sim.quantities import counted

RUNS_SHOWN = 25
"""The most runs that `work_after_leaving` draws; the table of numbers has all."""

_NEAR = 10.0
"""An objective that is so many times the slowest request is not drawn: it would leave no room for the requests."""

_ENDINGS = {
    "answered": Look(BLUE, "", "o"),
    "ended with an error": Look(ORANGE, "", "s"),
    "refused": Look(PURPLE, "", "^"),
    "left by the reader": Look(GREY, "", "D"),
    "without an end": Look(VERMILION, "", "X"),
}
"""How a request can end, with its look."""


@styled()
def request_endings(history: History, objective: float) -> Picture:
    """A mark for each request: when it was due, how long its last event took, and how it ended.

    A request without a last event has its mark on a line of its own above the axis.

    Args:
        history: of any source whose clients record requests and what they receive.
        objective: for the time to the last event, in seconds.
    """
    table = _requests(history)
    if table.empty:
        return nothing_to_show("nobody asked for anything.")
    took = table["took"].to_numpy(float)
    known = took[np.isfinite(took)]
    windows = fault_windows(history)
    figure, (axes,) = timed_panels(windows, time_limits(table["due"].to_numpy(float)), [4.2])
    is_near = objective < _NEAR * max(known, default=objective)
    low, high = log_durations(axes.yaxis, [*([objective] if is_near else []), *known], "time to the last event")
    endless = high * (high / low) ** 0.08
    if len(known) < len(took):
        axes.set_ylim(low, endless * (high / low) ** 0.08)
        axes.set_yticks([*axes.get_yticks(), endless], [*(tick.get_text() for tick in axes.get_yticklabels()), "none"])
    for ending, look in _ENDINGS.items():
        rows = table[table["ending"] == ending]
        if len(rows):
            heights = rows["took"].clip(lower=FLOOR).fillna(endless)
            axes.plot(rows["due"], heights, linestyle="", marker=look.marker, markersize=6, color=look.colour,
                      alpha=0.75, label=f"{ending}: {len(rows):,}", clip_on=False)  # fmt: skip
    if is_near:
        mark_objective(axes, objective, "objective")
    legend(figure, *axes.get_legend_handles_labels())
    counts = {name: int((table["ending"] == name).sum()) for name in _ENDINGS}
    others = [f"{count:,} {name}" for name, count in counts.items() if count and name != "answered"]
    title = "; ".join([f"{counts['answered']:,} of {counted(len(table), 'request')} answered", *others])
    late = int((known > objective).sum())
    title += f". {late:,} took longer than {duration(objective)}" if late else ""
    headline(figure, title)
    alt = f"A mark for each request, by its due time and the time to its last event. {title}."
    caption = (
        f"{origin(history)} From the time when a request was due, which includes all waiting, to its last event at "
    )
    caption += f"the client.{'' if is_near else f' The objective, {duration(objective)}, is beyond the axis.'}"
    caption += HATCHED if windows else ""
    numbers = pd.DataFrame(
        {"user": table["user"], "due (s)": table["due"], "ending": table["ending"], "took (ms)": took * 1000}
    )
    return Picture(figure, title, alt, caption, numbers)


@styled()
def work_after_leaving(history: History, allowed: float) -> Picture:
    """A bar for each run that its reader left: how long services worked on for it, the longest first.

    Args:
        history: of a system whose services record their work.
        allowed: seconds for which work may go on.
    """
    left = _left(history)
    if left.empty:
        return nothing_to_show("no reader left a run before its end.")
    if not left["units"].any():
        return nothing_to_show(f"no service recorded any work for {counted(len(left), 'run')} that a reader left.")
    shown = left.head(RUNS_SHOWN)
    figure = canvas(height=1.7 + 0.24 * len(shown))
    axes = figure.subplots()
    places = np.arange(len(shown))
    after = shown["after"].to_numpy(float)
    colours = [VERMILION if value > allowed else BLUE for value in after]
    axes.barh(places, after, color=colours, height=0.7, hatch=["//" if value > allowed else "" for value in after])
    axes.set_yticks(places, [plain(run, 24) for run in shown["run"]], fontsize=11)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, max(float(after.max()), allowed) * 1.15)
    axes.axvline(allowed, color=VERMILION, linewidth=1.8, linestyle=(0, (8, 2)))
    axes.set(xlabel="time from the reader's leaving to the last unit of work (s); dashed: allowed", ylabel="run")
    late = int((left["after"] > allowed).sum())
    longest = duration(float(left["after"].max()))
    title = f"Services worked on for {longest} at most after a reader had left: {late:,} of {counted(len(left), 'left run')}"
    title += f" over the {duration(allowed)} allowed"
    headline(figure, title)
    alt = f"A bar for each run that its reader left, as long as services worked on for it. {title}."
    caption = f"{origin(history)} A unit of work is, for instance, a token of a model."
    if len(shown) < len(left):
        caption += f" The {len(shown)} longest of {len(left):,} runs are drawn; the numbers are of all."
    numbers = left.rename(columns={"left": "left at (s)", "after": "worked on for (s)", "units": "units of work after"})
    return Picture(figure, title, alt, caption, numbers)


class _Ends(NamedTuple):
    """The runs that ended in one of the ways that are not an answer."""

    refused: set[str]
    left: set[str]


def _requests(history: History) -> pd.DataFrame:
    """One row for each request: `user`, `run`, `due`, `took` in seconds (NaN without an end) and `ending`."""
    asked = history.frame(Kind.REQUESTED).drop_duplicates("run")[["user", "run", "due"]].astype({"run": str})
    last = request_latencies(history, keep="last").set_index("run")
    ends = _Ends(*(set(history.frame(kind)["run"].astype(str)) for kind in (Kind.REFUSED, Kind.LEFT)))
    asked["took"] = asked["run"].map(last["latency"]).astype(float)
    events = asked["run"].map(last["event"])
    asked["ending"] = [_ending(run, event, ends) for run, event in zip(asked["run"], events, strict=True)]
    return asked.reset_index(drop=True)


def _ending(run: str, event: object, ends: _Ends) -> str:
    if event == "agent_completed":
        return "answered"
    if isinstance(event, str):
        return "ended with an error"
    if run in ends.refused:
        return "refused"
    return "left by the reader" if run in ends.left else "without an end"


def _left(history: History) -> pd.DataFrame:
    """The runs that nobody read after a time: `run`, `left` and `after` in seconds, `units` of work after; longest first."""
    rows = history.frame(Kind.LEFT, Kind.WORKED, Kind.RECEIVED).astype({"run": str})
    left = rows[rows["kind"] == Kind.LEFT].groupby("run", sort=False)["time"].last()
    read = rows[rows["kind"] == Kind.RECEIVED].groupby("run")["time"].last().reindex(left.index)
    left = left[~(read > left)]
    worked = rows[(rows["kind"] == Kind.WORKED) & rows["run"].isin(left.index)]
    since = worked["time"] - worked["run"].map(left).astype(float)
    late = since[since > 0].groupby(worked["run"])
    table = pd.DataFrame({"left": left, "after": late.max(), "units": late.size()}, index=left.index)
    table = table.fillna({"after": 0.0, "units": 0}).astype({"units": int})
    return table.sort_values("after", ascending=False, kind="stable").rename_axis("run").reset_index()

"""The timeline of one run in lanes: agent, tools, published events, and events at the client."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from netra_sim.charts.faults import fault_windows, names, time_limits, timed_panels
from netra_sim.charts.lanes import Bar, Label, lane_rows, place_labels, seen_apart
from netra_sim.charts.one_run import REFUSALS, OneRun, read_run, times_to_end, work
from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    SKY,
    VERMILION,
    duration,
    headline,
    legend,
    listed,
    plain,
    settle,
    styled,
)
from netra_sim.history import History, Kind
from netra_sim.protocol import FINAL_EVENTS, EventType
from netra_sim.quantities import counted

LANES = 4
"""Most lanes for tools, and for connections; further connections are left out, and the caption says so."""

_MARKS = {
    EventType.AGENT_STARTED: (">", BLUE),
    EventType.AGENT_THINKING: ("o", SKY),
    EventType.AGENT_DELTA: (".", SKY),
    EventType.TOOL_EXECUTING: ("s", ORANGE),
    EventType.TOOL_COMPLETED: ("D", ORANGE),
    EventType.AGENT_COMPLETED: ("*", GREEN),
    EventType.AGENT_ERROR: ("X", VERMILION),
}
_WAITING, _THINKING, _TOOL, _CONNECTED = (PALE, ""), (SKY, ""), (ORANGE, "//"), ("#BFD8C8", "")


@styled()
def run_timeline(history: History, run: str) -> Picture:
    """The timeline of one run, with its user's connections and the faults.

    Args:
        history: the history.
        run: the id of the run.
    """
    found = read_run(history, run)
    if found is None:
        return nothing_to_show(f"the history does not know the run “{plain(run)}”.")
    return _draw(history, found, "")


@styled()
def worst_run_timeline(history: History) -> Picture:
    """The timeline of the run with the longest time from due to its final event at the client."""
    took = times_to_end(history)
    if not took:
        return nothing_to_show("no run was requested.")
    answered = {run: seconds for run, seconds in took.items() if seconds is not None}
    unanswered = len(took) - len(answered)
    if answered:
        worst = max(answered, key=answered.__getitem__)
        prefix = f"The slowest of {counted(len(answered), 'answered run')}: "
    else:
        worst = next(iter(took))
        prefix = f"No run was answered; the first of {len(took):,}: "
    found = read_run(history, worst)
    assert found is not None  # noqa: S101 - it was requested
    more = f" {counted(unanswered, 'run')} got no answer." if unanswered and answered else ""
    return _draw(history, found, prefix, more)


def _draw(history: History, run: OneRun, prefix: str, more: str = "") -> Picture:
    thinking, tools = work(run)
    tool_lanes, _ = lane_rows(tools, LANES)
    connection_lanes, hidden = lane_rows(run.connections, LANES)
    lanes = ["agent", *_numbered("tool", len(tool_lanes)), "server", "client",
             *_numbered("connection", len(connection_lanes))]  # fmt: skip
    low, high = time_limits(np.array([run.due, run.end]))
    margin = (high - low) * 0.02
    windows = fault_windows(history)
    figure, (axes,) = timed_panels(windows, (low - margin, high + margin), [0.62 * len(lanes) + 0.2])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    labels = [*_draw_bars(axes, 0, thinking, _THINKING)]
    waited = [Bar(run.due, float(run.published["time"].iloc[0]))] if len(run.published) else []
    labels += _draw_bars(axes, 0, waited, _WAITING, "waiting")
    for number, bars in enumerate(tool_lanes):
        labels += _draw_bars(axes, 1 + number, bars, _TOOL)
    published, client = 1 + len(tool_lanes), 2 + len(tool_lanes)
    labels += _draw_events(axes, run, published, client, high - low)
    for number, bars in enumerate(connection_lanes):
        _draw_bars(axes, client + 1 + number, bars, _CONNECTED)
        lost = [bar.ended for bar in bars if bar.lost]
        axes.plot(lost, [client + 1 + number] * len(lost), "x", color=VERMILION, markersize=9, markeredgewidth=2.4)
    _key(figure, run, {"waiting": (_WAITING, waited), "thinking": (_THINKING, thinking), "tool": (_TOOL, tools),
                       "connected": (_CONNECTED, run.connections)})  # fmt: skip
    title = prefix + _finding(run)
    headline(figure, title)
    settle(figure)
    place_labels(axes, labels)
    losses = f"{sum(bar.lost for bar in run.connections)} of {counted(len(run.connections), 'connection')}"
    faults = f" Faults: {listed(names(windows))}." if windows else ""
    alt = (
        f"Timeline of the run {plain(run.run)} in {len(lanes)} lanes. {title}. Of {counted(len(run.published), 'event')} "
        f"{len(run.first):,} reached the user; {losses} ended badly.{faults}"
    )
    left_out = f" {counted(hidden, 'more connection')} at the same time not drawn." if hidden else ""
    caption = (
        f"{origin(history)} Run {plain(run.run, 60)}, from when it was due. A line leads from each event's "
        f"publishing to its first arrival.{left_out}{more}"
    )
    return Picture(figure, title, alt, caption, _numbers(run))


def _draw_bars(axes: Any, lane: int, bars: Sequence[Bar], look: tuple[str, str], word: str = "") -> list[Label]:
    bars = seen_apart(bars, axes.get_xlim())
    axes.broken_barh(
        [(bar.began, bar.ended - bar.began) for bar in bars], (lane - 0.28, 0.56), facecolor=look[0], hatch=look[1],
        edgecolor=GREY, linewidth=0.6, zorder=2,
    )  # fmt: skip
    if look == _CONNECTED:
        return []
    labels = []
    for bar in bars:
        took = duration(bar.ended - bar.began)
        texts = (f"{word} {took}", took) if word else (took,)
        labels.append(Label((bar.began + bar.ended) / 2, lane, texts, within=(bar.began, bar.ended)))
    return sorted(labels, key=lambda label: label.within[0] - label.within[1] if label.within else 0.0)


def _draw_events(axes: Any, run: OneRun, published: int, client: int, span: float) -> list[Label]:
    both = run.first
    pixel = span / 1500
    drawn = both.assign(a=(both["time"] // pixel), b=(both["time_received"] // pixel)).drop_duplicates(
        ["event", "a", "b"]
    )
    lines = [[(a, published), (b, client)] for a, b in zip(drawn["time"], drawn["time_received"], strict=True)]
    axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.9, zorder=2.2), autolim=False)
    for lane, table in ((published, run.published), (client, drawn.assign(time=drawn["time_received"]))):
        for event, (marker, colour) in _MARKS.items():
            every = table["time"][table["event"] == event].to_numpy(float)
            times = every[np.unique(every // pixel, return_index=True)[1]]
            size = 14 if marker == "*" else 8
            axes.plot(times, [lane] * len(times), marker, color=colour, markersize=size, markeredgecolor=INK,
                      markeredgewidth=0.7, zorder=3)  # fmt: skip
    for odd, lane in ((run.foreign["time"], client), (run.refusals["time"], published)):
        axes.plot(odd, [lane] * len(odd), "P", color=VERMILION, markersize=10, markeredgecolor=INK, zorder=3.2)
    labels = [
        Label(time, published, (_refusal(kind, detail),), offset=-15)
        for kind, time, detail in run.refusals[["kind", "time", "detail"]].head(3).itertuples(index=False)
    ]
    if len(both):
        arrived, took = both["time_received"].to_numpy(float), (both["time_received"] - both["time"]).to_numpy(float)
        final = np.flatnonzero(both["event"].isin(FINAL_EVENTS))[:1]
        for place in final:
            word = "error" if both["event"].iloc[place] == EventType.AGENT_ERROR else "answer"
            labels.append(
                Label(arrived[place], client, (f"{word} after {duration(arrived[place] - run.due)}",), offset=17)
            )
        labels.append(Label(arrived[took.argmax()], client, (f"slowest: {duration(took.max())}",), offset=17))
        labels.append(
            Label(arrived[0], client, (f"first event after {duration(arrived[0] - run.due)}", "first event"), offset=17)
        )
    return labels


def _key(figure: Any, run: OneRun, bars: Mapping[str, tuple[tuple[str, str], Sequence[Bar]]]) -> None:
    pixel = (run.end - run.due) / 1500
    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor=GREY, label=name)
        for name, ((colour, hatch), drawn) in bars.items()
        if any(bar.ended - bar.began > pixel for bar in drawn)
    ]
    if any(bar.lost for bar in run.connections):
        handles.append(_mark("x", VERMILION, "connection lost"))
    present = set(run.published["event"])
    handles += [_mark(marker, colour, str(event)) for event, (marker, colour) in _MARKS.items() if event in present]
    if len(run.refusals):
        handles.append(_mark("P", VERMILION, "refused or lost"))
    if len(run.foreign):
        handles.append(_mark("P", VERMILION, "at another user"))
    if handles:
        legend(figure, handles, [str(handle.get_label()) for handle in handles])


def _mark(marker: str, colour: str, label: str) -> Line2D:
    edge = colour if marker == "x" else INK
    return Line2D([], [], linestyle="", marker=marker, color=colour, markeredgecolor=edge, markersize=9, label=label)


def _finding(run: OneRun) -> str:
    name = plain(run.run)
    if run.answered is not None:
        ends = set(run.published["event"])
        how = "an error" if EventType.AGENT_ERROR in ends else "its answer"
        text = f"{name} had {how} after {duration(run.answered - run.due)}"
    elif len(run.refusals):
        last = run.refusals.iloc[-1]
        text = f"{name} got no answer: {_refusal(last['kind'], last['detail'])}"
    else:
        text = f"{name} got no answer"
    both = run.first
    if len(both):
        slowest = float((both["time_received"] - both["time"]).max())
        text += f"; its slowest event took {duration(slowest)} to the client"
    return text


def _refusal(kind: int, detail: object) -> str:
    word = REFUSALS[Kind(kind)]
    return f"{word} ({plain(str(detail), 40)})" if str(detail) else word


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name} {number}" for number in range(1, count + 1)]


def _numbers(run: OneRun) -> pd.DataFrame:
    arrived = run.first.set_index("seq")["time_received"]
    table = run.published[["seq", "event", "time"]].head(5000)
    received = table["seq"].map(arrived)
    return pd.DataFrame(
        {
            "number": table["seq"],
            "event": table["event"].astype(str),
            "published (s)": table["time"],
            "at the client (s)": received,
            "took (ms)": (received - table["time"]) * 1000,
        }
    ).reset_index(drop=True)

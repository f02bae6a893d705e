"""What a history records about one run."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from netra_sim.charts.lanes import Bar
from netra_sim.history import History, Kind
from netra_sim.protocol import FINAL_EVENTS, EventType

_ORDERLY_CLOSE = 1000


REFUSALS = {
    Kind.REFUSED: "refused",
    Kind.SCOPE_REFUSED: "no engine",
    Kind.EVENT_REFUSED: "event refused",
    Kind.GAP: "gap announced",
}
"""The kinds of refusals, in words."""


class OneRun(NamedTuple):
    """One run: its rows by kind, its user's connections, and its due and last times, in seconds."""

    run: str
    user: str
    due: float
    published: pd.DataFrame
    received: pd.DataFrame
    refusals: pd.DataFrame
    connections: list[Bar]
    end: float

    @property
    def answered(self) -> float | None:
        """The time when a client of the user first received the final event; None if none did."""
        final = self.own[self.own["event"].isin(FINAL_EVENTS)]
        return float(final["time"].iloc[0]) if len(final) else None

    @property
    def own(self) -> pd.DataFrame:
        """Rows of events that the user's own clients received."""
        return self.received[self.received["user"] == self.user]

    @property
    def foreign(self) -> pd.DataFrame:
        """Rows of events that another user's client received."""
        return self.received[self.received["user"] != self.user]

    @property
    def first(self) -> pd.DataFrame:
        """Each event with the times of its publishing and its first arrival at its owner."""
        own = self.own.drop_duplicates("seq")
        return self.published[["seq", "event", "time"]].merge(
            own[["seq", "time"]], on="seq", suffixes=("", "_received")
        )


def read_run(history: History, run: str) -> OneRun | None:
    """A run by its id; None if the history does not contain it."""
    chosen = history.codes["run"] == (history.tables["run"].index(run) if run in history.tables["run"] else -1)
    if not run or not chosen.any():
        return None
    rows = History(
        {name: column[chosen] for name, column in history.numbers.items()},
        {name: column[chosen] for name, column in history.codes.items()},
        history.tables,
        {},
    ).frame()
    kinds = rows["kind"]
    owners = rows[kinds.isin([Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED])]
    user = str(owners["user"].iloc[0]) if len(owners) else str(rows["user"].iloc[0])
    requested = rows[kinds == Kind.REQUESTED]
    times = rows["time"].to_numpy(float)
    due = float(requested["due"].iloc[0]) if len(requested) else float(times[0])
    end = float(times.max())
    return OneRun(
        run=run,
        user=user,
        due=due if np.isfinite(due) else float(times[0]),
        published=rows[kinds == Kind.PUBLISHED].drop_duplicates("seq"),
        received=rows[kinds == Kind.RECEIVED],
        refusals=rows[kinds.isin(list(REFUSALS))],
        connections=_connections(history, user, due, end),
        end=end,
    )


def times_to_end(history: History) -> dict[str, float | None]:
    """For each requested run, the seconds from its due time to its final event at its user; None without that event."""
    kinds, users, runs = history.numbers["kind"], history.codes["user"], history.codes["run"]
    asked = np.flatnonzero(kinds == Kind.REQUESTED)
    asked = asked[np.sort(np.unique(runs[asked], return_index=True)[1])]
    owner, ended = np.full(len(history.tables["run"]), -1), np.full(len(history.tables["run"]), np.nan)
    owner[runs[asked]] = users[asked]
    final = [code for code, event in enumerate(history.tables["event"]) if event in FINAL_EVENTS]
    ends = np.flatnonzero((kinds == Kind.RECEIVED) & np.isin(history.codes["event"], final))
    ends = ends[users[ends] == owner[runs[ends]]][::-1]
    # The order is reversed, so that the first arrival is assigned last and stays.
    ended[runs[ends]] = history.numbers["time"][ends]
    took = ended[runs[asked]] - history.numbers["due"][asked]
    names = history.tables["run"]
    return {
        names[run]: float(seconds) if np.isfinite(seconds) else None
        for run, seconds in zip(runs[asked].tolist(), took.tolist(), strict=True)
    }


def _connections(history: History, user: str, start: float, end: float) -> list[Bar]:
    rows = history.frame(Kind.CONNECTED, Kind.DISCONNECTED)
    rows = rows[rows["user"] == user]
    began: dict[str, float] = {}
    bars = []
    for kind, time, name, code in zip(rows["kind"], rows["time"], rows["connection"], rows["value"], strict=True):
        if kind == Kind.CONNECTED:
            began[name] = time
        elif name in began:
            bars.append(Bar(began.pop(name), time, lost=code != _ORDERLY_CLOSE))
    bars += [Bar(time, np.inf) for time in began.values()]
    return [Bar(max(bar.began, start), min(bar.ended, end), bar.lost and bar.ended <= end)
            for bar in bars if bar.ended >= start and bar.began <= end]  # fmt: skip


def work(run: OneRun) -> tuple[list[Bar], list[Bar]]:
    """The spans in which the agent thought, and those in which its tools ran."""
    thinking, tools = [], []
    since: float | None = None
    running: list[float] = []
    for event, time in zip(run.published["event"].tolist(), run.published["time"].tolist(), strict=True):
        if since is not None and event not in (EventType.AGENT_STARTED, EventType.AGENT_THINKING):
            thinking.append(Bar(since, time))
            since = None
        if event in (EventType.AGENT_STARTED, EventType.AGENT_THINKING):
            since = time if since is None else since
        elif event == EventType.TOOL_EXECUTING:
            running.append(time)
        elif event == EventType.TOOL_COMPLETED and running:
            tools.append(Bar(running.pop(0), time))
    tools += [Bar(time, run.end) for time in running]
    thinking += [Bar(since, run.end)] if since is not None else []
    return thinking, tools

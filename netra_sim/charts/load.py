"""How latency grows with load, and where the knee is."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from netra_sim.charts.picture import Picture, nothing_to_show
from netra_sim.charts.style import (
    GREY,
    HALO,
    LOOKS,
    canvas,
    duration,
    headline,
    legend,
    log_durations,
    log_ticks,
    looks,
    mark_objective,
    styled,
)
from netra_sim.quantities import counted

_PERCENTILES = {"p50": "p50", "p95": "p95", "p99": "p99"}


@styled()
def load_against_latency(
    trials: pd.DataFrame,
    objective: float,
    knee: float | None = None,
    *,
    judged: str = "p95",
    across: str = "concurrent users",
    columns: Mapping[str, str] = _PERCENTILES,
) -> Picture:
    """Latencies by number of users: medians over the seeds, with bars from the least to the most.

    Args:
        trials: a row for each number of `users` and `seed`, with latencies in seconds, such as a sweep's table.
        objective: the objective for the judged percentile, in seconds.
        knee: the number of users at the knee, or None.
        across: what the number of users counts, such as how many ask within which time.
        judged: the percentile that the objective applies to, a name in `columns`.
        columns: the columns to draw, by shown name; columns that the table does not have are skipped.
    """
    shown = {name: column for name, column in list(columns.items())[: len(LOOKS)] if column in trials}
    trials = trials[trials["users"] > 0] if "users" in trials else trials.head(0)
    if judged in shown:
        trials = trials[np.isfinite(trials[shown[judged]])]
    if trials.empty or judged not in shown:
        return nothing_to_show("no load was tried.")
    middle, low, high = (trials.groupby("users")[list(shown.values())].agg(how) for how in ("median", "min", "max"))
    users, judged_p = middle.index.to_numpy(float), middle[shown[judged]].to_numpy(float)
    seeds = int(trials.groupby("users").size().min())
    figure = canvas(height=5.6)
    axes = figure.subplots()
    for name, look in looks(shown).items():
        column = shown[name]
        drawn = np.maximum(middle[column].to_numpy(float), 1e-4)
        ends = np.maximum([low[column].to_numpy(float), high[column].to_numpy(float)], 1e-4)
        axes.errorbar(
            users, drawn, yerr=np.abs(ends - drawn), color=look.colour, linestyle=look.line, marker=look.marker,
            capsize=4, label=name,
        )  # fmt: skip
    log_durations(axes.yaxis, [objective, *_known(low), *_known(high)], "time to the client")
    least, most = min(users.min(), knee or np.inf), max(users.max(), knee or 0)
    axes.set(xscale="log", xlim=(least / 1.3, most * 1.3), xlabel=across)
    # Each load gets a tick, unless there are too many loads.
    ticks = list(users) if len(users) <= 8 else log_ticks(least / 1.01, most * 1.01)
    ticks = [tick for index, tick in enumerate(ticks) if not index or tick / ticks[index - 1] > 1.12]
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.set_xticks([], minor=True)
    mark_objective(axes, objective, f"objective\nfor {judged}")
    if knee is not None:
        axes.axvline(knee, color=GREY, linewidth=1.6, linestyle=":")
        axes.annotate(
            f"knee: {knee:,.0f} users", (knee, 1), xycoords=axes.get_xaxis_transform(), xytext=(-5, -4),
            textcoords="offset points", ha="right" if knee > np.sqrt(least * most) else "left",
            va="top", path_effects=HALO, weight="bold", zorder=5,
        )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    legend(figure, handles, labels)
    title = _finding(users, judged_p, objective, judged, knee)
    headline(figure, title)
    figures = ", ".join(
        f"{count:,.0f} users {duration(value)}" for count, value in zip(users[:12], judged_p, strict=False)
    )
    alt = f"Curves of {', '.join(shown)} by the number of users. {title}. The {judged} by load: {figures}."
    caption = (
        f"Points are medians over {counted(seeds, 'seed')}, bars show the least and the most. Both axes "
        "are logarithmic."
    )
    return Picture(figure, title, alt, caption, _numbers(shown, middle, low, high))


def _known(table: pd.DataFrame) -> list[float]:
    values = table.to_numpy(float)
    return [float(value) for value in values[np.isfinite(values)]]


def _finding(users: np.ndarray, p: np.ndarray, objective: float, judged: str, knee: float | None) -> str:
    over = np.flatnonzero(p > objective)
    goal = duration(objective)
    if not len(over):
        text = f"{judged} keeps within {goal} up to {users[-1]:,.0f} users"
    elif over[0] == 0:
        text = f"{judged} is over {goal} already with {users[0]:,.0f} users"
    else:
        text = f"{judged} keeps within {goal} up to {users[over[0] - 1]:,.0f} users, not with {users[over[0]]:,.0f}"
    return text + (f"; the knee is at {knee:,.0f}" if knee is not None else "; no knee was reached")


def _numbers(shown: Mapping[str, str], middle: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({"users": middle.index})
    for name, column in shown.items():
        for word, part in (("median", middle), ("least", low), ("most", high)):
            table[f"{name}, {word} (ms)"] = part[column].to_numpy(float) * 1000
    return table

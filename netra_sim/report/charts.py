"""The report's pictures: each a function from evidence to a figure whose title says what it shows."""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from netra_sim.checks import delivery_latencies
from netra_sim.history import Kind
from netra_sim.report.evidence import Evidence

# Okabe and Ito, "Color Universal Design", 2008; each series also has a line style of its own.
_BLUE, _ORANGE, _GREEN, _VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_SERIES = ((_BLUE, "-"), (_ORANGE, "--"), (_GREEN, "-."))

_STYLE: Any = {
    "font.size": 13,
    "axes.titlesize": 15,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "lines.linewidth": 2.5,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "netra_sim",
}

MATRIX_USERS = 24


class Picture:
    """A figure with the words for those who cannot see it; notebooks and pages show it as an HTML figure."""

    def __init__(self, figure: Figure, alt: str, caption: str) -> None:
        self.figure = figure
        self.alt = alt
        self.caption = caption

    def png(self) -> bytes:
        """The picture, byte for byte the same for the same data."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        return (
            f'<figure><img src="data:image/png;base64,{data}" alt="{escape(self.alt)}">'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


def latency_percentiles(evidence: Sequence[Evidence], objective_p95: float) -> Picture:
    """How long events take to their owner's client, from the median to as far into the tail as the sample reaches."""
    with _styled():
        figure, axes = _figure()
        p95s: dict[str, float] = {}
        for one, (colour, line) in zip(evidence, _SERIES, strict=False):
            values = _latencies(one)
            if not len(values):
                continue
            p95s[one.source] = float(np.quantile(values, 0.95))
            # The axis ends where ten values are left: beyond, a quantile says nothing.
            deepest = max(1.0 - 10.0 / len(values), 0.6)
            tail = np.geomspace(0.5, 1.0 - deepest, 200)
            times = np.quantile(values, 1.0 - tail) * 1000
            axes.plot(1.0 / tail, times, color=colour, linestyle=line, label=one.source)
        axes.axhline(objective_p95 * 1000, color=_VERMILION, linewidth=1.5)
        axes.annotate(
            f"objective for p95: {objective_p95 * 1000:g} ms", (2.05, objective_p95 * 1000), color=_VERMILION,
            xytext=(0, 5), textcoords="offset points",
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        marks = {2: "50 %", 10: "90 %", 20: "95 %", 100: "99 %", 1000: "99.9 %", 10_000: "99.99 %"}
        highest = axes.get_xlim()[1]
        axes.set_xticks(
            [mark for mark in marks if mark <= highest], [name for mark, name in marks.items() if mark <= highest]
        )
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("share of events that took no longer")
        axes.set_ylabel("time to the client (ms)")
        names = ", ".join(source for source, p95 in p95s.items() if p95 > objective_p95)
        finding = f"The objective is missed: {names}" if names else "95 of 100 events arrive within the objective"
        axes.set_title(finding)
        axes.legend(frameon=False, loc="lower right")
    told = "; ".join(f"{source} {p95 * 1000:.1f} ms" for source, p95 in p95s.items())
    alt = f"Percentile plot of delivery times. The 95th percentiles are: {told}. {finding}."
    return Picture(
        figure, alt, "From the bridge's publishing of an event to its first arrival at a client of its owner."
    )


def isolation_matrix(evidence: Evidence) -> Picture:
    """Who received whose data: one cell for each pair of users, the offenders first."""
    counts, users = _who_received_whose(evidence)
    total, crossed = int(counts.sum()), int(counts.sum() - np.trace(counts))
    offends = (counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)) > 0
    shown = np.argsort(~offends, kind="stable")[:MATRIX_USERS]
    cells = counts[np.ix_(shown, shown)]
    with _styled():
        figure, axes = _figure(height=6.2)
        axes.grid(visible=False)
        colours = np.full((*cells.shape, 3), 1.0)
        colours[cells > 0] = mpl.colors.to_rgb(_VERMILION)
        diagonal = np.diag_indices(len(shown))
        colours[diagonal] = mpl.colors.to_rgb("#9CC7E4")
        axes.imshow(colours, aspect="equal")
        for row, column in zip(*np.nonzero(cells), strict=True):
            if row != column:
                axes.text(column, row, f"{cells[row, column]}", ha="center", va="center", color="white", fontsize=11)
        axes.set_xticks([])
        step = max(1, len(shown) // 8)
        axes.set_yticks(range(0, len(shown), step), [users[index] for index in shown[::step]])
        axes.set_xlabel("whose data it was (same order)")
        axes.set_ylabel("who received it")
        finding = f"{crossed:,} of {total:,} events reached somebody else"
        axes.set_title(finding)
    alt = f"Matrix of {len(shown)} users: who received whose data. {finding}. " + (
        "Only the diagonal is filled." if not crossed else "Filled cells off the diagonal are leaks."
    )
    more = (
        "" if len(users) <= MATRIX_USERS else f" {len(shown)} of {len(users):,} users are shown; the title counts all."
    )
    return Picture(
        figure, alt, f"{evidence.source.capitalize()}: blue is a user's own data, vermilion would be a leak.{more}"
    )


def live_engines(evidence: Evidence) -> Picture:
    """How many engines are alive over time."""
    assert evidence.history is not None  # noqa: S101 - charts are made of evidence that has a history
    changes = evidence.history.frame(Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED)
    times = changes["time"].to_numpy()
    alive = np.where(changes["kind"] == Kind.SCOPE_OPENED, 1, -1).cumsum()
    with _styled():
        figure, axes = _figure(height=4.2)
        axes.step(times, alive, where="post", color=_BLUE)
        axes.fill_between(times, alive, step="post", color=_BLUE, alpha=0.15)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("live engines")
        peak = int(alive.max()) if len(alive) else 0
        left = int(alive[-1]) if len(alive) else 0
        finding = f"At most {peak:,} engines live at once, and {left:,} are left"
        axes.set_title(finding)
    alt = f"Live engines over {times.max() if len(times) else 0:.0f} seconds. {finding}."
    return Picture(
        figure, alt, f"{evidence.source.capitalize()}: from the opening to the closing of each user's scope."
    )


def _who_received_whose(evidence: Evidence) -> tuple[np.ndarray, list[str]]:
    assert evidence.history is not None  # noqa: S101
    received = evidence.history.frame(Kind.RECEIVED)
    readers, owners = received["user"].astype(object), received["subject"].astype(object)
    users = sorted({*readers, *owners})
    index = {user: number for number, user in enumerate(users)}
    counts = np.zeros((len(users), len(users)), np.int64)
    np.add.at(counts, (readers.map(index).to_numpy(int), owners.map(index).to_numpy(int)), 1)
    return counts, users


def _latencies(evidence: Evidence) -> np.ndarray:
    assert evidence.history is not None  # noqa: S101
    return delivery_latencies(evidence.history)["latency"].to_numpy(float)


def _figure(height: float = 5.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(9, height), dpi=110)
    return figure, figure.subplots()


@contextmanager
def _styled() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield

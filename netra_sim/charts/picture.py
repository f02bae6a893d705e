"""`Picture`: a figure with alternative text and its numbers as a table."""

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from netra_sim.charts.live import Live, as_json
from netra_sim.charts.style import GREY, canvas, headline, settle, styled
from netra_sim.history import History
from netra_sim.tables import Html, render

ROWS_SHOWN = 100
"""Most rows that a page shows of the numbers; the download has all."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its text; notebooks and pages show it as an HTML figure.

    The background is opaque and white, also on a dark page.

    Attributes:
        figure: the drawing.
        title: the finding; the drawing shows it too.
        alt: the alternative text, with what a sighted reader learns from the picture.
        caption: what was measured, and how.
        numbers: the drawn numbers; the column names contain the units.
        live: lets a reader of a page point at the picture and read values; None for a still picture.
    """

    figure: Figure
    title: str
    alt: str
    caption: str
    numbers: pd.DataFrame
    live: Live | None = None

    def png(self) -> bytes:
        """The picture as PNG: the same bytes for the same data and version of matplotlib."""
        return self._png

    def csv(self) -> str:
        """All numbers as CSV."""
        return self.numbers.to_csv(index=False, lineterminator="\n")

    @cached_property
    def _png(self) -> bytes:
        buffer = io.BytesIO()
        with styled():
            settle(self.figure)
            self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def _repr_html_(self) -> Html:
        width, height = (int(side) for side in self.figure.get_size_inches() * self.figure.dpi)
        shown = self.numbers.head(ROWS_SHOWN)
        cut = f" (the first {len(shown)} of {len(self.numbers):,} rows)" if len(shown) < len(self.numbers) else ""
        return render(
            "templates/picture.html",
            png=base64.b64encode(self.png()).decode(),
            alt=self.alt,
            width=width,
            height=height,
            caption=self.caption,
            finding=self.title,
            title=self.title + cut,
            header=shown.columns,
            rows=[map(_cell, row) for row in shown.itertuples(index=False, name=None)],
            csv=base64.b64encode(self.csv().encode()).decode(),
            live=as_json(self.figure, self.live) if self.live else "",
        )


@styled()
def nothing_to_show(why: str) -> Picture:
    """A picture that says why there is nothing to draw."""
    figure = canvas(height=2.2)
    title = "Nothing to show"
    headline(figure, title)
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", color=GREY, fontsize=14)
    return Picture(figure, title, f"{title}: {why}", "", pd.DataFrame())


def origin(history: History) -> str:
    """The source, scenario and seed of a history, as a sentence for captions."""
    scenario, seed = history.meta.get("scenario"), history.meta.get("seed")
    name = scenario.get("name") if isinstance(scenario, dict) else None
    parts = [str(history.meta.get("source", "")).capitalize() or "Recorded"]
    parts += [f"scenario {name}"] if name else []
    parts += [f"seed {seed}"] if seed is not None else []
    return ", ".join(parts) + "."


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        if not np.isfinite(number):
            return "none"
        return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
    return str(value)

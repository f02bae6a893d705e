"""Which check catches which defect."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from netra_sim.charts.picture import Picture, nothing_to_show
from netra_sim.charts.style import PALE, RUST, VERMILION, canvas, headline, listed, plain, styled
from netra_sim.quantities import counted

CLEAN = "nothing broken"
"""The row of the clean runtime, where no check may fail."""


@styled()
def detection_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    counts: np.ndarray,
    seeds: int,
    clean: Sequence[int] | np.ndarray,
    origin: str = "",
) -> Picture:
    """For each defect and check, the share of seeds that caught it; the first row is the clean run and must be empty.

    Args:
        rows: the names of the defects.
        columns: the names of the checks.
        counts: the number of seeds with which a check failed, by defect and check.
        seeds: the number of seeds.
        clean: the number of seeds with which each check failed on the clean runtime.
        origin: a sentence on where the counts come from, for the caption.

    Raises:
        ValueError: the shapes of the arguments do not match.
    """
    caught, alarms = np.asarray(counts), np.asarray(clean)
    if caught.size == 0 and (not rows or not columns):
        return nothing_to_show("no defect was tried, or no check.")
    if caught.shape != (len(rows), len(columns)) or alarms.shape != (len(columns),):
        raise ValueError(
            f"counts are of shape {caught.shape} and clean of {alarms.shape}; expected "
            f"{(len(rows), len(columns))} and {(len(columns),)}"
        )
    undetected = [name for name, row in zip(rows, caught, strict=True) if not row.any()]
    false = [name for name, count in zip(columns, alarms, strict=True) if count]
    title = f"{len(rows) - len(undetected)} of {len(rows)} defects are caught"
    title += f"; nothing catches {listed(undetected)}" if undetected else ""
    title += f"; false alarms from {listed(false)}" if false else "; no false alarms"
    cells = np.vstack([alarms, caught])
    figure = canvas(height=3.0 + 0.28 * len(cells), width=3.8 + 0.38 * max(len(columns), 14))
    _draw(figure.subplots(), cells, [CLEAN, *rows], columns, max(seeds, 1))
    headline(figure, title)
    alt = (
        f"Matrix of {counted(len(rows), 'defect')} by {counted(len(columns), 'check')} over {counted(seeds, 'seed')}. "
        f"{title}. "
        f"On average {float((caught > 0).sum(axis=1).mean()):.1f} checks catch a defect."
    )
    caption = (
        f"Numbers: the share of {counted(seeds, 'seed')}, in %, with which the check failed; blank: none. "
        f"The first row is the runtime with nothing broken, and must be empty. {origin}".rstrip()
    )
    numbers = pd.DataFrame(cells, columns=list(columns))
    numbers.insert(0, "defect", [CLEAN, *rows])
    numbers["caught by"] = (cells > 0).sum(axis=1)
    return Picture(figure, title, alt, caption, numbers)


def _draw(axes: Any, cells: np.ndarray, rows: Sequence[str], columns: Sequence[str], seeds: int) -> None:
    shares = cells / seeds
    colours = np.full((*cells.shape, 3), 1.0)
    blue = np.array([0.0, 0.447, 0.698])
    # Pale for a few seeds, full for all; white stays for none.
    colours[cells > 0] = 1 - (1 - blue) * (0.3 + 0.7 * np.minimum(shares[cells > 0], 1))[:, None]
    colours[0, cells[0] > 0] = (0.835, 0.369, 0.0)
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    for row, column in zip(*np.nonzero(cells), strict=True):
        share = shares[row, column]
        light = row == 0 or share > 0.5
        axes.text(
            column, row, _share(share), ha="center", va="center", fontsize=10.5, color="white" if light else "black",
            weight="bold" if row == 0 else None,
        )  # fmt: skip
    blind = [row > 0 and not cells[row].any() for row in range(len(cells))]
    for row in (row for row, is_blind in enumerate(blind) if is_blind):
        axes.add_patch(_hatched(row, cells.shape[1]))
    axes.grid(visible=False)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PALE)
    axes.axhline(0.5, color="black", linewidth=1.6)
    axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), [plain(name, 30) for name in columns], rotation=90, fontsize=12)
    labels = [plain(name, 44) + (" ✗ not caught" if blind[row] else "") for row, name in enumerate(rows)]
    for row, text in enumerate(axes.set_yticks(range(len(rows)), labels, fontsize=12)):
        text.label1.set(color=RUST if blind[row] else "black", weight="bold" if blind[row] or not row else "normal")
    for column, text in enumerate(axes.get_xticklabels()):
        if cells[0, column]:
            text.set(color=RUST, weight="bold")
    axes.set_xlabel("check")
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("defect")


def _share(share: float) -> str:
    """A share in percent; a partial share is shown as 1 to 99."""
    return f"{min(max(round(share * 100), 1), 99)}" if 0 < share < 1 else f"{share * 100:.0f}"


def _hatched(row: int, columns: int) -> Rectangle:
    return Rectangle((-0.5, row - 0.5), columns, 1, facecolor="none", edgecolor=VERMILION, hatch="//", linewidth=0)

"""How much too short or too long waits are with stock asyncio and with the Windows-safe layer, on several platforms."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from netra_sim.charts.picture import Picture, nothing_to_show
from netra_sim.charts.style import BLUE, GREEN, INK, RUST, canvas, headline, plain, styled

_LOOKS = ((BLUE, "o"), (GREEN, "D"))
"""Colours and markers of the sides; neither is near the colour that says that something is wrong."""


@styled()
def early_waits(errors: pd.DataFrame) -> Picture:
    """A panel for each kind of wait and platform, with the error of each wait; left of the line a wait ended early.

    Args:
        errors: `platform`, `wait`, `side` ("stock" or "Windows-safe"), and `error` in seconds.
    """
    if errors.empty:
        return nothing_to_show("no wait was timed.")
    platforms, waits, sides = (list(dict.fromkeys(errors[name])) for name in ("platform", "wait", "side"))
    figure = canvas(height=1.6 + 1.5 * len(waits))
    panels = figure.subplots(len(waits), len(platforms), sharex=True, sharey=True, squeeze=False)
    rows = []
    for line, wait in zip(panels, waits, strict=True):
        for axes, platform in zip(line, platforms, strict=True):
            of_panel = errors[(errors["wait"] == wait) & (errors["platform"] == platform)]
            for place, side in enumerate(sides):
                values = of_panel.loc[of_panel["side"] == side, "error"].to_numpy(float) * 1000
                if len(values):
                    _strip(axes, place, values, *_LOOKS[place % len(_LOOKS)])
                    early = int((values < 0).sum())
                    rows.append(
                        (platform, wait, side, len(values), early, values.min(), np.median(values), values.max())
                    )
            axes.set_yticks(range(len(sides)), [plain(side) for side in sides])
            axes.set_ylim(len(sides) - 0.4, -0.75)
            axes.axvline(0.0, color=INK, linewidth=1.5)
    for axes, platform in zip(panels[0], platforms, strict=True):
        axes.set_title(plain(platform, 34), loc="left", fontsize=12)
    for line, wait in zip(panels, waits, strict=True):
        line[0].set_ylabel(plain(wait))
    # Room for the counts to the right of the line.
    panels[0][0].set_xlim(right=max(errors["error"].max() * 1000, -0.75 * errors["error"].min() * 1000, 1.0))
    for axes in panels[-1]:
        axes.set_xlabel("longer than asked (ms)")
    columns = ["platform", "wait", "side", "timed", "early", "least (ms)", "median (ms)", "most (ms)"]
    numbers = pd.DataFrame(rows, columns=columns)
    title = _finding(numbers, sides)
    headline(figure, title)
    alt = f"A grid of strips, one for each wait and platform, of how much longer than asked waits were. {title}."
    caption = "Waits of 5 to 50 ms next to a busy task, timed by an exact clock. Left of the line a wait ended early."
    return Picture(figure, title, alt, caption, numbers)


def _strip(axes: Axes, place: int, values: np.ndarray, colour: str, marker: str) -> None:
    spread = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(values, place + spread, linestyle="", marker=marker, markersize=4, color=colour, alpha=0.6)
    early = int((values < 0).sum())
    text = f"{early:,} of {len(values):,} early"
    axes.annotate(
        text,
        (0.0, place - 0.3),
        (6, 0),
        textcoords="offset points",
        fontsize=11,
        va="bottom",
        color=RUST if early else INK,
    )


def _finding(numbers: pd.DataFrame, sides: list[str]) -> str:
    findings = []
    for side in sides:
        sums = numbers[numbers["side"] == side].groupby("platform", sort=False)[["early", "timed"]].sum()
        if not sums["early"].any():
            findings.append(f"{side} nowhere")
            continue
        each = [f"{row.early:,} of {row.timed:,} on {platform}" for platform, row in sums.iterrows() if row.early]
        findings.append(f"{side} {' and '.join(each)}")
    return "Waits that ended early: " + "; ".join(findings)

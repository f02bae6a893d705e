"""How much too short or too long sleeps are on a coarse clock."""

import numpy as np
import pandas as pd

from netra_sim.report.charts.picture import Picture, nothing_to_show
from netra_sim.report.charts.style import INK, VERMILION, canvas, headline, looks, plain, styled

BINS = 32


@styled()
def sleep_error_histogram(errors: pd.DataFrame) -> Picture:
    """For each function how much longer than asked its sleeps were; left of the line they ended early.

    Args:
        errors: `function`, and `error` in seconds.
    """
    if errors.empty:
        return nothing_to_show("no sleep was timed.")
    groups = {
        str(name): group["error"].to_numpy(float) * 1000 for name, group in errors.groupby("function", sort=False)
    }
    early = {name: int((values < 0).sum()) for name, values in groups.items()}
    everything = np.concatenate(list(groups.values()))
    edges = np.linspace(min(everything.min(), -1.0), max(everything.max(), 1.0), BINS + 1)
    figure = canvas(height=1.0 + 2.0 * len(groups))
    panels = np.atleast_1d(figure.subplots(len(groups), 1, sharex=True, sharey=True))
    rows = []
    for axes, (name, look), values in zip(panels, looks(groups).items(), groups.values(), strict=True):
        counts, _, _ = axes.hist(values, bins=edges, color=look.colour, edgecolor="white", linewidth=0.5)
        axes.axvline(0.0, color=INK, linewidth=1.5)
        label = f"{plain(name)}: {early[name]:,} of {len(values):,} early"
        axes.set_title(label, loc="left", fontsize=13, color=VERMILION if early[name] else INK)
        axes.set_ylabel("sleeps")
        rows += [(name, edges[index], edges[index + 1], int(count)) for index, count in enumerate(counts)]
    panels[-1].set_xlabel("longer than asked (ms); left of the line the sleep ended early")
    told = [f"{count:,} of {len(groups[name]):,} by {name}" for name, count in early.items()]
    title = "Sleeps that ended early: " + ", ".join(told)
    headline(figure, title)
    alt = f"Histograms of how much longer than asked sleeps were. {title}."
    caption = "Sleeps one after the other on a simulated clock that ticks every 15.6 ms, as Windows' does."
    return Picture(
        figure, title, alt, caption, pd.DataFrame(rows, columns=["function", "from (ms)", "to (ms)", "sleeps"])
    )

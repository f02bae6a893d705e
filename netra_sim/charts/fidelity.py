"""Simulated times beside real ones, for several numbers of users."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from netra_sim.charts.picture import Picture, nothing_to_show
from netra_sim.charts.style import INK, RUST, canvas, headline, legend, log_durations, looks, percent, styled

_SPREAD = 0.22


@styled()
def simulated_and_real(table: pd.DataFrame, bounds: Mapping[str, float]) -> Picture:
    """A panel for each figure: simulated (hollow) and real (filled) quantiles for each number of users, with the error.

    Args:
        table: a row for each number of `users`, `figure` and `quantile`, with `simulated` and `real` seconds, and `error`
            as a share of the real time.
        bounds: by quantile the largest error that counts as right.
    """
    known = table[np.isfinite(table["simulated"]) & np.isfinite(table["real"])]
    if known.empty:
        return nothing_to_show("no request was answered both in the simulation and in reality.")
    figures = list(dict.fromkeys(known["figure"]))
    users = sorted(known["users"].unique())
    figure = canvas(height=5.4)
    panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    log_durations(panels[0].yaxis, [*known["simulated"], *known["real"]], "time from the due time of a request")
    for axes, name in zip(panels, figures, strict=True):
        axes.set_title(f"until the {name}", loc="left", fontsize=13)
        axes.set_xticks(range(len(users)), [f"{count:,}" for count in users])
        axes.set(xlabel="users", xlim=(-0.6, len(users) - 0.4))
        for place, (quantile, look) in enumerate(looks(bounds).items()):
            rows = known[(known["figure"] == name) & (known["quantile"] == quantile)]
            at = [users.index(count) + (place - 1) * _SPREAD for count in rows["users"]]
            axes.vlines(at, rows["simulated"], rows["real"], color=look.colour, linewidth=1.5)
            axes.plot(at, rows["real"], look.marker, color=look.colour, label=f"{quantile}, real")
            axes.plot(
                at, rows["simulated"], look.marker, color=look.colour, fillstyle="none", label=f"{quantile}, simulated"
            )
            for x, top, error in zip(at, rows[["simulated", "real"]].max(axis=1), rows["error"], strict=True):
                colour = RUST if abs(error) > bounds[quantile] else INK
                axes.annotate(f"{error:+.0%}", (x, top), (0, 7), textcoords="offset points", ha="center", fontsize=10,
                              color=colour, rotation=90, va="bottom")  # fmt: skip
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high * (high / low) ** 0.12)
    legend(figure, *panels[0].get_legend_handles_labels())
    worst = {name: float(known.loc[known["quantile"] == name, "error"].abs().max()) for name in bounds}
    said = [f"{percent(worst[name])} at {name}" for name in bounds if np.isfinite(worst[name])]
    title = f"Simulated times differ from real ones by at most {', '.join(said)}"
    headline(figure, title)
    within = ", ".join(f"{percent(bound)} at {name}" for name, bound in bounds.items())
    alt = f"Simulated and real times of {', '.join(figures)} for {', '.join(map(str, users))} users. {title}."
    caption = "Hollow: simulated; filled: real, on this machine. Errors are shares of the real time."
    caption += f" Rust: over the bound, which is {within}."
    return Picture(figure, title, alt, caption, table)

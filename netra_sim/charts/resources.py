"""How busy the limited resources of a simulation are over time, and how many steps wait for them."""

import numpy as np
import pandas as pd

from netra_sim.charts.faults import HATCHED, fault_windows, timed_panels
from netra_sim.charts.live import Live
from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import PALE, VERMILION, duration, headline, legend, looks, styled
from netra_sim.checks import resource_use, steady_state, use_over_time, which_saturates
from netra_sim.history import History

STEPS = 150
"""The steps of time that a line is drawn in; each shows an average."""


@styled()
def resources_over_time(history: History) -> Picture:
    """For each limited resource the share of it that is busy, and below how many steps wait for it."""
    part = steady_state(history)
    uses = resource_use(history, part)
    if not uses:
        return nothing_to_show("the scenario limits no resource.")
    windows = fault_windows(history)
    edges = np.linspace(0.0, max(float(history.numbers["time"].max(initial=0.0)), 1.0), STEPS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    figure, (shares, queues) = timed_panels(windows, (0.0, edges[-1]), [2.8, 2.8])
    table = pd.DataFrame({"from (s)": edges[:-1], "to (s)": edges[1:]})
    named = {f"{use.resource} ({use.size})": use for use in uses}
    most = 1.0
    for (name, look), use in zip(looks(named).items(), uses, strict=True):
        busy, waiting = use_over_time(history, use.resource, edges)
        style = {"color": look.colour, "linestyle": look.line, "linewidth": 1.8}
        shares.plot(middles, busy / use.slots, label=name, **style)
        queues.plot(middles[~np.isnan(waiting)], waiting[~np.isnan(waiting)], label=name, **style)
        most = max(most, float(np.nanmax(waiting, initial=0.0)))
        table[f"{use.resource}: busy (%)"] = 100 * busy / use.slots
        table[f"{use.resource}: waiting"] = waiting
    for axes in (shares, queues):
        for begins, ends in ((0.0, part.begins), (part.ends, edges[-1])):
            axes.axvspan(begins, ends, color=PALE, alpha=0.5, linewidth=0, zorder=0)
    shares.axhline(1.0, color=VERMILION, linewidth=1.6, linestyle=(0, (8, 2)), zorder=1.9, gid="all of it")
    shares.set(ylim=(0, 1.08), ylabel="busy")
    shares.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    queues.set(ylim=(0, 1.08 * most), ylabel="steps\nwaiting")
    queues.yaxis.get_major_locator().set_params(integer=True, nbins=6)
    legend(figure, *shares.get_legend_handles_labels())
    finding = which_saturates(uses).replace("cpu", "CPU")
    title = finding[0].upper() + finding[1:]
    headline(figure, title)
    alt = f"Lines of the share that is busy, and of the steps that wait, over {edges[-1]:.0f} s. {title}. " + " ".join(
        f"{use.resource}: {use}." for use in uses
    )
    caption = (
        f"{origin(history)} Averages over {duration(edges[1])} each; waiting for the CPU is sampled once a second. Grey: "
        "left out of the title, as warm-up (as long as the longest response, half of the arrivals at most) or as drain "
        f"(after the last request is due).{HATCHED if windows else ''}"
    )
    return Picture(figure, title, alt, caption, table, Live("seconds", ("share", "number"), windows))

"""The simulations of this session, to pick some and see their figures side by side."""

import ipywidgets as widgets

from netra_sim.charts import latency_percentiles
from netra_sim.checks import delivery_latencies
from netra_sim.quantities import quantity
from netra_sim.studies.explorer import Explored
from netra_sim.studies.objectives import quantile
from netra_sim.tables import Html, badge, table

MOST_KEPT = 12
"""Past simulations that are kept, as each holds its whole history."""


class PastRuns:
    """A list of past simulations with check boxes, and the comparison of those that are ticked.

    Attributes:
        picks: a check box for each simulation, the oldest first.
        compare: shows the ticked ones side by side.
        forget: removes the ticked ones from the list.
        shown: the comparison.
        box: the widgets.
    """

    def __init__(self) -> None:
        self._runs: dict[int, Explored] = {}
        self._count = 0
        self.picks: list[widgets.Checkbox] = []
        self.compare = widgets.Button(description="Compare", icon="columns", disabled=True)
        self.forget = widgets.Button(description="Forget", icon="trash", disabled=True)
        self.shown = widgets.Output()
        self._list = widgets.VBox([])
        self._hint = widgets.HTML("Every simulation is listed here; pick two or more to compare them.")
        self.compare.on_click(lambda _: self._compare())
        self.forget.on_click(lambda _: self._forget())
        buttons = widgets.HBox([self.compare, self.forget])
        self.box = widgets.VBox([self._hint, self._list, buttons, self.shown])

    def add(self, explored: Explored) -> None:
        """Put a simulation at the end; the oldest ones beyond `MOST_KEPT` are forgotten."""
        self._count += 1
        self._runs[self._count] = explored
        pick = widgets.Checkbox(
            False, description=_described(self._count, explored), indent=False, layout={"width": "auto"}
        )
        pick.observe(lambda _: self._allow(), names="value")
        self.picks.append(pick)
        if len(self.picks) > MOST_KEPT:
            self._keep(self.picks[-MOST_KEPT:])
        self._list.children = self.picks

    def _picked(self) -> dict[str, Explored]:
        """The ticked simulations, each with a short name."""
        numbered = zip(self.picks, self._runs.items(), strict=True)
        return {f"{number} {one.name}": one for pick, (number, one) in numbered if pick.value}

    def _allow(self) -> None:
        count = len(self._picked())
        self.compare.disabled, self.forget.disabled = count < 2, count < 1

    def _keep(self, picks: list[widgets.Checkbox]) -> None:
        self._runs = {
            number: one for pick, (number, one) in zip(self.picks, self._runs.items(), strict=True) if pick in picks
        }
        self.picks = picks
        self._list.children = picks
        self._allow()

    def _forget(self) -> None:
        self._keep([pick for pick in self.picks if not pick.value])

    def _compare(self) -> None:
        picked = self._picked()
        objective = min(one.trial.scenario.objectives.delivery_p95 for one in picked.values())
        self.shown.outputs = ()
        self.shown.append_display_data(figures_table(picked))
        histories = {name: one.history for name, one in picked.items()}
        self.shown.append_display_data(latency_percentiles(histories, objective))


def figures_table(runs: dict[str, Explored]) -> Html:
    """The figures of which one value is better than another, a column for each simulation, and how each is repeated."""
    rows: list[tuple[str, ...]] = [
        ("users", *(f"{one.trial.scenario.users:,}" for one in runs.values())),
        ("seed", *(str(one.trial.seed) for one in runs.values())),
        ("checks that failed", *(_failed(one) for one in runs.values())),
    ]
    measured = {
        name: {
            f"{result.check}: {what}": one_figure
            for result in one.trial.results
            for what, one_figure in result.measured.items()
            if one_figure.better != "neither"
        }
        for name, one in runs.items()
    }
    names = dict.fromkeys(what for figures in measured.values() for what in figures)
    for what in names:
        rows.append(
            (
                what,
                *(
                    quantity(found[what].value, found[what].unit) if what in found else "none"
                    for found in measured.values()
                ),
            )
        )
    rows.append(("reproduce with", *(Html("<code>{}</code>").format(one.command) for one in runs.values())))
    return table("Past simulations side by side", ("Figure", *runs), rows)


def _failed(one: Explored) -> str:
    return badge("failed") + f" {', '.join(one.trial.failed)}" if one.trial.failed else badge("passed")


def _described(number: int, one: Explored) -> str:
    latencies = delivery_latencies(one.history)["latency"].to_numpy(float)
    p95 = f"delivery p95 {quantile(latencies) * 1000:,.0f} ms" if len(latencies) else "nothing arrived"
    failed = f"failed: {', '.join(one.trial.failed)}" if one.trial.failed else "all checks passed"
    scenario = one.trial.scenario
    faults = ", ".join(fault.name for fault in scenario.faults) or "no fault"
    return f"{number} {one.name} · {scenario.users:,} users · seed {one.trial.seed} · {faults} · {p95} · {failed}"

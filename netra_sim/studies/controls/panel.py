"""The controls: pick scenarios, change them, simulate them with one seed, stop, and compare with earlier simulations."""

import asyncio
from collections.abc import Callable

import ipywidgets as widgets
from IPython.display import display

from netra_sim.charts import latency_over_time, latency_percentiles
from netra_sim.simulation import Scenario, scenario_names
from netra_sim.studies.controls.forms import ROW
from netra_sim.studies.controls.past import PastRuns
from netra_sim.studies.controls.running import BackgroundRuns, Told
from netra_sim.studies.controls.scenario import NONE, ScenarioControls
from netra_sim.studies.explorer import MOST, Comparison, ExplorerParameters, chosen_scenarios
from netra_sim.tables import Html

_STYLE = """<style>
.netra-sim-controls { --jp-widgets-horizontal-tab-width: 13rem; }
.netra-sim-controls select { appearance: auto; background-image: none !important; }
[data-jp-theme-light="false"] .netra-sim-controls { color-scheme: dark; }
.netra-sim-controls .widget-html-content { line-height: 1.4; padding: 0.3rem 0; }
.jp-RenderedHTMLCommon .scroll :is(th, td, caption) { text-align: left; vertical-align: top; }
</style>"""
"""Room for the names of scenarios in the tabs, arrows of the lists that can be seen on a dark page too, lines of a text
close to each other, and tables whose texts begin at the left."""


class Controls:
    """Widgets that simulate and compare scenarios. A rendered page does not have them.

    Args:
        parameters: the initial values.

    Attributes:
        scenarios: the forms of four scenarios.
        users: the number of users of each scenario.
        seed: the seed of everything random.
        simulate: the button that starts; disabled while simulations run.
        stop: the button that ends them.
        bars: for each scenario that runs, its answered requests of all.
        message: what is going on, or what is wrong.
        shown: the last comparison.
        past: earlier simulations.
    """

    def __init__(self, parameters: ExplorerParameters) -> None:
        first = [origin for origin, _ in chosen_scenarios(parameters)]
        names = list(dict.fromkeys([*scenario_names(), *first]))
        narrow = {"layout": {"width": "12rem"}, "style": {"description_width": "3.5rem"}}
        self.users = widgets.BoundedIntText(parameters.users, min=1, max=100_000, description="users", **narrow)
        self.seed = widgets.IntText(parameters.seed, description="seed", **narrow)
        self.simulate = widgets.Button(description="Simulate", button_style="primary", icon="play")
        self.stop = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.message = widgets.HTML()
        self.bars: list[widgets.IntProgress] = []
        self._bars = widgets.VBox([])
        self.shown = widgets.Output()
        self.past = PastRuns()
        self._runs: BackgroundRuns | None = None
        self._tabs = widgets.Tab()
        self.scenarios = [
            ScenarioControls(names, name, self._shared, self._entitle) for name in (*first, *[NONE] * MOST)[:MOST]
        ]
        self._tabs.children = [one.box for one in self.scenarios]
        self._tabs.selected_index = 0
        self._entitle()
        for shared in (self.users, self.seed):
            shared.observe(lambda _: [one.check() for one in self.scenarios], names="value")
        self.simulate.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self._stop())

    def _stop(self) -> None:
        if self._runs is not None:
            self._runs.stop()

    def wait(self) -> None:
        """Wait until the simulations that run have ended, and their results are shown."""
        if self._runs is not None:
            self._runs.join()

    def _ipython_display_(self) -> None:
        shared = widgets.HBox([self.users, self.seed, self.simulate, self.stop], layout=ROW)
        earlier = widgets.Accordion([self.past.box], titles=["past simulations"])
        box = widgets.VBox([widgets.HTML(_STYLE), self._tabs, shared, self.message, self._bars, self.shown, earlier])
        box.add_class("netra-sim-controls")
        display(box)  # type: ignore[no-untyped-call]

    def _shared(self) -> tuple[int, int]:
        return self.users.value, self.seed.value

    def _entitle(self) -> None:
        """Name each tab after its scenario; a mark says that something in it is wrong."""
        if not self._tabs.children:
            return
        for index, one in enumerate(self.scenarios):
            mark = " ✗" if one.is_picked and one.error else ""
            self._tabs.set_title(index, f"{index + 1} {one.pick.value}{mark}")

    def _start(self) -> None:
        chosen = self._chosen()
        if not chosen:
            return
        self.simulate.disabled, self.stop.disabled = True, False
        self.message.value = "Simulating …"
        self.bars = [_bar(scenario) for _, scenario in chosen]
        self._bars.children = [
            widgets.HBox([bar, widgets.Label(_told(0, scenario))], layout=ROW)
            for bar, (_, scenario) in zip(self.bars, chosen, strict=True)
        ]

        def on_answers(index: int, count: int) -> None:
            self.bars[index].value = count
            self._bars.children[index].children[1].value = _told(count, chosen[index][1])

        self._runs = BackgroundRuns(chosen, self.seed.value, on_answers, _in_this_loop(self._end))

    def _chosen(self) -> list[tuple[str, Scenario]]:
        """The picked scenarios; none if something is wrong, which is then shown."""
        picked = [(number, one) for number, one in enumerate(self.scenarios) if one.is_picked]
        errors = {
            number: f"scenario {number + 1} ({one.pick.value}): {error}"
            for number, one in picked
            if (error := one.check())
        }
        self._entitle()
        if errors:
            self._tabs.selected_index = min(errors)
        elif picked:
            return [(one.pick.value, one.scenario()) for _, one in picked]
        self._refuse(*errors.values() or ["pick at least one scenario"])
        return []

    def _refuse(self, *errors: str) -> None:
        lines = Html("<br>").join(Html('<span role="alert">✗ {}</span>').format(error) for error in errors)
        self.message.value = lines

    def _end(self, told: Told) -> None:
        """Show what came out, and allow the next simulation."""
        try:
            self._bars.children = []
            self.message.value = "Stopped; the results below are those of before." if told.is_stopped else ""
            if told.errors:
                self._refuse(*told.errors)
            if told.explored and not told.is_stopped:
                self._show(Comparison(told.explored))
        finally:
            self.simulate.disabled, self.stop.disabled = False, True

    def _show(self, comparison: Comparison) -> None:
        for one in comparison.explored:
            self.past.add(one)
        objective = comparison.objective
        self.shown.outputs = ()
        for part in (
            comparison,
            latency_percentiles(comparison.histories, objective),
            comparison.each(lambda history: latency_over_time(history, objective)),
        ):
            self.shown.append_display_data(part)


def _bar(scenario: Scenario) -> widgets.IntProgress:
    return widgets.IntProgress(0, 0, scenario.requests, description="", layout={"width": "16rem"})


def _told(count: int, scenario: Scenario) -> str:
    return f"{scenario.name}: {count:,} of {scenario.requests:,} requests answered"


def _in_this_loop(call: Callable[[Told], None]) -> Callable[[Told], None]:
    """The call, made on the running event loop: matplotlib's settings belong to one thread. Without a loop, as it is."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return call

    def on_loop(told: Told) -> None:
        loop.call_soon_threadsafe(call, told)

    return on_loop

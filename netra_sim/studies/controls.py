"""The failure explorer's controls in JupyterLab: pick scenarios, change their faults, compare them with one seed."""

import ipywidgets as widgets
import msgspec
from IPython.display import display

from netra_sim.charts import latency_over_time, latency_percentiles
from netra_sim.simulation import Scenario, ScenarioError, find_scenario, scenario_names
from netra_sim.studies.explorer import MOST, ExplorerParameters, chosen_scenarios, side_by_side

_NONE = "(none)"


class Controls:
    """Widgets that call `side_by_side`. A rendered page does not have them.

    Args:
        parameters: the initial values.

    Attributes:
        scenarios: four dropdowns.
        users: the number of users of each scenario.
        seed: the seed of everything random.
        simulate: the button.
        shown: the output for the comparison, or for an error.
    """

    def __init__(self, parameters: ExplorerParameters) -> None:
        first = [scenario.name for _, scenario in chosen_scenarios(parameters)]
        names = [_NONE, *scenario_names()]
        values = [name if name in names else _NONE for name in (*first, *[_NONE] * MOST)][:MOST]
        self.scenarios = [widgets.Dropdown(options=names, value=value, description=f"scenario {number}")
                          for number, value in enumerate(values, 1)]  # fmt: skip
        self.users = widgets.BoundedIntText(parameters.users, min=1, max=100_000, description="users")
        self.seed = widgets.IntText(parameters.seed, description="seed")
        self.simulate = widgets.Button(description="Simulate", button_style="primary")
        self.shown = widgets.Output()
        self._faults = [_FaultControls() for _ in self.scenarios]
        for dropdown, faults in zip(self.scenarios, self._faults, strict=True):
            dropdown.observe(lambda change, faults=faults: faults.show(change["new"]), names="value")
            faults.show(dropdown.value)
        self.simulate.on_click(lambda _: self._compare())

    def fault(self, scenario: int, path: str) -> widgets.FloatText:
        """The control of one value of a fault, such as ``faults.0.share`` of scenario 0.

        Raises:
            KeyError: the scenario has no such value.
        """
        return self._faults[scenario].values[path]

    def _ipython_display_(self) -> None:
        columns = [
            widgets.VBox([dropdown, faults.box]) for dropdown, faults in zip(self.scenarios, self._faults, strict=True)
        ]
        display(widgets.VBox([widgets.HBox([self.users, self.seed, self.simulate]), widgets.HBox(columns), self.shown]))  # type: ignore[no-untyped-call]

    def _compare(self) -> None:
        self.shown.outputs = ()
        try:
            chosen = list(self._chosen())
        except ScenarioError as error:
            self.shown.append_stderr(f"{error}\n")
            return
        comparison = side_by_side(chosen, self.seed.value)
        objective = comparison.objective
        for part in (
            comparison,
            latency_percentiles(comparison.histories, objective),
            comparison.each(lambda history: latency_over_time(history, objective)),
        ):
            self.shown.append_display_data(part)

    def _chosen(self) -> list[tuple[str, Scenario]]:
        chosen = []
        for dropdown, faults in zip(self.scenarios, self._faults, strict=True):
            if dropdown.value != _NONE:
                settings = {"users": self.users.value} | faults.settings()
                chosen.append((dropdown.value, find_scenario(dropdown.value).with_settings(settings)))
        if not chosen:
            raise ScenarioError("pick at least one scenario")
        return chosen


class _FaultControls:
    """A number field for every number of a scenario's faults."""

    def __init__(self) -> None:
        self.box = widgets.VBox([])
        self.values: dict[str, widgets.FloatText] = {}
        self._originals: dict[str, float | int] = {}

    def show(self, name: str) -> None:
        """Show the fields of a library scenario."""
        self.values = {}
        children = []
        faults = () if name == _NONE else find_scenario(name).faults
        for index, fault in enumerate(faults):
            children.append(widgets.Label(fault.name))
            for field, value in msgspec.to_builtins(fault).items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    path = f"faults.{index}.{field}"
                    self.values[path] = widgets.FloatText(value, description=field)
                    self._originals[path] = value
                    children.append(self.values[path])
        self.box.children = children

    def settings(self) -> dict[str, float | int]:
        """The changed values, by path."""
        return {
            path: int(widget.value)
            if isinstance(self._originals[path], int) and widget.value.is_integer()
            else widget.value
            for path, widget in self.values.items()
            if widget.value != self._originals[path]
        }

"""A scenario as a file: its TOML, and a button that writes it to the working directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import msgspec
import tomli_w

from netra_sim.files import save_text
from netra_sim.simulation import Scenario
from netra_sim.studies.controls.forms import ROW
from netra_sim.tables import Html


def as_toml(scenario: Scenario) -> str:
    """The scenario as a file that `Scenario.load` reads; what equals the defaults is left out."""
    values, defaults = msgspec.to_builtins(scenario), msgspec.to_builtins(Scenario())
    named = {"name": scenario.name, "description": scenario.description}
    return tomli_w.dumps(named | _changed(values, defaults))


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    changed = {}
    for name, value in values.items():
        default = defaults.get(name)
        if value == default:
            continue
        # A table with a kind is one value: without some of its fields it could not be read.
        if isinstance(default, dict) and isinstance(value, dict) and "kind" not in value:
            value = _changed(value, default)
        changed[name] = value
    return changed


_TEXT = Html('<pre tabindex="0" style="max-height: 22rem; overflow: auto; line-height: 1.4">{}</pre>')


class ExportControls:
    """The text of the scenario's file, and a button that writes it.

    Attributes:
        text: the TOML.
        file: the name of the file in the working directory.
        write: the button.
        said: what became of it.
    """

    def __init__(self) -> None:
        self.text = ""
        self._shown = widgets.HTML()
        self.file = widgets.Text(description="file", continuous_update=False, layout={"width": "19rem"})
        self.write = widgets.Button(description="Write the file", icon="save")
        self.said = widgets.HTML()
        self.write.on_click(lambda _: self._write())
        row = widgets.HBox([self.file, self.write, self.said], layout=ROW)
        self.box = widgets.VBox([self._shown, row])
        self._seed = 1

    def show(self, scenario: Scenario | None, seed: int) -> None:
        """Show a scenario; None if it has an error, and cannot be written."""
        self._seed = seed
        self.write.disabled = scenario is None
        self.text = "" if scenario is None else as_toml(scenario)
        self._shown.value = _TEXT.format(self.text)
        if scenario is not None and not self.file.value:
            self.file.value = f"my-{scenario.name}.toml"

    def _write(self) -> None:
        path = Path(self.file.value)
        try:
            if path.suffix != ".toml":
                raise ValueError("the name of a scenario's file ends with .toml")
            if path.exists():
                raise ValueError(f"{path} is there already and stays as it is; choose another name")
            save_text(path, self.text)
        except (OSError, ValueError) as error:
            self.said.value = Html('<span role="alert">✗ {}</span>').format(error)
            return
        command = f"netra-sim simulate {path} --seed {self._seed}"
        self.said.value = Html("{} is written; <code>{}</code> simulates it").format(path.resolve(), command)

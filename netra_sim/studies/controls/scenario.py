"""One scenario of the explorer: pick it, and change its faults and all its other settings in generated forms."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets
import msgspec
from msgspec import UNSET

from netra_sim.schema import fields_of
from netra_sim.simulation import FAULTS, Scenario, ScenarioError, find_scenario
from netra_sim.studies.controls.export import ExportControls
from netra_sim.studies.controls.faults import FaultsForm
from netra_sim.studies.controls.forms import Field, Form, KindForm, OptionalForm, StructForm, form_for
from netra_sim.tables import Html

NONE = "(none)"
_PARTS = ("workload", "agents", "network", "platform", "resources", "limits", "objectives")
_OTHERS = ("tools_required", "time_limit", "fidelity")
_FIELDS = {field.name: field for field in fields_of(Scenario)}


class ScenarioControls:
    """The forms of one scenario; a form is made when its section is opened first.

    Args:
        names: the scenarios that can be picked.
        name: the one that is picked at first, or `NONE`.
        shared: the users and the seed that all scenarios have.
        on_change: called after every change.

    Attributes:
        pick: the list of scenarios.
        message: what is wrong, if it belongs to no field.
        box: the widgets.
        export: the scenario as a file.
        error: what is wrong; "" if nothing is.
    """

    error = ""

    def __init__(
        self, names: Sequence[str], name: str, shared: Callable[[], tuple[int, int]], on_change: Callable[[], None]
    ) -> None:
        self._shared, self._on_change = shared, on_change
        self._sections: dict[str, _Section] = {}
        self._wrong: Form | None = None
        self._accordion = widgets.Accordion()
        self._accordion.observe(lambda change: self._open(change["new"]), names="selected_index")
        self.export = ExportControls()
        self.message = widgets.HTML()
        self.pick = widgets.Dropdown(
            options=[NONE, *names], value=name, description="scenario", layout={"width": "22rem"}
        )
        self.pick.observe(lambda _: self._show(), names="value")
        self.box = widgets.VBox([self.pick, self.message, self._accordion])
        self._show()

    @property
    def is_picked(self) -> bool:
        """Whether there is a scenario."""
        return bool(self.pick.value != NONE)

    def form(self, path: str) -> Form:
        """The form of a part or a field, such as "faults", "faults[0].share" or "network.latency".

        Raises:
            KeyError: the scenario has no such part or field.
        """
        for section in self._sections.values():
            section.open()
        return self._places()[path]

    def field(self, path: str) -> widgets.ValueWidget:
        """The input of a field, such as "faults[0].share"; for a value of several kinds, the list of kinds.

        Raises:
            KeyError: the scenario has no such field.
        """
        form = self.form(path)
        if not isinstance(form, Field | KindForm | OptionalForm):
            raise KeyError(path)
        return form.input

    def scenario(self) -> Scenario:
        """The scenario with all changes.

        Raises:
            ScenarioError: a value is wrong; the message names the field.
        """
        values = msgspec.to_builtins(find_scenario(self.pick.value)) | {"users": self._shared()[0]}
        for section in self._sections.values():
            values |= section.values()
        return Scenario.from_mapping({name: value for name, value in values.items() if value is not UNSET})

    def check(self) -> str:
        """What is wrong, "" if nothing is; also shows it beside its field."""
        if self._wrong is not None:
            self._wrong.show_error("")
        self._wrong, self.message.value, self.error, scenario = None, "", "", None
        if self.is_picked:
            try:
                scenario = self.scenario()
                self.message.value = Html("{}").format(scenario.description)
            except ScenarioError as wrong:
                self.error = str(wrong)
                self._show_error()
        self.export.show(scenario, self._shared()[1])
        return self.error

    def _show_error(self) -> None:
        path, _, reason = self.error.partition(": ")
        # The field itself, or the smallest part around it that has a form.
        around = [place for place in self._places() if place and (path + ".").startswith((place + ".", place + "["))]
        if not around:
            self.message.value = Html('<span role="alert">✗ {}</span>').format(self.error)
            return
        self._wrong = self._places()[max(around, key=len)]
        self._wrong.show_error(reason)

    def _places(self) -> dict[str, Form]:
        places = [place for section in self._sections.values() for place in section.places()]
        return {path: form for path, form in places if path}

    def _show(self) -> None:
        """Show the picked scenario, without changes."""
        self._sections, self._wrong = {}, None
        self.export.file.value = ""
        if self.is_picked:
            self._sections = self._new_sections(find_scenario(self.pick.value))
        export = [self.export.box] if self.is_picked else []
        self._accordion.selected_index = None
        self._accordion.children = [*(section.box for section in self._sections.values()), *export]
        for index, title in enumerate([*self._sections, "as a file (TOML)"][: len(self._accordion.children)]):
            self._accordion.set_title(index, title)
        if self.is_picked:
            self._accordion.selected_index = 0
        self._changed()

    def _new_sections(self, original: Scenario) -> "dict[str, _Section]":
        values = msgspec.to_builtins(original)
        has_system = original.system is not UNSET
        kinds = [
            name
            for name, one in FAULTS.items()
            if (one.works_on_systems or one.needs_system if has_system else not one.needs_system)
        ]
        sections = {"faults": _Section("faults", lambda: FaultsForm(values["faults"], kinds, self._changed))}
        for name in _PARTS:
            sections[name] = _Section(name, partial(self._part, name, values))
        sections["other settings"] = _Section("", lambda: StructForm(Scenario, values, self._changed, only=_OTHERS))
        return sections

    def _part(self, name: str, values: dict[str, Any]) -> Form:
        return form_for(_FIELDS[name], values.get(name, UNSET), "", self._changed, heading=False)

    def _open(self, index: int | None) -> None:
        sections = list(self._sections.values())
        if index is not None and index < len(sections):
            sections[index].open()

    def _changed(self) -> None:
        self.check()
        self._on_change()


class _Section:
    """A part of a scenario; its form is made when it is opened first, as many widgets take long.

    Args:
        name: the field of the scenario; "" if the form has fields of the scenario itself.
        make: makes the form.
    """

    def __init__(self, name: str, make: Callable[[], Form]) -> None:
        self._name, self._make = name, make
        self._form: Form | None = None
        self.box = widgets.VBox([])

    def open(self) -> None:
        if self._form is None:
            self._form = self._make()
            self.box.children = [self._form.box]

    def values(self) -> dict[str, Any]:
        """The fields of the scenario that the form sets."""
        if self._form is None:
            return {}
        if self._name:
            return {self._name: self._form.value}
        return {name: self._form.value.get(name, UNSET) for name in _OTHERS}

    def places(self) -> list[tuple[str, Form]]:
        if self._form is None:
            return []
        return [(path.removeprefix("."), form) for path, form in self._form.places(self._name)]

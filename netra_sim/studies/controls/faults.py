"""The faults of a scenario as forms: add one of any kind, edit it, remove it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from netra_sim.schema import first_line
from netra_sim.simulation.faults import fault_kind
from netra_sim.studies.controls.forms import BESIDE, ROW, Form, OnChange, StructForm, prose
from netra_sim.tables import Html


class FaultsForm(Form):
    """The list of faults.

    Args:
        values: the faults as in a scenario file.
        kinds: the kinds of faults that the scenario can have.
        on_change: called after every change.

    Attributes:
        kind: picks the kind of the next fault.
        add: the button that adds it.
        removes: for each fault, the button that removes it.
    """

    def __init__(self, values: Sequence[Mapping[str, Any]], kinds: Sequence[str], on_change: OnChange) -> None:
        super().__init__("", {})
        self._on_change = on_change
        self._faults: list[_FaultForm] = []
        self.kind = widgets.Dropdown(options=kinds, description="kind", layout={"width": "19rem"})
        self.add = widgets.Button(description="Add fault", icon="plus", tooltip="Add a fault of this kind")
        self.add.on_click(lambda _: self._add({"kind": self.kind.value}))
        self._about_kind = widgets.HTML(layout=BESIDE)
        self.kind.observe(lambda change: self._explain(change["new"]), names="value")
        self._explain(self.kind.value)
        self._list = widgets.VBox([])
        row = widgets.HBox([self.kind, self.add, self._about_kind], layout=ROW)
        self.box = widgets.VBox([self.note, self._list, row])
        for value in values:
            self._append(value)
        self._show()

    @property
    def removes(self) -> list[widgets.Button]:
        """See the class."""
        return [fault.remove for fault in self._faults]

    @property
    def value(self) -> list[dict[str, Any]]:
        """See `Form`."""
        return [fault.value for fault in self._faults]

    def parts(self) -> Iterator[tuple[str, Form]]:
        """See `Form`."""
        return ((f"[{index}]", fault) for index, fault in enumerate(self._faults))

    def _explain(self, kind: str) -> None:
        self._about_kind.value = prose(first_line(fault_kind(kind)))

    def _add(self, value: Mapping[str, Any]) -> None:
        self._append(value)
        self._show()
        self._on_change()

    def _append(self, value: Mapping[str, Any]) -> None:
        fault = _FaultForm(value, self._on_change)
        fault.remove.on_click(lambda _: self._remove(fault))
        self._faults.append(fault)

    def _remove(self, fault: "_FaultForm") -> None:
        self._faults.remove(fault)
        self._show()
        self._on_change()

    def _show(self) -> None:
        none = [] if self._faults else [widgets.Label("Nothing fails in this scenario.")]
        self._list.children = [*none, *(fault.box for fault in self._faults)]


class _FaultForm(StructForm):
    """One fault."""

    def __init__(self, value: Mapping[str, Any], on_change: OnChange) -> None:
        self._kind = str(value["kind"])
        about = Html("<b>{}</b> {}").format(self._kind, prose(first_line(fault_kind(self._kind))))
        super().__init__(fault_kind(self._kind), value, on_change, about=about)
        self.remove = widgets.Button(
            description="Remove", icon="trash", tooltip=f"Remove the fault {self._kind}", layout={"flex": "0 0 auto"}
        )
        self.note.layout.flex = "1 1 auto"
        head = widgets.HBox([self.note, self.remove], layout={"align_items": "flex-start"})
        fields = [form.box for form in self.forms.values()]
        self.box = widgets.VBox(
            [head, *fields],
            layout={
                "border_left": "3px solid var(--jp-border-color1, #bdbdbd)",
                "padding": "0 0 0 0.75rem",
                "margin": "0 0 0.75rem 0",
            },
        )

    @property
    def value(self) -> dict[str, Any]:
        """See `Form`."""
        return {"kind": self._kind, **super().value}

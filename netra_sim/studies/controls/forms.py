"""Generates forms from the types of a scenario: a field for each value, with its unit, what it is and what it takes."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets as widgets
import msgspec
from msgspec import UNSET
from msgspec import inspect as types

from netra_sim.exploration.trial import toml
from netra_sim.schema import DescribedField, fields_of, first_line, limits
from netra_sim.tables import Html

OnChange = Callable[[], None]

_QUIET = Html('<span style="color: var(--jp-ui-font-color2, #616161)">{}</span>')
_ERROR = Html('<span role="alert" style="color: var(--jp-error-color1, #c62828); font-weight: 600">✗ {}</span>')
_LABELS = {"description_width": "9.5rem"}
_INPUT = {"width": "19rem", "flex": "0 0 auto"}
BESIDE = {"flex": "1 1 16rem", "min_width": "0"}
"""The layout of text beside an input, which wraps below it in a narrow window."""
ROW = {"flex_flow": "row wrap", "align_items": "center"}
_A_NUMBER = "a number"
_NO_REAL_BOUND = 1e9
"""Bounds from here on only keep arithmetic exact; nobody comes near them."""


class Form:
    """A part of a scenario as widgets.

    Args:
        about: what the part is, as HTML; it stands beside the input, or above the fields.
        layout: of this text.

    Attributes:
        box: the widgets.
        note: says what the part is, and what is wrong with it.
    """

    box: widgets.Box

    def __init__(self, about: str, layout: Mapping[str, str] = BESIDE) -> None:
        self._about = about
        self.note = widgets.HTML(layout=layout)
        self.show_error("")

    @property
    def value(self) -> Any:
        """The value as in a scenario file; `msgspec.UNSET` if it is left out."""
        raise NotImplementedError

    def parts(self) -> Iterator[tuple[str, "Form"]]:
        """The forms inside this one, each with the step of a path that leads to it, such as ".share" or "[0]"."""
        return iter(())

    def places(self, path: str) -> Iterator[tuple[str, "Form"]]:
        """This form and all inside it, each with its path."""
        yield path, self
        for step, part in self.parts():
            yield from part.places(path + step)

    def show_error(self, error: str) -> None:
        """Show what is wrong with this part beside it; "" shows what the part is."""
        self.note.value = _ERROR.format(error) if error else self._about
        self.note.layout.display = "" if self.note.value else "none"


class Field(Form):
    """One value.

    Attributes:
        input: the widget that holds it.
    """

    def __init__(self, field: DescribedField, value: Any, unit: str, on_change: OnChange) -> None:
        super().__init__(_about(field, unit))
        self.input, self._read = _input(field, value)
        self.input.observe(lambda _: on_change(), names="value")
        self.box = widgets.HBox([self.input, self.note], layout=ROW)

    @property
    def value(self) -> Any:
        """See `Form`."""
        return self._read(self.input.value)


class StructForm(Form):
    """A field for each field of a struct.

    Args:
        kind: the struct.
        values: the values as in a scenario file; other fields get their defaults.
        on_change: called after every change.
        about: HTML above the fields.
        unit: the unit of the durations among the fields, if they are no durations here, such as the bytes of a message.
        only: the fields that are shown; all of them if it is empty.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        values: Mapping[str, Any],
        on_change: OnChange,
        *,
        about: str = "",
        unit: str = "",
        only: tuple[str, ...] = (),
    ) -> None:
        super().__init__(about, {"min_width": "0"})
        self.forms = {
            field.name: form_for(field, values.get(field.name, UNSET), _unit_of(field, unit), on_change)
            for field in fields_of(kind)
            if not only or field.name in only
        }
        self.box = widgets.VBox([self.note, *(form.box for form in self.forms.values())])

    @property
    def value(self) -> dict[str, Any]:
        """See `Form`."""
        return {name: value for name, form in self.forms.items() if (value := form.value) is not UNSET}

    def parts(self) -> Iterator[tuple[str, Form]]:
        """See `Form`."""
        return ((f".{name}", form) for name, form in self.forms.items())


class KindForm(Form):
    """A value of one of several kinds: a list of the kinds, and the fields of the one that is picked."""

    def __init__(self, field: DescribedField, value: Any, unit: str, on_change: OnChange) -> None:
        super().__init__(_about(field, unit))
        self._field, self._unit, self._on_change = field, unit, on_change
        self._kinds = {str(one.tag): one.cls for one in field.kind.types if isinstance(one, types.StructType)}
        self._scalar = next((one for one in field.kind.types if not isinstance(one, types.StructType)), None)
        picked = value["kind"] if isinstance(value, dict) else _A_NUMBER
        options = [*([_A_NUMBER] if self._scalar else []), *self._kinds]
        self.input = widgets.Dropdown(
            options=options, value=picked, description=field.name, style=_LABELS, layout=_INPUT
        )
        row = widgets.HBox([self.input, self.note], layout=ROW)
        self.box = widgets.VBox([row])
        self._show(picked, value)
        self.input.observe(lambda change: self._pick(change["new"]), names="value")

    def _pick(self, kind: str) -> None:
        self._show(kind, UNSET)
        self._on_change()

    def _show(self, kind: str, value: Any) -> None:
        self._inner: Form
        if kind == _A_NUMBER:
            field = msgspec.structs.replace(self._field, kind=self._scalar, name="number", about="")
            self._inner = Field(field, 0 if value is UNSET else value, self._unit, self._on_change)
        else:
            cls = self._kinds[kind]
            given = value if isinstance(value, dict) else {}
            about = _QUIET.format(prose(first_line(cls)))
            self._inner = StructForm(cls, given, self._on_change, about=about, unit=self._unit)
        self._inner.box.layout.padding = "0 0 0 1.5rem"
        self.box.children = [self.box.children[0], self._inner.box]

    @property
    def value(self) -> Any:
        """See `Form`."""
        inner = self._inner.value
        return inner if self.input.value == _A_NUMBER else {"kind": self.input.value, **inner}

    def parts(self) -> Iterator[tuple[str, Form]]:
        """See `Form`: the fields of the picked kind."""
        return self._inner.parts()


class OptionalForm(Form):
    """A value that may be left out: a check box, and the value's own form while it is ticked."""

    def __init__(self, field: DescribedField, value: Any, unit: str, on_change: OnChange) -> None:
        super().__init__(_about(field, unit))
        self._field, self._unit, self._on_change = field, unit, on_change
        self._inner: Form | None = None
        self.input = widgets.Checkbox(
            value is not UNSET, description=f"set {field.name}", indent=True, style=_LABELS, layout=_INPUT
        )
        row = widgets.HBox([self.input, self.note], layout=ROW)
        self.box = widgets.VBox([row])
        self._show(value)
        self.input.observe(lambda change: self._tick(is_set=change["new"]), names="value")

    def _tick(self, *, is_set: bool) -> None:
        self._show(_first_value(self._field.kind) if is_set else UNSET)
        self._on_change()

    def _show(self, value: Any) -> None:
        self._inner = None
        if value is not UNSET:
            field = msgspec.structs.replace(self._field, default=msgspec.NODEFAULT, about="")
            self._inner = form_for(field, value, self._unit, self._on_change)
            self._inner.box.layout.padding = "0 0 0 1.5rem"
        self.box.children = [self.box.children[0], *([self._inner.box] if self._inner else [])]

    @property
    def value(self) -> Any:
        """See `Form`."""
        return self._inner.value if self._inner else UNSET

    def parts(self) -> Iterator[tuple[str, Form]]:
        """See `Form`: those of the value; a value without parts is at ".value", as this form is at the field's own path."""
        if isinstance(self._inner, Field):
            return iter([(".value", self._inner)])
        return self._inner.parts() if self._inner else iter(())


def form_for(field: DescribedField, value: Any, unit: str, on_change: OnChange, *, heading: bool = True) -> Form:
    """The form for a field of a scenario.

    Args:
        field: the field.
        value: the value as in a scenario file; `msgspec.UNSET` for the default.
        unit: the unit of the value; "" for none.
        on_change: called after every change.
        heading: whether a table has its name above its fields.
    """
    if value is UNSET and field.default is not UNSET:
        has_default = field.default is not msgspec.NODEFAULT
        value = msgspec.to_builtins(field.default) if has_default else _first_value(field.kind)
    if field.default is UNSET:
        return OptionalForm(field, value, unit, on_change)
    match field.kind:
        case types.UnionType():
            return KindForm(field, value, unit, on_change)
        case types.StructType(cls=cls):
            name = Html("<b>{}</b> ").format(field.name) if heading else Html()
            about = name + _QUIET.format(prose(field.about)) if heading or field.about else ""
            return StructForm(cls, value, on_change, about=about)
    return Field(field, value, unit, on_change)


def _input(field: DescribedField, value: Any) -> tuple[widgets.ValueWidget, Callable[[Any], Any]]:
    """The widget for a value, and what turns its content into the value."""
    looks = {"description": field.name, "style": _LABELS, "layout": _INPUT}
    match field.kind:
        case types.BoolType():
            return widgets.Checkbox(value, indent=True, **looks), bool
        case types.IntType():
            return widgets.IntText(value, **looks), int
        case types.FloatType():
            return widgets.FloatText(value, **looks), float
        case types.LiteralType(values):
            return widgets.Dropdown(options=values, value=value, **looks), str
        case types.StrType():
            return widgets.Text(value, continuous_update=False, **looks), str
    return widgets.Text(toml(value), continuous_update=False, **looks), _from_toml


def _from_toml(text: str) -> Any:
    """The value; the text itself if it is none, which the scenario then refuses."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _first_value(kind: Any) -> Any:
    """A value to begin with, where a scenario file must name one."""
    match kind:
        case types.BoolType():
            return False
        case types.IntType(ge=low) | types.FloatType(ge=low):
            return max(1, low or 0)
        case types.LiteralType(values):
            return values[0]
        case types.StrType():
            return ""
        case types.UnionType(options):
            first = next(one for one in options if isinstance(one, types.StructType))
            return {"kind": first.tag}
        case types.StructType():
            return {}
    return []


def _unit_of(field: DescribedField, unit: str) -> str:
    return unit if unit and field.unit == "s" else field.unit


def _about(field: DescribedField, unit: str) -> Html:
    bounds = "" if isinstance(field.kind, types.UnionType) else limits(field.kind, below=_NO_REAL_BOUND)
    words = "; ".join(filter(None, [field.about.rstrip("."), bounds]))
    return Html("<b>{}</b> {}").format(unit, _QUIET.format(prose(words)))


def prose(text: str) -> Html:
    """A sentence of a docstring, with what stands between backticks as code."""
    parts = text.split("`")
    return Html().join(Html("<code>{}</code>" if index % 2 else "{}").format(part) for index, part in enumerate(parts))

"""The notebooks' parameters: declared once, checked before a kernel starts and again in each notebook."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

import msgspec
from msgspec import Meta

from netra_sim.exceptions import NetraSimError
from netra_sim.near_names import did_you_mean
from netra_sim.type_words import in_everyday_words

_INTEGER = re.compile(r"[+-]?\d+\Z")


Unit = Literal["s", "share", "users", "clients", "seeds"]


class ParameterError(NetraSimError, ValueError):
    """A parameter that the notebook does not have, or a value that the parameter does not accept."""


class Standard(msgspec.Struct, frozen=True):
    """What makes a parameter's value weaker than its default: an easier objective, or less evidence.

    Attributes:
        kind: whether it is an objective or an amount of evidence.
        unit: the unit of the value.
        weaker: the direction of weaker values.
    """

    kind: Literal["objective", "evidence"]
    unit: Unit
    weaker: Literal["lower", "higher"]


class Weaker(msgspec.Struct, frozen=True):
    """A parameter with a value that demands less than its default.

    Attributes:
        parameter: the name of the parameter.
        kind: whether it is an objective or an amount of evidence.
        unit: the unit of both values.
        value: the given value.
        default: the default; for an objective it is the plan's value.
    """

    parameter: str
    kind: Literal["objective", "evidence"]
    unit: Unit
    value: float
    default: float

    def __str__(self) -> str:
        value, default = in_words(self.value, self.unit), in_words(self.default, self.unit)
        if self.kind == "objective":
            return f"{self.parameter.replace('_', ' ')} {value}, the plan says {default}"
        return f"{self.parameter.replace('_', ' ')} {value}, the default is {default}"


def in_words(value: float, unit: Unit) -> str:
    """A parameter's value with its unit, for readers."""
    if unit == "s":
        return f"{value:g} s" if value >= 1 or not value else f"{value * 1000:g} ms"
    return f"{100 * value:g} %" if unit == "share" else f"{value:,g}"


class NotebookParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of every notebook; each notebook's own class adds more. Times are in seconds."""

    seed: Annotated[int, Meta(description="seed of everything random")] = 1
    output: Annotated[str, Meta(description='folder for saved files; "" saves nothing')] = ""

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """The description of each parameter, by name."""
        hints = get_type_hints(cls, include_extras=True)
        return {name: hints[name].__metadata__[0].description for name in cls.__struct_fields__}

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Self:
        """Take the parameters from a notebook's ``globals()``.

        Raises:
            ParameterError: see `check`.
        """
        return cls.check(**{name: names[name] for name in cls.__struct_fields__ if name in names})

    @classmethod
    def check(cls, **values: Any) -> Self:
        """Check typed values.

        Raises:
            ParameterError: the message names the parameter, its value and the allowed values.
        """
        defaults = cls()
        for name in values:
            if name not in cls.__struct_fields__:
                raise ParameterError(cls._unknown(name))
        for name, value in values.items():
            kind = type(getattr(defaults, name))
            takes = (int, float) if kind is float else kind
            if isinstance(value, bool) or not isinstance(value, takes):
                raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {value!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ParameterError(f"{name} takes a finite number, and had {value!r}")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            name = path.rstrip("`")
            if not name:  # an error from `__post_init__`: its message is complete
                raise ParameterError(reason) from error
            raise ParameterError(f"{name}: {in_everyday_words(reason)}; it had {values.get(name)!r}") from error

    @classmethod
    def parse(cls, texts: Sequence[tuple[str, str]], given: Mapping[str, Any] | None = None) -> Self:
        """Read values from texts of the command line, strictly: "fifty" is not a number and "1e3" is not an integer.

        Args:
            texts: pairs of a name and a text.
            given: typed values in addition.

        Raises:
            ParameterError: see `check`; also if a parameter is given twice with different values.
        """
        values = dict(given or {})
        for name, text in texts:
            if name not in cls.__struct_fields__:
                raise ParameterError(cls._unknown(name))
            value = _typed(name, text, type(getattr(cls(), name)))
            if values.setdefault(name, value) != value:
                raise ParameterError(f"{name} is given twice, as {values[name]!r} and as {value!r}")
        return cls.check(**values)

    def with_whole_paths(self) -> Self:
        """The same parameters with the absolute path of the file in `scenario`, for a kernel that runs in another folder."""
        scenario = getattr(self, "scenario", None)
        return self if scenario is None else msgspec.structs.replace(self, scenario=whole_path(scenario))

    @property
    def weaker(self) -> tuple[Weaker, ...]:
        """The parameters that demand less than their defaults, objectives first."""
        hints, defaults = get_type_hints(type(self), include_extras=True), type(self)()
        found = []
        for name in self.__struct_fields__:
            own: Standard | None = (hints[name].__metadata__[0].extra or {}).get("standard")
            value, default = getattr(self, name), getattr(defaults, name)
            if own is not None and (value < default if own.weaker == "lower" else value > default):
                found.append(Weaker(name, own.kind, own.unit, value, default))
        return tuple(sorted(found, key=lambda one: one.kind != "objective"))

    @classmethod
    def _unknown(cls, name: str) -> str:
        known = cls.__struct_fields__
        hint = did_you_mean(name, known, f"there are: {', '.join(known)}")
        return f"there is no parameter {name}; {hint}"


def whole_path(name: str) -> str:
    """The absolute path of a TOML file; the name of a library scenario unchanged."""
    return str(Path(name).resolve()) if name.endswith(".toml") else name


def standard(
    kind: Literal["objective", "evidence"], unit: Unit, weaker: Literal["lower", "higher"]
) -> dict[str, Standard]:
    """The ``extra`` of a parameter, so that the verdict names its weaker values."""
    return {"standard": Standard(kind, unit, weaker)}


LATER = standard("objective", "s", "higher")
DeliveryP95 = Annotated[
    float,
    Meta(description="objective: 95 of 100 events arrive within this time, in seconds", gt=0, le=60, extra=LATER),
]
"""An objective that several notebooks take."""


_WORDS = {int: "a whole number", float: "a number", str: "text"}


def _typed(name: str, text: str, kind: type) -> int | float | str:
    try:
        if kind is int and not _INTEGER.match(text):
            raise ValueError(text)
        typed: int | float | str = kind(text)
    except ValueError as error:
        raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {text!r}") from error
    if isinstance(typed, float) and not math.isfinite(typed):
        raise ParameterError(f"{name} takes a finite number, and had {text!r}")
    return typed

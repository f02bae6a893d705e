"""Reads the fields of a struct for people: what each is, its unit, what it takes, its default."""

import inspect
import math
import re
from typing import Any

import msgspec
from msgspec import inspect as types

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_WORDS: dict[type, str] = {types.IntType: "whole number", types.FloatType: "number", types.StrType: "text"}
_UNITS = {"seconds": "s", "bytes per second": "bytes/s", "bytes": "bytes", "share": "share"}
_UNIT = re.compile(r"^(?:the )?(bytes per second|seconds|bytes|share)\b|\bin (seconds|bytes)\b")


class DescribedField(msgspec.Struct, frozen=True):
    """A field of a struct, as its type and the docstring of its class describe it.

    Attributes:
        name: the name of the field.
        kind: the type, as `msgspec.inspect` sees it.
        default: the default; `msgspec.NODEFAULT` if a value must be given, `msgspec.UNSET` if the field may be left out.
        about: its description, "" without one.
        unit: "s", "bytes", "bytes/s" or "share", which is from 0 to 1; "" if the description names none.
    """

    name: str
    kind: Any
    default: Any
    about: str
    unit: str


def fields_of(kind: type[msgspec.Struct]) -> list[DescribedField]:
    """The fields of a struct, in order; a description may be inherited."""
    about = {name: text for cls in reversed(kind.__mro__) for name, text in _attributes(cls).items()}
    return [
        DescribedField(
            field.name, field.type, _default(field), about.get(field.name, ""), _unit(kind, field.name, about)
        )
        for field in types.type_info(kind).fields  # type: ignore[attr-defined]
    ]


def first_line(kind: type) -> str:
    """The first line of a docstring."""
    return (kind.__doc__ or "").splitlines()[0].replace("``", "`")


def limits(kind: Any, below: float = math.inf) -> str:
    """The bounds of a type in words, such as ">= 1 and <= 64", or the pattern that a text must match; "" without any.

    Args:
        kind: the type, as `msgspec.inspect` sees it.
        below: greater bounds are left out.
    """
    if pattern := getattr(kind, "pattern", None):
        return f"that matches `{pattern}`"
    found = {sign: getattr(kind, name, None) for name, sign in _BOUNDS.items()}
    return " and ".join(
        f"{sign} {limit:,}".removesuffix(".0") for sign, limit in found.items() if limit is not None and limit < below
    )


def takes(kind: Any) -> str:
    """The values that a type accepts, in words."""
    match kind:
        case types.Metadata(inner):
            return takes(inner)
        case types.LiteralType(values):
            return " or ".join(f"`{value}`" for value in values)
        case types.UnionType():
            return "a `kind`, see below"
        case types.StructType() | types.DictType():
            return "a table"
        case types.BoolType():
            return "`true` or `false`"
        case types.VarTupleType(item):
            return f"a list of: {takes(item)}"
        case types.TupleType(items):
            return f"a list of {len(items)}: {', '.join(map(takes, items))}"
    return f"{_WORDS.get(type(kind), type(kind).__name__)} {limits(kind)}".strip()


def _default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    # msgspec shows a field that may be left out as one that is not required and has no default.
    return msgspec.UNSET if field.default is msgspec.NODEFAULT and not field.required else field.default


def _attributes(kind: type) -> dict[str, str]:
    """The descriptions of attributes in a class docstring, by name."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): ((?:.*\n?)(?:        .*\n?)*)", section, re.M)
    return {name: " ".join(about.split()).replace("``", "`") for name, about in entries}


def _unit(kind: type, name: str, about: dict[str, str]) -> str:
    """The unit that the description of a field names, or its name, or the sentence on its class: "all ``every`` seconds"."""
    if found := _UNIT.search(about.get(name, "")):
        return _UNITS[found[1] or found[2]]
    if about.get(name, "").startswith("the same"):
        names = list(about)
        return _unit(kind, names[names.index(name) - 1], about)
    if named := re.search(r"(?:^|_)(seconds|bytes_per_second|bytes)$", name):
        return _UNITS[named[1].replace("_", " ")]
    mentioned = re.search(rf"``{name}`` (seconds|bytes)\b", kind.__doc__ or "")
    return _UNITS[mentioned[1]] if mentioned else ""

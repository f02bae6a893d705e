"""Explains a wrong field of a scenario: the reason from msgspec, the value, and the values that the field takes."""

import difflib
import re
from typing import Any

import msgspec
from msgspec import inspect

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_SOME_ENTRY = "[...]"
"""What msgspec writes for the name of a wrong entry in a table of any names."""

_REASONS = ("Expected", "Object", "Invalid")
"""How the reasons of msgspec begin."""

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def explain(message: str, fields: object, kind: type) -> str:
    """The message of a `msgspec.ValidationError`, with the value of the field and the values that it takes.

    Args:
        message: the text of the error.
        fields: the value that could not be converted.
        kind: the type that it should have become.
    """
    reason, _, path = message.partition(" - at `$")
    path = path.rstrip("`")
    if not reason.startswith(_REASONS):
        return f"{path.lstrip('.') or 'scenario'}: {reason}"  # of the type itself, which names the value
    while _SOME_ENTRY in path:
        before, _, after = path.partition(_SOME_ENTRY)
        path = f"{before}.{_wrong_entry(*_follow(before, inspect.type_info(kind), fields))}{after}"
    place, value = _follow(path, inspect.type_info(kind), fields)
    parts = [f"{path.lstrip('.') or 'scenario'}: {reason}"]
    unknown = _UNKNOWN.match(reason)
    if not path and not unknown:
        return reason  # each field is valid, and they do not fit together
    if not unknown:
        parts.append(f"it had {value!r}")
    choices = _choices(place, value)
    if unknown and (close := difflib.get_close_matches(unknown[1], choices, n=1)):
        parts.append(f"did you mean {close[0]}?")
    if choices:
        parts.append(f"it takes {', '.join(choices)}")
    return "; ".join(parts)


def _follow(path: str, place: inspect.Type | None, value: Any) -> tuple[inspect.Type | None, Any]:
    """The type and the value at a path such as ``.faults[0].share``."""
    for name, index in _STEP.findall(path):
        place = _below(place, name, value)
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return place, None
    return place, value


def _wrong_entry(table: inspect.Type | None, value: Any) -> str:
    """The name of the first entry of a table that is not what the table takes."""
    assert isinstance(table, inspect.DictType) and isinstance(value, dict)  # noqa: S101, PT018 - msgspec has named an entry
    for name, entry in value.items():
        for one in _structs(table.value_type):
            try:
                msgspec.convert(entry, one.cls)
            except msgspec.ValidationError:
                return str(name)
    return "..."


def _below(place: inspect.Type | None, name: str, value: Any) -> inspect.Type | None:
    if not name:
        return getattr(place, "item_type", None)
    if isinstance(place, inspect.DictType):
        return place.value_type
    structs = _structs(place)
    if structs and structs[0].tag_field == name:
        return inspect.LiteralType(tuple(str(one.tag) for one in structs))
    return next((field.type for one in _chosen(structs, value) for field in one.fields if field.name == name), None)


def _choices(place: inspect.Type | None, value: Any) -> list[str]:
    """The names or values that are possible here; empty if they cannot be listed."""
    if isinstance(place, inspect.LiteralType):
        return [f"one of {place.values[0]}", *map(str, place.values[1:])]
    structs = _structs(place)
    chosen = _chosen(structs, value)
    if len(chosen) == 1 and isinstance(value, dict):
        tag = [str(chosen[0].tag_field)] if chosen[0].tag_field else []
        return tag + [field.name for field in chosen[0].fields]
    return [f'{one.tag_field} = "{one.tag}"' for one in structs if one.tag_field]


def _chosen(structs: list[inspect.StructType], value: Any) -> list[inspect.StructType]:
    """The one of several structs that the tag of the value names."""
    if len(structs) < 2:
        return structs
    return [one for one in structs if isinstance(value, dict) and value.get(one.tag_field) == one.tag]


def _structs(place: inspect.Type | None) -> list[inspect.StructType]:
    options = place.types if isinstance(place, inspect.UnionType) else (place,)
    return [one for one in options if isinstance(one, inspect.StructType)]

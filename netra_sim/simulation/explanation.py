"""Explains a wrong field of a scenario: the reason from msgspec, the value, and the values that the field takes."""

import re
from typing import Any

import msgspec
from msgspec import inspect

from netra_sim.near_names import did_you_mean, nearest
from netra_sim.type_words import UNKNOWN_FIELD, in_everyday_words

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_SOME_ENTRY = "[...]"
"""What msgspec writes for the name of a wrong entry in a table of any names."""

_REASONS = ("Expected", "Object", "Invalid")
"""How the reasons of msgspec begin."""


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
    parts = [f"{path.lstrip('.') or 'scenario'}: {in_everyday_words(reason)}"]
    unknown = UNKNOWN_FIELD.match(reason)
    if not path and not unknown:
        return reason  # each field is valid, and they do not fit together
    if not unknown and reason.startswith("Expected"):
        parts.append(f"it had {value!r}")
    choices = _choices(place, value)
    if hint := did_you_mean(unknown[1] if unknown else str(value), choices):
        parts.append(hint)
    elif choices:
        parts.append(f"it takes {'one of ' if isinstance(place, inspect.LiteralType) else ''}{', '.join(choices)}")
    return "; ".join(parts)


def hint_for_path(fields: Any, path: str) -> str:
    """What may have been meant by the path of a setting that does not exist, or what there is; to follow a message.

    Args:
        fields: the scenario as plain values.
        path: such as ``network.latncy.median``.
    """
    place, known = fields, list[str]()
    for part in path.split("."):
        if isinstance(place, list):
            if not (part.isdecimal() and int(part) < len(place)):
                last = f"the last one is {'.'.join(known)}.{len(place) - 1}" if place else "the list is empty"
                return f"; {last}"
            place = place[int(part)]
        elif not isinstance(place, dict):
            return f"; {'.'.join(known)} is one value, and not a table"
        elif part in place:
            place = place[part]
        else:
            near = nearest(part, place)
            rest = path.split(".")[len(known) + 1 :]
            meant = ".".join([*known, near, *rest])
            return f"; did you mean {meant}?" if near else f"; {'.'.join(known) or 'it'} has {', '.join(place)}"
        known.append(part)
    return ""


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
        return list(map(str, place.values))
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

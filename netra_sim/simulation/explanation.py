"""What a wrong field of a scenario had, and what it takes: msgspec's reason, completed from the types."""

import difflib
import re
from typing import Any

from msgspec import inspect

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def explain(message: str, fields: object, kind: Any, within: str = "") -> str:
    """The message of a `msgspec.ValidationError`, with the field's value and the values that it takes.

    Args:
        message: the error's text.
        fields: what could not be converted.
        kind: what it was to become.
        within: the path of the fields in the scenario; "" if they are all of it.
    """
    reason, _, path = message.partition(" - at `$")
    path = path.rstrip("`")
    place, value = _follow(path, inspect.type_info(kind), fields)
    told = [f"{f'{within}{path}'.lstrip('.') or 'scenario'}: {reason}"]
    unknown = _UNKNOWN.match(reason)
    if not unknown:
        told.append(f"it had {value!r}")
    choices = _choices(place, value)
    if unknown and (close := difflib.get_close_matches(unknown[1], choices, n=1)):
        told.append(f"did you mean {close[0]}?")
    if choices:
        told.append(f"it takes {', '.join(choices)}")
    return "; ".join(told)


def _follow(path: str, place: inspect.Type | None, value: Any) -> tuple[inspect.Type | None, Any]:
    """The type and the value at a path such as ``.faults[0].share``."""
    for name, index in _STEP.findall(path):
        place = _below(place, name, value)
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return place, None
    return place, value


def _below(place: inspect.Type | None, name: str, value: Any) -> inspect.Type | None:
    if not name:
        return getattr(place, "item_type", None)
    structs = _structs(place)
    if structs and structs[0].tag_field == name:
        return inspect.LiteralType(tuple(str(one.tag) for one in structs))
    return next((field.type for one in _meant(structs, value) for field in one.fields if field.name == name), None)


def _choices(place: inspect.Type | None, value: Any) -> list[str]:
    """The names or values of which one is wanted here; empty if there is no list of them."""
    if isinstance(place, inspect.LiteralType):
        return [f"one of {place.values[0]}", *map(str, place.values[1:])]
    structs = _structs(place)
    meant = _meant(structs, value)
    if len(meant) == 1 and isinstance(value, dict):
        tag = [str(meant[0].tag_field)] if meant[0].tag_field else []
        return tag + [field.name for field in meant[0].fields]
    return [f'{one.tag_field} = "{one.tag}"' for one in structs if one.tag_field]


def _meant(structs: list[inspect.StructType], value: Any) -> list[inspect.StructType]:
    """Of several kinds that which the value names."""
    if len(structs) < 2:
        return structs
    return [one for one in structs if isinstance(value, dict) and value.get(one.tag_field) == one.tag]


def _structs(place: inspect.Type | None) -> list[inspect.StructType]:
    options = place.types if isinstance(place, inspect.UnionType) else (place,)
    return [one for one in options if isinstance(one, inspect.StructType)]

"""Templates of what a client sends, and paths into what it receives; both come from a scenario file."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

_MARK = re.compile(r"\{(user|number|thread|run|text|room)\}")
_NUMBER = re.compile(r"\d+(?=\D*\Z)")


def values_of(user_id: str, *, thread: str = "", run: str = "", text: str = "", room: str = "") -> dict[str, str]:
    """What the marks of a template stand for; ``{number}`` is the last number in the user's id, such as 7 in "user-7"."""
    number = _NUMBER.search(user_id)
    found = number[0] if number else "0"
    return {"user": user_id, "number": found, "thread": thread, "run": run, "text": text, "room": room}


def fill(template: Any, values: Mapping[str, str]) -> Any:
    """A template with its marks replaced, in all texts of a JSON value; other braces stay as they are."""
    if isinstance(template, str):
        return _MARK.sub(lambda found: values[found[1]], template)
    if isinstance(template, Mapping):
        return {fill(name, values): fill(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in template]
    return template


def fill_path(template: str, values: Mapping[str, str]) -> str:
    """The path of a URL with its marks replaced by percent-encoded values."""
    return _MARK.sub(lambda found: quote(values[found[1]], safe=""), template)


def uses(template: Any, *names: str) -> bool:
    """Whether a template has one of these marks."""
    text = template if isinstance(template, str) else msgspec.json.encode(template).decode()
    return any(found in names for found in _MARK.findall(text))


def at(message: Any, path: str) -> Any:
    """The value at a dotted path, such as ``choices.0.delta.content``, in a JSON value; UNSET if there is none."""
    for step in _steps(path):
        if isinstance(message, dict):
            message = message.get(step, msgspec.UNSET)
        elif isinstance(message, list) and step.isdecimal() and int(step) < len(message):
            message = message[int(step)]
        else:
            return msgspec.UNSET
    return message


@lru_cache(256)  # the paths of a scenario
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def text_at(message: Any, path: str) -> str:
    """The text or number at a path as a text; "" without a path, or if nothing is there."""
    value = at(message, path) if path else None
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def number_at(message: Any, path: str) -> int:
    """The whole number at a path; -1 without a path, or if there is none."""
    value = at(message, path) if path else None
    return value if isinstance(value, int) and not isinstance(value, bool) else -1

"""Turns any reasonable Python value into plain JSON values with its secrets redacted, or refuses it by name.

Nothing is dropped in silence: what cannot be carried raises `PayloadError` with the path to it. NaN and infinities
become null, as ECMAScript's ``JSON.stringify`` has it.
"""

import base64
import dataclasses
import datetime
import decimal
import enum
import operator
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from math import isfinite
from typing import Any

import msgspec

from netra_sim.bridge.secrets import ANY_WORD, REDACTED, is_harmless, is_secret_name, redact_text
from netra_sim.exceptions import PayloadError

MAX_DEPTH = 64
"""Levels of nesting that a payload may have; a payload that contains itself exceeds any number."""

LONG_TEXT = 1_000
"""Characters of a text that need no counting, since so few cost little more than a number."""


class HarmlessNames(set[str]):
    """Names of keys that were found to be no secrets, so that each is judged once; bounded, and no name in it is long."""

    def remember(self, name: str) -> None:
        """Take a name up, unless it is long."""
        if len(name) <= 64:
            if len(self) >= 4096:
                self.clear()
            self.add(name)


def plain(value: object, path: str, harmless: HarmlessNames, room: int) -> Any:
    """The value as None, bool, int, float, str, list and dict, redacted, independent of the original.

    Sets are sorted by their JSON text, so that the same set always makes the same bytes. Keys of mappings become
    strings; two keys that become the same string are refused, since one of their values would be lost.

    Args:
        value: any value.
        path: where it stands, for errors.
        harmless: what earlier payloads have taught.
        room: for so many values and characters, as each makes a byte at least. A value counts wherever it stands, so that
            lists that hold each other twice over and over, small as they are, are refused before they fill the memory.

    Raises:
        PayloadError: something in the value cannot be carried; the error's path tells where.
    """
    try:
        return _plain(value, 0, _Walk(harmless, room))
    except _RefusedError as refused:
        raise PayloadError(path + "".join(reversed(refused.path))[:200], refused.reason) from None
    except Exception as error:
        raise PayloadError(path, f"could not be read: {error_text(error)}") from error


def can_go_as_they_are(values: Iterable[Any], harmless: HarmlessNames, room: int, levels: int = MAX_DEPTH) -> int:
    """Whether `plain` would make of these values what the JSON encoder makes of them by itself; 0 or less when in doubt.

    It costs a fraction of `plain`, and nearly all payloads are so. It counts a text of up to `LONG_TEXT` as one value.

    Returns:
        The room that they leave, which is above 0 if they can go.
    """
    for value in values:
        kind = type(value)
        if kind is str:
            if (size := len(value)) >= ANY_WORD or not value.isidentifier():
                if size > LONG_TEXT and (room := room - size) <= 0:
                    return 0
                if not (value.isascii() and is_harmless(value)):
                    return 0
        elif kind is dict:
            if not (levels and harmless.issuperset(value)):
                return 0
            room = can_go_as_they_are(value.values(), harmless, room - len(value), levels - 1)
            if room <= 0:
                return 0
        elif kind is list or kind is tuple:
            if not levels:
                return 0
            room = can_go_as_they_are(value, harmless, room - len(value), levels - 1)
            if room <= 0:
                return 0
        elif kind not in _NUMBERS:
            return 0
    return room


class _Walk:
    """One way through a payload: what is known of names, and the room that is left."""

    __slots__ = ("harmless", "limit", "room")

    def __init__(self, harmless: HarmlessNames, room: int) -> None:
        self.harmless = harmless
        self.limit = self.room = room

    def take(self, amount: int) -> None:
        """Use room up.

        Raises:
            _RefusedError: there is not so much left.
        """
        self.room -= amount
        if self.room < 0:
            raise _RefusedError(
                f"leads to more values and characters than the bytes of an event; at most {self.limit} are carried"
            )


class _RefusedError(Exception):
    """Collects the path from the inside out, so that a payload without fault never pays for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def error_text(error: BaseException) -> str:
    """``Type: text`` of any error, always encodable, also where the error's own text cannot be had."""
    try:
        text = str(error)
    except Exception:
        text = "(it has no readable text)"
    return f"{type(error).__name__}: {text}".encode(errors="backslashreplace").decode()


def _plain(value: Any, depth: int, walk: _Walk) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, walk)
    if kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if isfinite(value) else None
    if depth >= MAX_DEPTH:
        raise _RefusedError(f"nests deeper than {MAX_DEPTH} levels, or contains itself")
    if kind is dict:
        return _mapping(value, depth, walk)
    if kind is list or kind is tuple:
        return _sequence(value, depth, walk)
    return _other(value, depth, walk)


def _text(value: str, walk: _Walk) -> str:
    walk.take(len(value))
    if value.isascii():
        return value if is_harmless(value) else redact_text(value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(f"holds a lone surrogate at character {error.start}; JSON needs UTF-8") from None
    return redact_text(value)


def _sequence(value: Sequence[Any], depth: int, walk: _Walk) -> list[Any]:
    walk.take(len(value))
    result: list[Any] = []
    try:
        for item in value:
            kind = type(item)
            if kind is int or (kind is str and len(item) < ANY_WORD and item.isidentifier()):
                result.append(item)
            else:
                result.append(_plain(item, depth + 1, walk))
    except _RefusedError as refused:
        refused.path.append(f"[{len(result)}]")
        raise
    return result


def _mapping(value: Mapping[Any, Any], depth: int, walk: _Walk) -> dict[str, Any]:
    walk.take(len(value))
    result: dict[str, Any] = {}
    number = 0
    for key, item in value.items():
        number += 1
        kind = type(item)
        if type(key) is str and key in walk.harmless:
            name = key
            if kind is int or (kind is str and len(item) < ANY_WORD and item.isidentifier()):
                result[key] = item
                continue
        else:
            name, is_secret = _name(key if type(key) is str else _key(key), walk)
            if is_secret and item is not None and kind is not bool:
                item = REDACTED
        try:
            result[name] = _plain(item, depth + 1, walk)
        except _RefusedError as refused:
            refused.path.append(f".{name}")
            raise
        if len(result) < number:
            raise _RefusedError(f"has two keys that both become {name!r}; rename one")
    if len(result) < number:
        raise _RefusedError("has two keys that become the same text; rename one")
    return result


_NUMBERS = frozenset({int, float, bool, type(None)})


def _name(key: str, walk: _Walk) -> tuple[str, bool]:
    name, is_secret = _text(key, walk), is_secret_name(key)
    if name == key and not is_secret:
        walk.harmless.remember(key)
    return name, is_secret


def _key(key: object) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float | uuid.UUID | decimal.Decimal | pathlib.PurePath):
        return str(key)
    if isinstance(key, datetime.date | datetime.time):
        return key.isoformat()
    if isinstance(key, tuple):
        return ",".join(_key(part) for part in key)
    raise _RefusedError(f"has a key of type {type(key).__qualname__}; keys must be text, numbers or dates")


def _other(value: Any, depth: int, walk: _Walk) -> Any:
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return _plain(_converted(value, convert), depth + 1, walk)
    if isinstance(value, Mapping):
        return _mapping(value, depth, walk)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth, walk)
    if isinstance(value, Set):
        walk.take(len(value))
        return sorted((_plain(item, depth + 1, walk) for item in value), key=msgspec.json.encode)
    if isinstance(value, Sequence):
        return _sequence(value, depth, walk)
    for method in ("model_dump", "tolist"):  # pydantic models; numpy scalars and arrays
        convert_itself = getattr(value, method, None)
        if callable(convert_itself) and not isinstance(value, type):
            return _plain(_converted(value, operator.methodcaller(method)), depth + 1, walk)
    raise _RefusedError(f"has the type {type(value).__qualname__}, which has no JSON form; convert it first")


def _converted(value: object, convert: Callable[[Any], object]) -> object:
    try:
        return convert(value)
    except Exception as error:
        kind = type(value).__qualname__
        raise _RefusedError(f"has the type {kind}, which failed to convert: {error_text(error)}") from error


def _struct_fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (enum.Enum, lambda value: value.value),
    (str, str.__str__),
    (bool, bool),
    (int, int),
    (float, float),
    ((datetime.datetime, datetime.date, datetime.time), lambda value: value.isoformat()),
    (datetime.timedelta, datetime.timedelta.total_seconds),
    ((uuid.UUID, decimal.Decimal, pathlib.PurePath), str),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
    (BaseException, error_text),
    (msgspec.Struct, _struct_fields),
)

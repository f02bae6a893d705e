"""Converts any reasonable Python value to plain JSON values and redacts its secrets.

Nothing is dropped silently: a value that cannot be converted raises `PayloadError` with its path. NaN and infinities become
null, as with ECMAScript's ``JSON.stringify``.
"""

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import operator
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from math import isfinite
from typing import Any

import msgspec

from netra_sim.bridge.numpy_values import is_missing, is_numpy, numpy_values
from netra_sim.bridge.secret_names import REDACTED, is_name_key, is_secret_name, is_value_key
from netra_sim.bridge.secrets import HARMLESS_BELOW, is_harmless, redact_text
from netra_sim.exceptions import PayloadError

MAX_DEPTH = 64
"""The most levels of nesting in a payload. A payload that contains itself exceeds any limit."""

LONG_TEXT = 1_000
"""A text of up to this many characters counts as one value in `room_if_unchanged`, because it costs little more."""


LONG_NAME = 64
"""The most characters in the name of a header; a longer text is not a name."""


class HarmlessNames(set[str]):
    """A bounded cache of the keys that do not name a secret, so that each is judged once.

    A key such as ``value`` is never in it: whether it holds a secret depends on the other keys of its mapping.
    """

    def remember(self, name: str) -> None:
        """Add a name, unless it is longer than `LONG_NAME` or a key such as ``value``."""
        if len(name) <= LONG_NAME and not is_value_key(name):
            if len(self) >= 4096:
                self.clear()
            self.add(name)


def plain(value: object, path: str, harmless: HarmlessNames, room: int) -> Any:
    """Convert a value to None, bool, int, float, str, list and dict, with its secrets redacted; the original is not shared.

    Sets are sorted by their JSON text, so that equal sets give equal bytes. Keys of mappings become strings; two keys that
    become the same string are refused, because one of their values would be lost.

    Args:
        value: any value.
        path: the place of the value in its event, for errors.
        harmless: the cache of harmless names.
        room: the most values and characters, each of which takes at least one byte of JSON. A value counts each time that it
            is reached. So lists that hold each other twice, level after level, are refused before they fill the memory.

    Raises:
        PayloadError: a part of the value cannot be converted; the error has its path.
    """
    try:
        return _plain(value, 0, _Walk(harmless, room))
    except _RefusedError as refused:
        raise PayloadError(path + "".join(reversed(refused.path))[:200], refused.reason) from None
    except Exception as error:
        raise PayloadError(path, f"could not be read: {error_text(error)}") from error


def room_if_unchanged(values: Iterable[Any], harmless: HarmlessNames, room: int, levels: int = MAX_DEPTH) -> int:
    """The room that is left if the JSON encoder can take these values unchanged; 0 or less if `plain` must convert them.

    This costs a fraction of `plain`, and nearly all payloads pass. In doubt it returns 0. A text of up to `LONG_TEXT`
    characters counts as one value.
    """
    for value in values:
        kind = type(value)
        if kind is str:
            if (size := len(value)) >= HARMLESS_BELOW or not value.isidentifier():
                if size > LONG_TEXT and (room := room - size) <= 0:
                    return 0
                if not (value.isascii() and is_harmless(value)):
                    return 0
        elif kind is dict:
            if not (levels and harmless.issuperset(value)):
                return 0
            room = room_if_unchanged(value.values(), harmless, room - len(value), levels - 1)
            if room <= 0:
                return 0
        elif kind is list or kind is tuple:
            if not levels:
                return 0
            if len(value) == 2 and type(first := value[0]) is str and first not in harmless and _may_name(first):
                return 0
            room = room_if_unchanged(value, harmless, room - len(value), levels - 1)
            if room <= 0:
                return 0
        elif kind not in _NUMBERS:
            return 0
    return room


def _may_name(text: str) -> bool:
    """Whether a text can be the name in a pair of a name and a value, such as a header."""
    return len(text) <= LONG_NAME and " " not in text


class _Walk:
    """The state of one conversion: the harmless names, the room that is left, and whether a secret was found."""

    __slots__ = ("found", "harmless", "limit", "room")

    def __init__(self, harmless: HarmlessNames, room: int) -> None:
        self.found = False
        self.harmless = harmless
        self.limit = self.room = room

    def take(self, amount: int) -> None:
        """Use up room.

        Raises:
            _RefusedError: less room than this is left.
        """
        self.room -= amount
        if self.room < 0:
            raise _RefusedError(
                f"leads to more values and characters than the bytes of an event; at most {self.limit} are carried"
            )


class _RefusedError(Exception):
    """A part cannot be converted. The path is collected while the error rises, so a good payload does not pay for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def error_text(error: BaseException) -> str:
    """``Type: text`` of any error. The result can always be encoded, even if the error fails to give its text."""
    try:
        text = str(error)
    except Exception:
        text = "(it has no readable text)"
    return f"{type(error).__name__}: {text}".encode(errors="backslashreplace").decode()


def _plain(value: Any, depth: int, walk: _Walk) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, depth, walk)
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


def _text(value: str, depth: int, walk: _Walk) -> str:
    walk.take(len(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _RefusedError(f"holds a lone surrogate at character {error.start}; JSON needs UTF-8") from None
    if is_harmless(value):
        return value
    redacted = redact_text(_redact_json(value, depth, walk))
    walk.found = walk.found or redacted != value
    return redacted


def _redact_json(value: str, depth: int, walk: _Walk) -> str:
    """Redact the secrets inside a text that is JSON. A text without secrets is returned unchanged."""
    if not value.lstrip().startswith(("{", "[", '"')):
        return value
    inner = _Walk(walk.harmless, 2 * len(value))
    try:
        clean = _plain(json.loads(value), depth + 1, inner)
    except (ValueError, RecursionError, _RefusedError):  # `redact_text` treats it as any other text.
        return value
    return json.dumps(clean, ensure_ascii=False) if inner.found else value


def _bytes(value: bytes | bytearray | memoryview, depth: int, walk: _Walk) -> str:
    """Encode bytes as Base64, or as `REDACTED` if their UTF-8 text holds a secret."""
    data = bytes(value)
    walk.take(len(data))
    inner = _Walk(walk.harmless, len(data))
    _text(data.decode(errors="replace"), depth, inner)
    if inner.found:
        walk.found = True
        return REDACTED
    return base64.b64encode(data).decode("ascii")


def _sequence(value: Sequence[Any], depth: int, walk: _Walk) -> list[Any]:
    walk.take(len(value))
    if len(value) == 2 and _is_secret_pair(value[0], value[1], walk):
        walk.found = True
        return [_plain(value[0], depth + 1, walk), REDACTED]
    result: list[Any] = []
    try:
        for item in value:
            kind = type(item)
            if kind is int or (kind is str and len(item) < HARMLESS_BELOW and item.isidentifier()):
                result.append(item)
            else:
                result.append(_plain(item, depth + 1, walk))
    except _RefusedError as refused:
        refused.path.append(f"[{len(result)}]")
        raise
    return result


def _is_secret_pair(first: object, second: object, walk: _Walk) -> bool:
    """Whether two values are the name of a secret and the secret, as in a list of headers. A number is never a secret."""
    name = _as_name(first)
    if name is None or name in walk.harmless or not _may_name(name):
        return False
    if is_secret_name(name):
        return not (second is None or isinstance(second, int | float))
    if is_harmless(name):
        walk.harmless.remember(name)
    return False


def _as_name(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else None


def _mapping(value: Mapping[Any, Any], depth: int, walk: _Walk) -> dict[str, Any]:
    walk.take(len(value))
    result: dict[str, Any] = {}
    number = 0
    for key, item in value.items():
        number += 1
        kind = type(item)
        if type(key) is str and key in walk.harmless:
            name = key
            if kind is int or (kind is str and len(item) < HARMLESS_BELOW and item.isidentifier()):
                result[key] = item
                continue
        else:
            name, is_secret = _name(key if type(key) is str else _key(key), depth, walk)
            if (is_secret or (is_value_key(name) and _names_a_secret(value))) and item is not None and kind is not bool:
                item = REDACTED
                walk.found = True
        try:
            result[name] = _plain(item, depth + 1, walk)
        except _RefusedError as refused:
            refused.path.append(f".{name}")
            raise
        if len(result) < number:
            raise _RefusedError(f"has two keys that both become {name!r}; rename one")
    if len(result) < number:
        raise _RefusedError(f"has two keys that both become {_doubled(value, depth, walk)!r}; rename one")
    return result


def _names_a_secret(record: Mapping[Any, Any]) -> bool:
    """Whether a value in this mapping is the name of a secret, as in ``{"name": "Authorization", "value": ...}``."""
    for key, item in record.items():
        name = _as_name(item) if isinstance(key, str) and is_name_key(key) else None
        if name is not None and len(name) <= LONG_NAME and is_secret_name(name):
            return True
    return False


def _doubled(value: Mapping[Any, Any], depth: int, walk: _Walk) -> str:
    """The string that two of the keys become."""
    names: set[str] = set()
    for key in value:
        name, _ = _name(key if type(key) is str else _key(key), depth, walk)
        if name in names:
            return name
        names.add(name)
    return ""


_NUMBERS = frozenset({int, float, bool, type(None)})


def _name(key: str, depth: int, walk: _Walk) -> tuple[str, bool]:
    name, is_secret = _text(key, depth, walk), is_secret_name(key)
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
        return "null" if is_missing(key) else key.isoformat()
    if isinstance(key, tuple):
        return ",".join(_key(part) for part in key)
    if is_numpy(key) and not is_numpy(number := numpy_values(key)):
        return _key(number)
    raise _RefusedError(f"has a key of type {type(key).__qualname__}; keys must be text, numbers or dates")


def _other(value: Any, depth: int, walk: _Walk) -> Any:
    if is_missing(value):
        return None
    if is_numpy(value) and not isinstance(value, _BUILT_IN):
        return _plain(_converted(value, numpy_values), depth + 1, walk)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _mapping(dict(zip(value._fields, value, strict=True)), depth, walk)
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(value, depth, walk)
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
    for method in ("model_dump", "tolist"):  # pydantic models; series of pandas and others
        convert_itself = getattr(value, method, None)
        if callable(convert_itself) and not isinstance(value, type):
            return _plain(_converted(value, operator.methodcaller(method)), depth + 1, walk)
    raise _RefusedError(f"has the type {type(value).__qualname__}, which has no JSON form; convert it first")


_BUILT_IN = (str, int, float, bytes)
"""Some numpy scalars are instances of these too."""


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
    (BaseException, error_text),
    (msgspec.Struct, _struct_fields),
)

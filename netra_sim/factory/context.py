"""`UserExecutionContext`: one request with its user, conversation, run and data. It is immutable at every depth."""

import dataclasses
import datetime
import decimal
import enum
import unicodedata
import uuid
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from netra_sim.exceptions import ContextError

PLACEHOLDER_IDS = frozenset(
    {
        "admin_broadcast",
        "anonymous",
        "broadcast",
        "default",
        "dummy",
        "global",
        "none",
        "null",
        "placeholder",
        "registry",
    }
    | {"system", "temp", "test", "todo", "undefined", "unknown", "user", "user_id", "run_id", "thread_id"}
)
"""Ids that name no real user, thread or run. No id may be one of them or begin with ``placeholder``, in any case
(incident B3)."""

MAX_ID_LENGTH = 256
MAX_REQUEST_ID_LENGTH = 64
MAX_DEPTH = 64


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False, slots=True)
class FrozenMapping(Mapping[str, Any]):
    """An immutable mapping that can be hashed, copied and pickled, unlike ``MappingProxyType``.

    It equals every mapping with the same items.
    """

    _items: Mapping[str, Any]

    def __init__(self, items: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_items", MappingProxyType(dict(items)))

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self._items)!r})"

    def __copy__(self) -> "FrozenMapping":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenMapping":
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (dict(self._items),)


class UserExecutionContext(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one user. Neither the context nor anything that it refers to can be changed.

    It can be hashed, compared, copied and pickled, for example to send it to another process.

    Attributes:
        user_id: the authenticated user.
        thread_id: the conversation, which outlives the request.
        run_id: the run of this request, unique over all users. It may be long enough for ``<user id>.<request id>``.
        connection_id: the connection that carried the request, or None.
        request: the data of the request, frozen: mappings become read-only, lists become tuples, sets become frozensets.
            Instances of subclasses of str, numbers, bytes and dates become instances of the base class, so that they have no
            extra attributes. An Enum member with a mutable value or attribute becomes its frozen value. A time zone that is
            neither a `datetime.timezone` nor a named `zoneinfo.ZoneInfo` becomes a fixed offset.

    Raises:
        ContextError: an id is missing, malformed or a placeholder, or the data contains a mutable object.
    """

    user_id: str
    thread_id: str
    run_id: str
    connection_id: str | None = None
    request: Mapping[str, Any] = FrozenMapping({})

    def __post_init__(self) -> None:
        for field in ("user_id", "thread_id", "run_id", "connection_id"):
            value = getattr(self, field)
            if isinstance(value, str) and type(value) is not str:
                value = str.__str__(value)
                msgspec.structs.force_setattr(self, field, value)
            if value is not None or field != "connection_id":
                require_real_id(field, value)
        longest = max(MAX_ID_LENGTH, run_id_length(self.user_id))
        if len(self.run_id) > longest:
            raise ContextError(f"run_id must have at most {longest} characters, and has {len(self.run_id)}")
        if not isinstance(self.request, Mapping):
            raise ContextError(f"request must be a mapping, and is a {type(self.request).__qualname__}")
        msgspec.structs.force_setattr(self, "request", _frozen(self.request, "request", 0))


def run_id_length(user_id: str) -> int:
    """The length of the longest run id that a request of this user can have, in characters."""
    return len(user_id) + 1 + MAX_REQUEST_ID_LENGTH


async def create_user_execution_context(
    user_id: str,
    connection_id: str | None,
    request_data: Mapping[str, Any],
    *,
    thread_id: str | None = None,
    run_id: str | None = None,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> UserExecutionContext:
    """Make the context of one request.

    The conversation is ``thread_id`` if given, else ``request_data["thread_id"]``, else a new one (incident S19).

    Raises:
        ContextError: see `UserExecutionContext`.
    """
    if not isinstance(request_data, Mapping):
        raise ContextError(f"request_data must be a mapping, and is a {type(request_data).__qualname__}")
    return UserExecutionContext(
        user_id=user_id,
        thread_id=thread_id or request_data.get("thread_id") or new_id(),
        run_id=run_id or new_id(),
        connection_id=connection_id,
        request=request_data,
    )


def require_real_id(field: str, value: object) -> None:
    """Check that a value can be the id of a real user, thread, run or connection.

    Raises:
        ContextError: the value is not a str, is malformed, or is a placeholder.
    """
    if not isinstance(value, str):
        raise ContextError(f"{field} must be text, and is {value!r}")
    if not value or value != value.strip():
        raise ContextError(f"{field} must be text without surrounding blanks, and is {value!r}")
    longest = MAX_ID_LENGTH + 1 + MAX_REQUEST_ID_LENGTH if field == "run_id" else MAX_ID_LENGTH
    if len(value) > longest:
        raise ContextError(f"{field} must have at most {longest} characters, and has {len(value)}")
    if value.lower() in PLACEHOLDER_IDS or value.lower().startswith("placeholder"):
        raise ContextError(f"{field} is the placeholder {value!r}; a real id is needed")
    if not value.isprintable() and any(unicodedata.category(character).startswith("C") for character in value):
        raise ContextError(f"{field} must not hold control characters, and is {value!r}")


def _frozen(value: Any, path: str, depth: int) -> Any:
    if value is None or type(value) in _LEAVES:
        return value
    if depth >= MAX_DEPTH:
        raise ContextError(f"{path[:200]} nests deeper than {MAX_DEPTH} levels, or contains itself")
    if isinstance(value, enum.Enum):
        return value if _is_constant(value) else _frozen(value.value, path, depth + 1)
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ContextError(f"{path} has the key {key!r}; the keys of request data are text")
        items = {str.__str__(key): _frozen(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
        if len(items) < len(value):
            raise ContextError(f"{path} has two keys that are the same text")
        return FrozenMapping(items)
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return frozenset(_frozen(item, f"{path}{{}}", depth + 1) for item in value)
    raise ContextError(
        f"{path} is a {type(value).__qualname__}; request data is text, numbers, dates, mappings, lists and sets, "
        "so that two users can share nothing through it"
    )


_LEAVES = frozenset({str, int, float, bool, bytes, datetime.date, datetime.timedelta, uuid.UUID, decimal.Decimal})
"""Immutable types without instance attributes; an instance of a subclass may have attributes."""


def _plain_datetime(value: datetime.datetime) -> datetime.datetime | None:
    if value != value:  # pandas' NaT
        return None
    date, time = (value.year, value.month, value.day), (value.hour, value.minute, value.second, value.microsecond)
    return datetime.datetime(*date, *time, tzinfo=_plain_zone(value.tzinfo, value.utcoffset()), fold=value.fold)


def _plain_time(value: datetime.time) -> datetime.time:
    zone = _plain_zone(value.tzinfo, value.utcoffset())
    return datetime.time(value.hour, value.minute, value.second, value.microsecond, tzinfo=zone, fold=value.fold)


def _plain_zone(zone: datetime.tzinfo | None, offset: datetime.timedelta | None) -> datetime.tzinfo | None:
    if _is_plain_zone(zone):
        return zone
    return None if offset is None else datetime.timezone(offset)


def _is_plain_zone(zone: datetime.tzinfo | None) -> bool:
    # A ZoneInfo without a key was read from a file and cannot be pickled.
    return zone is None or type(zone) is datetime.timezone or (type(zone) is zoneinfo.ZoneInfo and zone.key is not None)


_PLAIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    ((bytes, bytearray), lambda value: bytes(memoryview(value))),
    (datetime.datetime, _plain_datetime),
    (datetime.date, lambda value: datetime.date(value.year, value.month, value.day)),
    (datetime.time, _plain_time),
    (datetime.timedelta, lambda value: datetime.timedelta(value.days, value.seconds, value.microseconds)),
    (uuid.UUID, lambda value: uuid.UUID(int=value.int)),
    (decimal.Decimal, decimal.Decimal),
)

_ENUMS_OWN = frozenset(
    {"_value_", "_name_", "__objclass__", "_sort_order_", "_hashable_values_", "_unhashable_values_"}
)


def _is_constant(member: enum.Enum) -> bool:
    """Whether an Enum member is immutable: its value and all attributes that it was given."""
    held = [item for name, item in vars(member).items() if name not in _ENUMS_OWN]
    return _is_immutable(member.value) and all(map(_is_immutable, held))


def _is_immutable(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(_is_immutable(item) for item in value)
    if type(value) in (datetime.datetime, datetime.time):
        return _is_plain_zone(value.tzinfo)
    return value is None or type(value) in _LEAVES

"""`UserExecutionContext`: who asks, in which conversation, for which run, with which data; immutable to the last leaf."""

import datetime
import decimal
import enum
import unicodedata
import uuid
from collections.abc import Callable, Mapping
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
"""Ids that stand for nobody. A real user must never be one of them, in whatever case (incident B3)."""

MAX_ID_LENGTH = 256
MAX_DEPTH = 64

_LEAVES = (
    str,
    int,
    float,
    bytes,
    enum.Enum,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    decimal.Decimal,
)


class UserExecutionContext(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one user. No part of it can be changed, and none refers to anything that could be.

    Attributes:
        user_id: the authenticated user.
        thread_id: the conversation, which outlives the request.
        run_id: this request's run, unique over all users.
        connection_id: the connection that the request came over, or None if it came over none.
        request: the request's data, frozen: mappings are read-only, lists are tuples, sets are frozensets.

    Raises:
        ContextError: an id is missing, malformed or a placeholder, or the data holds something that can change.
    """

    user_id: str
    thread_id: str
    run_id: str
    connection_id: str | None = None
    request: Mapping[str, Any] = MappingProxyType({})

    def __post_init__(self) -> None:
        for field in ("user_id", "thread_id", "run_id"):
            require_real_id(field, getattr(self, field))
        if self.connection_id is not None:
            require_real_id("connection_id", self.connection_id)
        if not isinstance(self.request, Mapping):
            raise ContextError(f"request must be a mapping, and is a {type(self.request).__qualname__}")
        msgspec.structs.force_setattr(self, "request", _frozen(self.request, "request", 0))


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

    The conversation is kept: ``thread_id`` is the one given, else the request's own, and only a request that names none
    begins a new one (incident S19).

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
    """Refuse what is no id of anybody's.

    Raises:
        ContextError: it is no text, is malformed, or is a placeholder.
    """
    if not isinstance(value, str):
        raise ContextError(f"{field} must be text, and is {value!r}")
    if not value or value != value.strip():
        raise ContextError(f"{field} must be text without surrounding blanks, and is {value!r}")
    if len(value) > MAX_ID_LENGTH:
        raise ContextError(f"{field} must have at most {MAX_ID_LENGTH} characters, and has {len(value)}")
    if value.lower() in PLACEHOLDER_IDS:
        raise ContextError(f"{field} is the placeholder {value!r}; a real id is needed")
    if not value.isalnum() and any(unicodedata.category(character).startswith("C") for character in value):
        raise ContextError(f"{field} must not hold control characters, and is {value!r}")


def _frozen(value: Any, path: str, depth: int) -> Any:
    if value is None or isinstance(value, _LEAVES):
        return value
    if depth >= MAX_DEPTH:
        raise ContextError(f"{path[:200]} nests deeper than {MAX_DEPTH} levels, or contains itself")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ContextError(f"{path} has the key {key!r}; the keys of request data are text")
        return MappingProxyType({key: _frozen(item, f"{path}.{key}", depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return frozenset(_frozen(item, f"{path}{{}}", depth + 1) for item in value)
    if isinstance(value, bytearray):
        return bytes(value)
    raise ContextError(
        f"{path} is a {type(value).__qualname__}; request data is text, numbers, dates, mappings, lists and sets, "
        "so that two users can share nothing through it"
    )

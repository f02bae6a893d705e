"""Looks for mutable objects that can be reached from the engines of two users: state that one could leave for the other."""

import asyncio
import contextvars
import dataclasses
import datetime
import decimal
import enum
import functools
import gc
import logging
import re
import types
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.bridge.delivery import Delivery
from netra_sim.factory.engine import UserExecutionEngine

_IMMUTABLE = (
    str, int, float, complex, bytes, type(None), range, slice, enum.Enum, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, decimal.Decimal, uuid.UUID, re.Pattern, weakref.ref, types.BuiltinFunctionType, types.CodeType,
    type(Ellipsis), type(NotImplemented),
)  # fmt: skip
# Shared by design and without any user's data that another's engine could reach through its own methods.
_INFRASTRUCTURE = (
    asyncio.AbstractEventLoop, AgentWebSocketBridge, Delivery, types.ModuleType, type, logging.Logger, contextvars.Context,
    contextvars.ContextVar,
)  # fmt: skip
_CONTAINERS = (list, dict, set, bytearray, deque)
_LOOKED_THROUGH = (
    tuple, frozenset, types.MappingProxyType, types.FunctionType, types.MethodType, types.CellType, functools.partial,
)  # fmt: skip


class SharedObject(msgspec.Struct, frozen=True):
    """A mutable object that two users' engines both reach.

    Attributes:
        user_id: one user.
        other_user_id: the other.
        type_name: the object's type.
        path: how the first engine gets to it, by types.
    """

    user_id: str
    other_user_id: str
    type_name: str
    path: str


def shared_mutable_objects(engines: Iterable[UserExecutionEngine]) -> list[SharedObject]:
    """Every mutable object that the engines of two different users can both reach.

    Objects are told apart by identity while all of them are held, so that an id that is used again cannot mislead
    (incident F9). Containers that are attributes of an agent's or a tool's class count as reachable. Modules, event
    loops, loggers and the bridge are infrastructure and are not looked into.
    """
    found: dict[int, tuple[object, str, str]] = {}
    shared: list[SharedObject] = []
    for engine in engines:
        user_id = engine.context.user_id
        for value, path in _reachable(engine):
            holder = found.setdefault(id(value), (value, user_id, path))
            if holder[1] != user_id:
                shared.append(SharedObject(holder[1], user_id, type(value).__qualname__, holder[2]))
    return shared


def _reachable(engine: UserExecutionEngine) -> Iterator[tuple[object, str]]:
    """All mutable objects that can be reached from an engine, each once, with the way there."""
    seen: set[int] = set()
    waiting: deque[tuple[object, str, bool]] = deque([(engine, "engine", True)])
    while waiting:
        value, path, counts = waiting.popleft()
        if id(value) in seen or isinstance(value, (*_IMMUTABLE, *_INFRASTRUCTURE)):
            continue
        seen.add(id(value))
        if counts and _is_mutable(value):
            yield value, path
        # What is behind a read-only view or in a frozen instance cannot be changed through it, but its parts may be.
        parts_count = not (isinstance(value, types.MappingProxyType) or _is_frozen(value))
        for name, part in _parts(value):
            waiting.append((part, f"{path} > {name}", parts_count or not isinstance(part, dict)))


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, types.FunctionType):
        # Not its globals: what a module holds is not an engine's.
        for part in (*(value.__closure__ or ()), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            yield _label(part), part
        return
    # A debugger's trace function hangs on every frame that it watches, and is no state of the engines'.
    tracer = value.f_trace if isinstance(value, types.FrameType) else None
    for part in gc.get_referents(value):
        if tracer is None or part is not tracer:
            yield _label(part), part
    if not isinstance(value, (*_CONTAINERS, *_LOOKED_THROUGH)) and not isinstance(value, msgspec.Struct):
        yield from _class_state(type(value))


def _class_state(kind: type) -> Iterator[tuple[str, object]]:
    for ancestor in kind.__mro__:
        if ancestor.__module__.partition(".")[0] in _STANDARD:
            continue
        for name, part in vars(ancestor).items():
            if not name.startswith("__") and isinstance(part, _CONTAINERS):
                yield f"{ancestor.__qualname__}.{name}", part


_STANDARD = frozenset(
    {"builtins", "abc", "asyncio", "typing", "collections", "_asyncio", "contextlib", "enum", "msgspec"}
)


def _label(part: object) -> str:
    return type(part).__qualname__


def _is_mutable(value: Any) -> bool:
    return not (isinstance(value, _LOOKED_THROUGH) or _is_frozen(value) or _is_stateless(value))


def _is_frozen(value: Any) -> bool:
    if isinstance(value, msgspec.Struct):
        return value.__struct_config__.frozen
    parameters = getattr(type(value), "__dataclass_params__", None)
    return dataclasses.is_dataclass(value) and bool(parameters and parameters.frozen)


def _is_stateless(value: object) -> bool:
    """Whether it has no attributes at all, such as a sentinel."""
    return all(vars(kind).get("__slots__") == () for kind in type(value).__mro__[:-1])

"""Finds mutable objects that the engines of two users can both reach, through which one user's data can reach the other."""

import asyncio
import contextvars
import datetime
import decimal
import enum
import functools
import gc
import logging
import re
import sys
import types
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.bridge.delivery import Delivery
from netra_sim.factory.engine import UserExecutionEngine
from netra_sim.factory.module_state import ModuleState

_IMMUTABLE = (
    str, int, float, complex, bytes, type(None), range, slice, enum.Enum, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, decimal.Decimal, uuid.UUID, re.Pattern, weakref.ref, types.BuiltinFunctionType, types.CodeType,
    type(Ellipsis), type(NotImplemented),
)  # fmt: skip
# Shared by design: an engine cannot reach another user's data through them.
_INFRASTRUCTURE = (
    asyncio.AbstractEventLoop, AgentWebSocketBridge, Delivery, types.ModuleType, type, logging.Logger, contextvars.Context,
    contextvars.ContextVar,
)  # fmt: skip
_ENDS = (*_IMMUTABLE, *_INFRASTRUCTURE)
_CONTAINERS = (list, dict, set, bytearray, deque)
_LOOKED_THROUGH = (
    tuple, frozenset, types.MappingProxyType, types.FunctionType, types.MethodType, types.CellType, functools.partial,
)  # fmt: skip


class SharedObject(msgspec.Struct, frozen=True):
    """A mutable object that the engines of two users can both reach.

    Attributes:
        user_id: one user.
        other_user_id: the other user.
        type_name: the type of the object.
        path: the types on the path from the first user's engine to the object.
    """

    user_id: str
    other_user_id: str
    type_name: str
    path: str


class SharedStateProbe:
    """Looks repeatedly for state that users share, and so detects changes between two looks.

    It keeps the objects that the agents of the newest engine can reach. So it also compares engines that never live at the
    same time. `forget` drops these objects.
    """

    def __init__(self) -> None:
        self._module_state = ModuleState()
        self._kept: _Reach | None = None

    @property
    def kept_user(self) -> str | None:
        """The user of the engine that `look_at_opening` saw last; None after `forget`."""
        return self._kept.user_id if self._kept else None

    def look_at_opening(self, engines: Sequence[UserExecutionEngine]) -> list[SharedObject]:
        """Do the same as `look`, and compare the first engine, which has not begun its run, with the kept objects."""
        kept, made = self._kept, engines[0]
        self._kept = _reach(made.context.user_id, "agents", made.agents)
        return self.look(engines, kept)

    def forget(self) -> None:
        """Drop the kept objects."""
        self._kept = None

    def look(self, engines: Sequence[UserExecutionEngine], earlier: "_Reach | None" = None) -> list[SharedObject]:
        """Find what the engines of two different users can both reach and change.

        These are the `shared_mutable_objects`, and the module globals that their agents' functions use and that have changed
        since an earlier look.
        """
        reached = [_reach(engine.context.user_id, "engine", engine) for engine in engines]
        if earlier is not None:
            reached.insert(0, earlier)
        found = _reached_by_two(reached)
        users: dict[str, str] = {}
        for one in reached:
            for place in self._module_state.changed(one.classes):
                first = users.setdefault(str(place), one.user_id)
                if first != one.user_id:
                    found.append(SharedObject(first, one.user_id, "module global", str(place)))
        return found


def shared_mutable_objects(engines: Iterable[UserExecutionEngine]) -> list[SharedObject]:
    """Find every mutable object that the engines of two different users can both reach.

    It compares identities while it holds all objects, so that no id can be reused meanwhile (incident F9). Containers that
    are attributes of the class of an agent or a tool count as reachable. It does not look into modules, event loops, loggers
    and the bridge, which are shared by design.
    """
    return _reached_by_two(_reach(engine.context.user_id, "engine", engine) for engine in engines)


class _Reach(NamedTuple):
    """What can be reached from an engine: mutable objects with the path to each, and the classes that have code to run."""

    user_id: str
    objects: list[tuple[object, str]]
    classes: list[type]


def _reached_by_two(reached: Iterable[_Reach]) -> list[SharedObject]:
    found: dict[int, tuple[object, str, str]] = {}
    shared: list[SharedObject] = []
    for user_id, objects, _ in reached:
        for value, path in objects:
            holder = found.setdefault(id(value), (value, user_id, path))
            if holder[1] != user_id:
                shared.append(SharedObject(holder[1], user_id, type(value).__qualname__, holder[2]))
    return shared


class _Kind(NamedTuple):
    """What the walk needs to know about a type; computed once in each walk, because most objects have few types.

    Attributes:
        is_end: whether the walk stops at objects of this type.
        is_mutable: whether two users must not share an object of this type.
        holds_state: whether the walk looks into the class and its base classes.
        parts_count: whether its dicts count as shared. A read-only view or a frozen instance does not let anyone change its
            own dict, although the objects inside may be mutable.
    """

    is_end: bool
    is_mutable: bool
    holds_state: bool
    parts_count: bool

    @classmethod
    def of(cls, kind: type) -> "_Kind":
        is_frozen = _is_frozen(kind)
        return cls(
            is_end=issubclass(kind, _ENDS),
            is_mutable=not (issubclass(kind, _LOOKED_THROUGH) or is_frozen or _is_stateless(kind)),
            holds_state=not issubclass(kind, (*_CONTAINERS, *_LOOKED_THROUGH, msgspec.Struct)),
            parts_count=not (issubclass(kind, types.MappingProxyType) or is_frozen),
        )


def _reach(user_id: str, name: str, root: object) -> _Reach:
    seen: set[int] = set()
    objects: list[tuple[object, str]] = []
    kinds: dict[type, _Kind] = {}
    waiting: deque[tuple[object, str, bool]] = deque([(root, name, True)])
    while waiting:
        value, path, counts = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        kind = type(value)
        is_first = kind not in kinds
        if is_first:
            kinds[kind] = _Kind.of(kind)
        known = kinds[kind]
        if known.is_end:
            continue
        parts = _parts(value)
        if is_first and known.holds_state:
            parts = chain(parts, _class_state(kind))
        if counts and known.is_mutable:
            objects.append((value, path))
        for name, part in parts:
            reached = kinds.get(type(part))
            if not (id(part) in seen or (reached is not None and reached.is_end)):
                waiting.append((part, f"{path} > {name}", known.parts_count or not isinstance(part, dict)))
    running = [
        kind for kind, known in kinds.items() if not known.is_end and (hasattr(kind, "run") or "__call__" in vars(kind))
    ]
    return _Reach(user_id, objects, running)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, types.FunctionType):
        # Not its globals: they belong to the module, not to the engine.
        for part in (*(value.__closure__ or ()), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            yield _label(part), part
        return
    # A debugger sets its trace function on every frame that it watches; that is not state of an engine.
    tracer = value.f_trace if isinstance(value, types.FrameType) else None
    for part in gc.get_referents(value):
        if tracer is None or part is not tracer:
            yield _label(part), part


def _class_state(kind: type) -> Iterator[tuple[str, object]]:
    for ancestor in kind.__mro__:
        if ancestor.__module__.partition(".")[0] in _STANDARD:
            continue
        for name, part in vars(ancestor).items():
            held = part.__func__ if isinstance(part, classmethod | staticmethod) else part
            if isinstance(held, types.FunctionType) or (not name.startswith("__") and _is_state(held)):
                yield f"{ancestor.__qualname__}.{name}", held


def _is_state(part: object) -> bool:
    """Whether a class attribute is a container, or an instance of a class outside the standard library."""
    module = type(part).__module__.partition(".")[0]
    return isinstance(part, _CONTAINERS) or not (module in _STANDARD or module in sys.stdlib_module_names)


_STANDARD = frozenset(
    {"builtins", "abc", "asyncio", "typing", "collections", "_asyncio", "contextlib", "enum", "msgspec"}
)


def _label(part: object) -> str:
    return type(part).__qualname__


def _is_frozen(kind: type) -> bool:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_config__.frozen
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def _is_stateless(kind: type) -> bool:
    """Whether the instances have no attributes at all, such as a sentinel."""
    return all(vars(ancestor).get("__slots__") == () for ancestor in kind.__mro__[:-1])

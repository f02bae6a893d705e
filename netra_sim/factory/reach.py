"""Which objects an object can reach, as far as they matter between two users: quickly as a set, or in order with paths."""

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
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.bridge.delivery import Delivery

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
_ENDS = {*_IMMUTABLE, *_INFRASTRUCTURE}
_CONTAINERS = (list, dict, set, bytearray, deque)
_LOOKED_THROUGH = (
    tuple, frozenset, types.MappingProxyType, types.FunctionType, types.MethodType, types.CellType, functools.partial,
)  # fmt: skip
_WITHOUT_CLASS_STATE = (*_CONTAINERS, msgspec.Struct)
_STANDARD = frozenset(
    {"builtins", "abc", "asyncio", "typing", "collections", "_asyncio", "contextlib", "enum", "msgspec"}
)

Path = tuple[type | str, "Path | None"]
"""The way to an object: its type, or the name of a class attribute, and the way to the object before it."""


def in_words(path: Path | None) -> str:
    """The names on the way, the first object first."""
    names: list[str] = []
    while path is not None:
        to, path = path
        names.append(to if isinstance(to, str) else to.__qualname__)
    return " > ".join(reversed(names))


class Glance(NamedTuple):
    """The mutable objects that can be reached from an object, and the types that have code to run, in no order.

    The objects are a few more than `Walks.reach` finds: also dicts that their owner does not let anyone change.
    """

    objects: list[object]
    classes: list[type]


class Reach(NamedTuple):
    """The mutable objects that can be reached from an object, with their paths, and the types that have code to run.

    Both are in the order in which a walk meets them, nearest first.
    """

    objects: list[tuple[object, Path]]
    classes: list[type]


class Walks:
    """Walks from objects to what they reference, and reads each type only once.

    Use one for one look: no other code runs meanwhile, so no class changes. The next look reads all classes again.

    Args:
        lasting: what earlier looks know of types that cannot change; this look adds to it.
    """

    def __init__(self, lasting: "dict[type, TypeFacts] | None" = None) -> None:
        self._kinds = _KnownTypes({} if lasting is None else lasting)

    def glance(self, root: object) -> Glance:
        """Find what can be reached from an object, without paths and order. It costs a fraction of `reach`."""
        kinds, ends = self._kinds, self._kinds.ends
        seen = {id(root)}
        met: set[type] = set()
        objects: list[object] = []
        waiting = [root]
        while waiting:
            value = waiting.pop()
            kind = type(value)
            known = kinds[kind]
            if known.is_end:  # the first of its type in this look; the test below finds the others
                continue
            if known.is_mutable:
                objects.append(value)
            parts = known.parts(value)
            if kind not in met:
                met.add(kind)
                parts.extend(part for part, _ in kinds.class_state(kind))
            for part in parts:
                if type(part) not in ends and id(part) not in seen:
                    seen.add(id(part))
                    waiting.append(part)
        return Glance(objects, [kind for kind in met if kinds[kind].has_code])

    def reach(self, root: object, name: str) -> Reach:
        """Find what can be reached from an object, which the paths call by this name."""
        kinds = self._kinds
        seen = {id(root)}
        met: dict[type, None] = {}
        objects: list[tuple[object, Path]] = []
        start: Path = (name, None)
        waiting: deque[tuple[object, Path, bool]] = deque([(root, start, True)])
        while waiting:
            value, path, counts = waiting.popleft()
            kind = type(value)
            known = kinds[kind]
            parts = known.parts(value)
            named: Iterable[tuple[object, type | str]] = zip(parts, map(type, parts), strict=True)
            if kind not in met:
                met[kind] = None
                named = chain(named, kinds.class_state(kind))
            if counts and known.is_mutable:
                objects.append((value, path))
            for part, to in named:
                reached = kinds[type(part)]
                if not reached.is_end and id(part) not in seen:
                    seen.add(id(part))
                    waiting.append((part, (to, path), known.parts_count or not reached.is_dict))
        return Reach(objects, [kind for kind in met if kinds[kind].has_code])


class TypeFacts:
    """What a walk needs to know about a type.

    Attributes:
        is_end: whether the walk stops at objects of this type.
        is_mutable: whether two users must not share an object of this type.
        is_dict: whether it is a dict.
        is_state: whether a class attribute of this type counts as state of the class: containers, and instances of classes
            outside the standard library.
        is_function: whether it is the type of Python's functions, or of those that a compiler such as Cython makes.
        has_code: whether the type has a method ``run``, or its instances can be called.
        has_class_state: whether the walk looks into the class and its base classes.
        parts: returns what an object of this type references.
        parts_count: whether its dicts count as shared. A read-only view or a frozen instance does not let anyone change its
            own dict, although the objects inside may be mutable.
    """

    __slots__ = (
        "has_class_state", "has_code", "is_dict", "is_end", "is_function", "is_mutable", "is_state", "parts", "parts_count",
    )  # fmt: skip

    def __init__(self, kind: type) -> None:
        self.is_end = not _ENDS.isdisjoint(kind.__mro__)
        self.is_function = not self.is_end and hasattr(kind, "__globals__")
        package = _package_of(kind)
        self.is_state = issubclass(kind, _CONTAINERS) or not (
            package in _STANDARD or package in sys.stdlib_module_names
        )
        if self.is_end:
            return
        is_frozen = _is_frozen(kind)
        is_looked_through = self.is_function or issubclass(kind, _LOOKED_THROUGH)
        self.is_mutable = not (is_looked_through or is_frozen or _is_stateless(kind))
        self.is_dict = issubclass(kind, dict)
        self.has_code = hasattr(kind, "run") or "__call__" in vars(kind)
        self.has_class_state = not (is_looked_through or issubclass(kind, _WITHOUT_CLASS_STATE))
        own_way = _parts_of_compiled_function if self.is_function else gc.get_referents
        self.parts: Callable[[Any], list[Any]] = _PARTS.get(kind, own_way)
        self.parts_count = not (is_frozen or issubclass(kind, types.MappingProxyType))


_HEAP_TYPE = 1 << 9
"""CPython's flag ``Py_TPFLAGS_HEAPTYPE``: types without it, such as `str`, can neither change nor go away."""


class _KnownTypes(dict[type, TypeFacts]):
    """What is known of each type; it is found out when a walk first asks.

    Args:
        lasting: see `Walks`.

    Attributes:
        ends: the types at whose objects a walk stops, as far as they are known.
    """

    def __init__(self, lasting: "dict[type, TypeFacts]") -> None:
        super().__init__(lasting)
        self.ends = {kind for kind, known in lasting.items() if known.is_end}
        self._lasting = lasting
        self._class_state: dict[type, list[tuple[object, str]]] = {}

    def __missing__(self, kind: type) -> TypeFacts:
        known = self[kind] = TypeFacts(kind)
        if not kind.__flags__ & _HEAP_TYPE:
            self._lasting[kind] = known
        if known.is_end:
            self.ends.add(kind)
        return known

    def class_state(self, kind: type) -> list[tuple[object, str]]:
        """The state in a class and its base classes, and their functions that hold objects, each with its name."""
        if not self[kind].has_class_state:
            return []
        if kind not in self._class_state:
            self._class_state[kind] = list(self._read_class_state(kind))
        return self._class_state[kind]

    def _read_class_state(self, kind: type) -> Iterator[tuple[object, str]]:
        for ancestor in kind.__mro__:
            if _package_of(ancestor) in _STANDARD:
                continue
            for name, part in vars(ancestor).items():
                held = part.__func__ if isinstance(part, (classmethod, staticmethod)) else part
                known = self[type(held)]
                if known.is_function:
                    counts = not all(self[type(one)].is_end for one in known.parts(held))
                else:
                    counts = known.is_state and not name.startswith("__")
                if counts:
                    yield held, f"{ancestor.__qualname__}.{name}"


def _package_of(kind: type) -> str:
    module: object = kind.__module__  # a descriptor where the type is a metaclass of Cython
    return module.partition(".")[0] if isinstance(module, str) else ""


def _parts_of_function(function: types.FunctionType) -> list[object]:
    # Not its globals: they belong to the module, not to the engine.
    parts: list[object] = []
    if held := function.__closure__:
        parts.extend(held)
    if held := function.__defaults__:
        parts.extend(held)
    if named := function.__kwdefaults__:
        parts.extend(named.values())
    return parts


def _parts_of_compiled_function(function: Any) -> list[object]:
    # As above. Its dicts are its globals, its attributes and its named defaults.
    parts = [part for part in gc.get_referents(function) if type(part) is not dict]
    return [*parts, *(getattr(function, "__kwdefaults__", None) or {}).values()]


def _parts_of_frame(frame: types.FrameType) -> list[object]:
    # A debugger sets its trace function on every frame that it watches; that is not state of an engine.
    tracer = frame.f_trace
    return [part for part in gc.get_referents(frame) if tracer is None or part is not tracer]


_PARTS: dict[type, Callable[[Any], list[Any]]] = {
    types.FunctionType: _parts_of_function,
    types.FrameType: _parts_of_frame,
}


def _is_frozen(kind: type) -> bool:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_config__.frozen
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def _is_stateless(kind: type) -> bool:
    """Whether the instances have no attributes at all, such as a sentinel."""
    return all(vars(ancestor).get("__slots__") == () for ancestor in kind.__mro__[:-1])

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import is_
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

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

    Call `begin` before each look: no other code runs during a look, so no class changes.
    """

    def __init__(self) -> None:
        self._facts: WeakKeyDictionary[type, TypeFacts] = WeakKeyDictionary()
        self._kinds = _KnownTypes(self._facts)
        self._classes = _KnownClasses(self._kinds)

    def begin(self) -> None:
        """Forget the types that the look before this one did not meet, and what can change in the others."""
        kinds, before = _KnownTypes(self._facts), self._classes.own_parts
        self._kinds, self._classes = kinds, _KnownClasses(kinds, before)

    def glance(self, root: object) -> Glance:
        """Find what can be reached from an object, without paths and order. It costs a fraction of `reach`."""
        ends, mutable = self._kinds.ends, self._kinds.mutable
        reached = [root]
        seen = {id(root)}
        met: set[type] = set()
        for part in chain.from_iterable(self._parts_of_each(reached, met)):
            if type(part) not in ends and id(part) not in seen:
                seen.add(id(part))
                reached.append(part)
        return Glance(
            [value for value in reached if type(value) in mutable],
            [kind for kind in met if self._classes[kind].has_code],
        )

    def _parts_of_each(self, reached: list[object], met: set[type]) -> Iterator[list[object]]:
        """What each object references, and what is in its class the first time; both arguments grow meanwhile."""
        kinds = self._kinds
        first = 0
        while first < len(reached):
            for value in islice(reached, first, None):
                yield kinds[type(value)].parts(value)
            new = set(map(type, reached[first:])) - met - kinds.ends
            first = len(reached)
            met |= new
            for kind in new:
                yield self._classes[kind].parts

    def reach(self, root: object, name: str) -> Reach:
        """Find what can be reached from an object, which the paths call by this name."""
        kinds, classes = self._kinds, self._classes
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
                named = chain(named, zip(classes[kind].parts, classes[kind].names, strict=True))
            if counts and known.is_mutable:
                objects.append((value, path))
            for part, to in named:
                reached = kinds[type(part)]
                if not reached.is_end and id(part) not in seen:
                    seen.add(id(part))
                    waiting.append((part, (to, path), known.parts_count or not reached.is_dict))
        return Reach(objects, [kind for kind in met if classes[kind].has_code])


class TypeFacts:
    """What a walk needs to know about a type, and what never changes.

    Attributes:
        is_end: whether the walk stops at objects of this type.
        is_mutable: whether two users must not share an object of this type.
        is_dict: whether it is a dict.
        is_state: whether a class attribute of this type counts as state of the class: containers, and instances of classes
            outside the standard library.
        is_function: whether it is the type of Python's functions, or of those that a compiler such as Cython makes.
        has_class_state: whether the walk looks into the class and its base classes.
        parts: returns what an object of this type references.
        parts_count: whether its dicts count as shared. A read-only view or a frozen instance does not let anyone change its
            own dict, although the objects inside may be mutable.
    """

    __slots__ = (
        "__weakref__", "has_class_state", "is_dict", "is_end", "is_function", "is_mutable", "is_state", "parts",
        "parts_count",
    )  # fmt: skip

    def __init__(self, kind: type) -> None:
        self.is_end = not _ENDS.isdisjoint(kind.__mro__)
        self.is_function = not self.is_end and hasattr(kind, "__globals__")
        package = _package_of(kind)
        self.is_state = issubclass(kind, _CONTAINERS) or not (
            package in _STANDARD or package in sys.stdlib_module_names
        )
        if self.is_end:
            self.parts: Callable[[Any], list[Any]] = _no_parts
            return
        is_frozen = _is_frozen(kind)
        is_looked_through = self.is_function or issubclass(kind, _LOOKED_THROUGH)
        self.is_mutable = not (is_looked_through or is_frozen or _is_stateless(kind))
        self.is_dict = issubclass(kind, dict)
        self.has_class_state = not (is_looked_through or issubclass(kind, _WITHOUT_CLASS_STATE))
        own_way = _parts_of_compiled_function if self.is_function else gc.get_referents
        self.parts = _PARTS.get(kind, own_way)
        self.parts_count = not (is_frozen or issubclass(kind, types.MappingProxyType))


class _KnownTypes(dict[type, TypeFacts]):
    """The facts of each type that this look has met.

    Args:
        facts: the facts of the types that any look has met; they go away with their types.

    Attributes:
        ends: the types among them at whose objects a walk stops.
        mutable: the types among them of which two users must not share an object.
    """

    def __init__(self, facts: "WeakKeyDictionary[type, TypeFacts]") -> None:
        super().__init__()
        self._facts = facts
        self.ends: set[type] = set()
        self.mutable: set[type] = set()

    def __missing__(self, kind: type) -> TypeFacts:
        known = self._facts.get(kind)
        if known is None:
            known = self._facts[kind] = TypeFacts(kind)
        self[kind] = known
        if known.is_end:
            self.ends.add(kind)
        elif known.is_mutable:
            self.mutable.add(kind)
        return known


class ClassState(NamedTuple):
    """What a walk finds in a class: any code can change it between two looks.

    Attributes:
        parts: the state in the class and its base classes, and their functions that hold objects.
        names: the name of each part.
        has_code: whether the class has a method ``run``, or its instances can be called.
    """

    parts: list[object]
    names: list[str]
    has_code: bool


class _OwnParts(NamedTuple):
    """What counts among the attributes of one class, without its base classes, and the attributes as they were then."""

    names: list[str]
    values: list[object]
    named: list[tuple[object, str]]

    def are_those_of(self, kind: type) -> bool:
        attributes = vars(kind)
        return self.names == [*attributes] and all(map(is_, self.values, attributes.values()))


class _KnownClasses(dict[type, ClassState]):
    """The state of each class that this look has met.

    Args:
        kinds: the types that this look has met.
        before: the parts that the look before this one has read; they are read again only if an attribute was replaced.

    Attributes:
        own_parts: the parts of each class and base class.
    """

    def __init__(self, kinds: _KnownTypes, before: Mapping[type, _OwnParts] = types.MappingProxyType({})) -> None:
        super().__init__()
        self._kinds = kinds
        self._before = before
        self.own_parts: dict[type, _OwnParts] = {}

    def __missing__(self, kind: type) -> ClassState:
        named: list[tuple[object, str]] = []
        if self._kinds[kind].has_class_state:
            for ancestor in kind.__mro__:
                if _package_of(ancestor) not in _STANDARD:
                    named += self._own_parts_of(ancestor).named
        state = self[kind] = ClassState(
            [part for part, _ in named], [name for _, name in named], hasattr(kind, "run") or "__call__" in vars(kind)
        )
        return state

    def _own_parts_of(self, kind: type) -> _OwnParts:
        known = self.own_parts.get(kind)
        if known is None:
            known = self._before.get(kind)
            if known is None or not known.are_those_of(kind):
                attributes = dict(vars(kind))
                known = _OwnParts([*attributes], [*attributes.values()], list(self._read(kind)))
            self.own_parts[kind] = known
        return known

    def _read(self, kind: type) -> Iterator[tuple[object, str]]:
        kinds = self._kinds
        for name, part in vars(kind).items():
            held = part.__func__ if isinstance(part, (classmethod, staticmethod)) else part
            known = kinds[type(held)]
            if known.is_function:
                counts = not all(kinds[type(one)].is_end for one in known.parts(held))
            else:
                counts = known.is_state and not name.startswith("__")
            if counts:
                yield held, f"{kind.__qualname__}.{name}"


def _package_of(kind: type) -> str:
    module: object = kind.__module__  # a descriptor where the type is a metaclass of Cython
    return module.partition(".")[0] if isinstance(module, str) else ""


def _no_parts(_: object) -> list[object]:
    return []


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

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
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from operator import is_
from typing import Any, NamedTuple

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.bridge.delivery import Delivery
from netra_sim.bridge.run_log import OutgoingFrame

_IMMUTABLE = (
    str, int, float, complex, bytes, type(None), range, slice, enum.Enum, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, decimal.Decimal, uuid.UUID, re.Pattern, weakref.ref, types.BuiltinFunctionType, types.CodeType,
    type(Ellipsis), type(NotImplemented), OutgoingFrame,
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
_MOST_TYPES = 1_000
"""Types above which `Walks` forgets all of them, so that classes that code makes again and again can go away."""

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
    """What a quick look finds.

    Attributes:
        may_share: whether two owners may reach the same mutable object. If not, `Walks.reach` finds none either; it also
            counts dicts that their owner does not let anyone change.
        classes: the types that have code to run, in no order.
    """

    may_share: bool
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
        self._kinds = _KnownTypes()
        self._classes = _KnownClasses(self._kinds)

    def begin(self) -> None:
        """Read again what can change in the types: other code may have run since the look before this one."""
        if len(self._kinds) > _MOST_TYPES:
            self._kinds = _KnownTypes()
            self._classes = _KnownClasses(self._kinds)
        else:
            self._classes.begin()

    def glance(self, owners: Iterable[Iterable[object]]) -> Glance:
        """Find whether two owners may reach the same mutable object, without paths. It costs a fraction of `reach`.

        Most of what owners share cannot be changed, such as functions and settings. It is not walked again for each of them,
        but once in the end, and then from there.

        Args:
            owners: the objects of each owner from which a walk begins.
        """
        walked: list[_Walked] = []
        seen: set[int] = set()
        for roots in owners:
            walked.append(one := self._walk(roots, seen))
            seen |= one.seen
        walked.append(common := self._walk([value for one in walked for value in one.common], ()))
        classes = set().union(*(one.kinds for one in walked))
        return Glance(not self._kinds.mutable.isdisjoint(common.kinds), [kind for kind in classes if _has_code(kind)])

    def _walk(self, roots: Iterable[object], seen_before: Collection[int]) -> "_Walked":
        """Walk from objects to all that they reach, except to what was seen before."""
        kinds, classes, ends = self._kinds, self._classes, self._kinds.ends
        reached: list[object] = [tuple(roots)]
        common: list[object] = []
        seen: set[int] = set()
        met: set[type] = set()
        first = 0
        while first < len(reached):
            for value in islice(reached, first, None):
                for part in kinds[type(value)].parts(value):
                    if type(part) not in ends and (key := id(part)) not in seen:
                        seen.add(key)
                        (common if key in seen_before else reached).append(part)
            new = set(map(type, islice(reached, first, None))) - met - ends
            first = len(reached)
            met |= new
            reached += [parts for kind in new if (parts := classes[kind].parts)]
        return _Walked(reached, seen, common, met)

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
        return Reach(objects, [kind for kind in met if _has_code(kind)])


class _Walked(NamedTuple):
    """One owner's part of a quick look.

    Attributes:
        reached: the objects; they are kept until the end of the look, so that no id is used again.
        seen: their ids, and those of the objects in common.
        common: objects that an owner before this one has reached too; the walk did not go on from them.
        kinds: the types of the objects.
    """

    reached: list[object]
    seen: set[int]
    common: list[object]
    kinds: set[type]


class TypeFacts:
    """What a walk needs to know about a type, and what never changes.

    Attributes:
        counts_as_class: whether a walk looks at the attributes of the class, for instances of it and of its subclasses.
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
        "counts_as_class", "has_class_state", "is_dict", "is_end", "is_function", "is_mutable", "is_state", "parts",
        "parts_count",
    )  # fmt: skip

    def __init__(self, kind: type) -> None:
        self.is_end = not _ENDS.isdisjoint(kind.__mro__)
        self.is_function = not self.is_end and hasattr(kind, "__globals__")
        package = _package_of(kind)
        self.counts_as_class = package not in _STANDARD
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
    """The facts of each type that was met.

    Attributes:
        ends: the types among them at whose objects a walk stops.
        mutable: the types among them of which two users must not share an object.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: set[type] = set()
        self.mutable: set[type] = set()

    def __missing__(self, kind: type) -> TypeFacts:
        known = self[kind] = TypeFacts(kind)
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
    """

    parts: tuple[object, ...]
    names: tuple[str, ...]


class _OwnParts(NamedTuple):
    """What counts among the attributes of one class, without its base classes, and the class as it was then."""

    bases: tuple[type, ...]
    names: list[str]
    values: list[object]
    named: list[tuple[object, str]]

    def are_those_of(self, kind: type) -> bool:
        attributes = vars(kind)
        return (
            self.bases is kind.__mro__
            and self.names == [*attributes]
            and all(map(is_, self.values, attributes.values()))
        )


class _KnownClasses(dict[type, ClassState]):
    """The state of each class that was met.

    Args:
        kinds: the types that were met.
    """

    def __init__(self, kinds: _KnownTypes) -> None:
        super().__init__()
        self._kinds = kinds
        self._own_parts: dict[type, _OwnParts] = {}

    def begin(self) -> None:
        """Forget what has changed since the look before this one."""
        changed = [kind for kind, known in self._own_parts.items() if not known.are_those_of(kind)]
        if changed:
            self.clear()
            for kind in changed:
                del self._own_parts[kind]

    def __missing__(self, kind: type) -> ClassState:
        kinds = self._kinds
        named: list[tuple[object, str]] = []
        if kinds[kind].has_class_state:
            for ancestor in kind.__mro__:
                if kinds[ancestor].counts_as_class:
                    named += self._own_parts_of(ancestor)
        state = self[kind] = ClassState(tuple(part for part, _ in named), tuple(name for _, name in named))
        return state

    def _own_parts_of(self, kind: type) -> list[tuple[object, str]]:
        known = self._own_parts.get(kind)
        if known is None:
            names, values = [*vars(kind)], [*vars(kind).values()]
            known = self._own_parts[kind] = _OwnParts(kind.__mro__, names, values, list(self._read(kind)))
        return known.named

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


def _has_code(kind: type) -> bool:
    """Whether a class has a method ``run``, or its instances can be called."""
    return hasattr(kind, "run") or "__call__" in vars(kind)


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

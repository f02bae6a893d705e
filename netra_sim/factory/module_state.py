"""Finds the module globals that the code of agents uses, and detects which of them change: state outside every engine."""

import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

_SETTLED = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
"""Types of globals that are not state."""


class ModuleGlobal(NamedTuple):
    """A global variable: the names of its module and of the variable."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class ModuleState:
    """Remembers the contents of the globals that the classes of agents and their functions use.

    A global that never changes is a constant, or was made once, such as a table or a client. A global that changes while the
    agents of several users run is state that they share.
    """

    def __init__(self) -> None:
        self._named_by: WeakKeyDictionary[type, tuple[ModuleGlobal, ...]] = WeakKeyDictionary()
        self._held: dict[ModuleGlobal, tuple[object, ...]] = {}
        self._changed: set[ModuleGlobal] = set()

    def changed(self, classes: Iterable[type]) -> Iterator[ModuleGlobal]:
        """The globals that the functions of these classes use and that have changed since the first look at them."""
        for one in classes:
            named = self._named_by.get(one)
            if named is None:
                named = self._named_by[one] = tuple(dict.fromkeys(_globals_of(one)))
            for place in named:
                if self._has_changed(place):
                    yield place

    def _has_changed(self, place: ModuleGlobal) -> bool:
        if place not in self._changed:
            now = _content(vars(sys.modules[place.module]).get(place.name))
            before = self._held.setdefault(place, now)
            # A global that is made on first use holds None before that.
            if before == (None,):
                self._held[place] = now
            elif before != now:
                self._changed.add(place)
        return place in self._changed


def _content(value: object) -> tuple[object, ...]:
    """A value that differs after a change: the identity of the object, and its parts or their identities."""
    if isinstance(value, dict):
        return (id(value), *(_identity(part) for item in value.items() for part in item))
    if isinstance(value, list | set | deque | bytearray):
        return (id(value), *map(_identity, value))
    attributes = getattr(value, "__dict__", None)
    if not attributes:
        return (_identity(value),)
    module = sys.modules.get(type(value).__module__)
    # Changes inside a lock, a client or a logger do not count.
    if module is None or _is_installed(module):
        return (_identity(value),)
    return (id(value), *((name, _identity(part)) for name, part in attributes.items()))


def _identity(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bytes) else id(value)


def _globals_of(one: type) -> Iterator[ModuleGlobal]:
    """The globals that the functions of a class use, and those of the functions and classes that these use, and so on."""
    waiting: deque[Callable[..., Any] | type] = deque([one])
    seen: set[int] = set()
    while waiting:
        value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, type):
            parts = [part for ancestor in value.__mro__ for part in vars(ancestor).values()]
            waiting.extend(function for part in parts if (function := _function_in(part)) is not None)
            continue
        module = sys.modules.get(value.__module__ or "")
        if module is None or _is_installed(module):
            continue
        for name in _names_in(value.__code__):
            part = vars(module).get(name)
            if isinstance(part, type | types.FunctionType):
                waiting.append(part)
            elif name in vars(module) and not isinstance(part, _SETTLED):
                yield ModuleGlobal(module.__name__, name)


def _function_in(part: object) -> types.FunctionType | None:
    if isinstance(part, classmethod | staticmethod):
        part = part.__func__
    elif isinstance(part, property):
        part = part.fget
    return part if isinstance(part, types.FunctionType) else None


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _names_in(part)


def _is_installed(module: types.ModuleType) -> bool:
    """Whether a module belongs to the standard library or an installed package; their globals do not count."""
    if module.__name__.partition(".")[0] in sys.stdlib_module_names:
        return module.__name__ != "__main__"
    return "site-packages" in (getattr(module, "__file__", None) or "")

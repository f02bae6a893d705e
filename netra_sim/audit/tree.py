"""`Tree`: all modules together. It follows paths through imports, aliases, classes and what functions return."""

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from netra_sim.audit.config import Config, matches
from netra_sim.audit.facts import Call, Class, Function, Module
from netra_sim.audit.paths import AccessPath, ContainerOf, HolderOf, Known, Op, Step, Steps, Unknown, dotted

_MOST_STEPS = 40
_SHOWN_STEPS = 8
_SAME = frozenset({"copy", "values", "keys", "items", "__aiter__", "__iter__"})
_ONE_OF = frozenset({"get", "pop", "popleft", "setdefault", "popitem"})


class SymbolKind(Enum):
    """What a path leads to."""

    MODULE = "module"
    CLASS = "class"
    INSTANCE = "instance"
    FUNCTION = "function"
    CONTAINER = "container"
    ONE_OF = "method that returns an element of a container"
    ENTERED = "method that enters a context"
    OTHER = "other"


class Target(NamedTuple):
    """The end of a path.

    Attributes:
        kind: what it is.
        path: the canonical path; for something outside of the tree, its path there; for a container, the path of its
            elements.
        module: name of the module that it is or that contains it; "" outside of the tree.
        name: its name in that module.
        is_held: whether a partial or an attribute holds it.
    """

    kind: SymbolKind
    path: AccessPath
    module: str = ""
    name: str = ""
    is_held: bool = False

    @classmethod
    def of(cls, kind: SymbolKind, module: str, name: str) -> "Target":
        """The class or function with a name in a module of the tree."""
        return cls(kind, dotted(f"{module}.{name}"), module, name)


class Tree:
    """The modules of an audited tree, by name.

    Args:
        modules: the facts of all files, unreadable ones included.
        config: which module has which role.

    Attributes:
        cache: results that rules share, by their class.
    """

    def __init__(self, modules: Sequence[Module], config: Config) -> None:
        self.modules = {module.name: module for module in modules if not module.error}
        self.unreadable = [module for module in modules if module.error]
        self.config = config
        self.cache: dict[type, object] = {}
        self._resolved: dict[AccessPath, Target] = {}
        self._modules_at = self._unique_endings() | {tuple(name.split(".")): name for name in self.modules}
        self._deepest = max(map(len, self._modules_at), default=0)
        self._functions: dict[tuple[str, str], Function] = {}
        for module in self.modules.values():
            for function in module.functions:
                # The later one of two functions with one name counts, unless it only declares.
                key = (module.name, function.name)
                if key not in self._functions or not function.is_trivial:
                    self._functions[key] = function

    def _unique_endings(self) -> dict[Steps, str]:
        """Modules by the ends of their names, because imports can begin at a folder inside the audited one."""
        endings: dict[Steps, str] = {}
        for name in self.modules:
            parts = tuple(name.split("."))
            for first in range(1, len(parts)):
                if parts[first] not in sys.stdlib_module_names:
                    ending = parts[first:]
                    endings[ending] = "" if ending in endings else name
        return {ending: name for ending, name in endings.items() if name}

    def has_role(self, module: str, role: str) -> bool:
        """Whether the configuration gives a module a role, such as ``bridge``."""
        return matches(module, getattr(self.config, role))

    @cached_property
    def calls(self) -> list[tuple[Module, int, Call, Target]]:
        """All calls with their modules and indices, and what they call."""
        return [
            (module, index, call, self.resolve(call.path))
            for module in self.modules.values()
            for index, call in enumerate(module.calls)
        ]

    def function(self, target: Target) -> Function | None:
        """The function that a target is; None if it is something else."""
        return self._functions.get((target.module, target.name)) if target.kind is SymbolKind.FUNCTION else None

    @cached_property
    def _indices(self) -> dict[tuple[str, str], int]:
        return {
            (module.name, function.name): number
            for module in self.modules.values()
            for number, function in enumerate(module.functions)
            if self._functions[module.name, function.name] is function
        }

    def index_of(self, target: Target) -> int:
        """The index of a function in its module, or -1."""
        return self._indices.get((target.module, target.name), -1)

    def class_of(self, target: Target) -> Class | None:
        """The class that a target is, or is an instance of."""
        if target.kind not in (SymbolKind.CLASS, SymbolKind.INSTANCE):
            return None
        return self.modules[target.module].classes.get(target.name)

    def lineage(self, target: Target) -> Iterator[Target]:
        """A class and all its bases, also those outside of the tree; each once."""
        waiting, seen = [target], set()
        while waiting:
            one = waiting.pop(0)
            if one.path in seen:
                continue
            seen.add(one.path)
            yield one
            known = self.class_of(one)
            if known is not None:
                waiting += [self.resolve(base) for base in known.bases if base]

    def names_of(self, target: Target) -> list[str]:
        """The names of a class and all its bases."""
        return [one.path.uncalled.name for one in self.lineage(target)]

    def resolve(self, path: AccessPath | None) -> Target:
        """Follow a path to its end."""
        if path is None:
            return Target(SymbolKind.OTHER, Unknown())
        known = self._resolved.get(path)
        if known is None:
            self._resolved[path] = Target(SymbolKind.OTHER, path)  # a path that leads back to itself ends there
            known = self._resolved[path] = self._follow(path)
        return known

    def _follow(self, path: AccessPath) -> Target:
        match path:
            case HolderOf(of):
                return self.resolve(of)._replace(is_held=True)
            case ContainerOf(of):
                return Target(SymbolKind.CONTAINER, of)
            case Known(steps) if 0 < len(steps) <= _MOST_STEPS:
                target, used = self._beginning(steps)
                for step in steps[used:]:
                    target = self._step(target, step)
                return target
        is_long = len(path.steps) > _MOST_STEPS
        return Target(SymbolKind.OTHER, path.with_steps(path.steps[-_SHOWN_STEPS:]) if is_long else path)

    def _beginning(self, steps: Steps) -> tuple[Target, int]:
        """The module that a path begins with, and the number of its steps; without one, the first step."""
        for used in range(min(len(steps), self._deepest), 0, -1):
            name = self._modules_at.get(steps[:used])
            if name is not None:
                return Target(SymbolKind.MODULE, dotted(name), name), used
        return Target(SymbolKind.OTHER, Known(steps[:1])), 1

    def _step(self, target: Target, step: Step) -> Target:
        following = _FROM[target.kind](self, target, step)
        return following._replace(is_held=True) if target.is_held else following

    def _from_module(self, target: Target, step: Step) -> Target:
        module, own = self.modules[target.module], target.path.then(step)
        if not isinstance(step, str):
            return Target(SymbolKind.OTHER, own)
        if step in module.names and module.names[step] != own:
            path = module.names[step]
            return Target(SymbolKind.OTHER, own) if path is None or isinstance(path, Unknown) else self.resolve(path)
        symbol = self._symbol(module.name, step)
        if symbol is not None:
            return symbol
        inner = f"{module.name}.{step}"
        if inner in self.modules:
            return Target(SymbolKind.MODULE, own, inner)
        if step not in module.names:
            for star in module.stars:
                found = self.resolve(star.then(step))
                if found.kind is not SymbolKind.OTHER:
                    return found
        return Target(SymbolKind.OTHER, own)

    def _symbol(self, module: str, name: str) -> Target | None:
        """The class or function with a name in a module."""
        if name in self.modules[module].classes:
            return Target.of(SymbolKind.CLASS, module, name)
        if (module, name) in self._functions:
            return Target.of(SymbolKind.FUNCTION, module, name)
        return None

    def _from_class(self, target: Target, step: Step) -> Target:
        if step is Op.CALL:
            return target._replace(kind=SymbolKind.INSTANCE, path=target.path.then(Op.CALL))
        if not isinstance(step, str):
            return target  # ``Class[int]``
        nested = f"{target.name}.{step}"
        if nested in self.modules[target.module].classes:
            return Target.of(SymbolKind.CLASS, target.module, nested)
        return self._member(target, step)

    def _from_instance(self, target: Target, step: Step) -> Target:
        match step:
            case Op.CALL:
                return self._returned(self._member(target, "__call__"))
            case Op.ELEMENT:
                return Target(SymbolKind.OTHER, target.path.then(step))
            case "__enter__":
                return target._replace(kind=SymbolKind.ENTERED)
            case name:
                return self._member(target, name)

    def _member(self, target: Target, name: str) -> Target:
        outside: AccessPath | None = None
        for one in self.lineage(target):
            known = self.class_of(one)
            if known is None:
                outside = outside or one.path
            elif name in known.methods:
                return self._method(Target.of(SymbolKind.FUNCTION, one.module, f"{one.name}.{name}"))
            else:
                path = known.attributes.get(name)
                if path is not None and not isinstance(path, Unknown):
                    return self.resolve(path)._replace(is_held=True)
        return Target(SymbolKind.OTHER, outside.uncalled.then(Op.CALL, name) if outside else target.path.then(name))

    def _method(self, target: Target) -> Target:
        """A method, or the value of a property."""
        method = self.function(target)
        is_property = method is not None and not {"property", "cached_property"}.isdisjoint(method.decorator_names)
        return self._returned(target) if is_property else target

    def _returned(self, target: Target) -> Target:
        function = self.function(target)
        if function is None or function.returns is None:
            return Target(SymbolKind.OTHER, target.path.then(Op.CALL))
        return self.resolve(function.returns)

    def _from_function(self, target: Target, step: Step) -> Target:
        if step is Op.CALL:
            return self._returned(target)
        inner = self._symbol(target.module, f"{target.name}.{step}")
        return inner or Target(SymbolKind.OTHER, target.path.then(step))

    def _from_container(self, target: Target, step: Step) -> Target:
        if step in (Op.ELEMENT, "__enter__"):
            return self.resolve(target.path)
        if step in _SAME or step is Op.CALL:
            return target
        if step in _ONE_OF:
            return Target(SymbolKind.ONE_OF, target.path.then(step))
        return Target(SymbolKind.OTHER, target.path.then(step))

    def _from_one_of(self, target: Target, step: Step) -> Target:
        return self.resolve(target.path.parent)

    def _from_entered(self, target: Target, step: Step) -> Target:
        """What ``as`` binds: the object that the context returns, or the context itself if that is not known."""
        context = target._replace(kind=SymbolKind.INSTANCE)
        method = self._member(context, "__aenter__")
        returned = self._returned(method) if method.kind is SymbolKind.FUNCTION else context
        return returned if returned.kind is SymbolKind.INSTANCE else context

    def _from_other(self, target: Target, step: Step) -> Target:
        if isinstance(step, Op) and target.path.name == "__enter__":
            return Target(SymbolKind.OTHER, target.path.parent)
        return Target(SymbolKind.OTHER, target.path.then(step))


_FROM = {
    SymbolKind.MODULE: Tree._from_module,
    SymbolKind.CLASS: Tree._from_class,
    SymbolKind.INSTANCE: Tree._from_instance,
    SymbolKind.FUNCTION: Tree._from_function,
    SymbolKind.CONTAINER: Tree._from_container,
    SymbolKind.ONE_OF: Tree._from_one_of,
    SymbolKind.ENTERED: Tree._from_entered,
    SymbolKind.OTHER: Tree._from_other,
}

"""`Tree`: all modules together; it follows names through imports, aliases, classes and what functions return."""

import re
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from netra_sim.audit.config import Config, matches
from netra_sim.audit.facts import Call, Class, Function, Module

_STEP = re.compile(r"\(\)|\[\]|[^.()\[\]]+")
_LONGEST_WAY = 40
_SAME = frozenset({"copy", "values", "keys", "items", "__aiter__", "__iter__"})
_ONE_OF = frozenset({"get", "pop", "popleft", "setdefault", "popitem"})


class Sort(Enum):
    """What a path leads to."""

    MODULE = "module"
    CLASS = "class"
    INSTANCE = "instance"
    FUNCTION = "function"
    CONTAINER = "container"
    OTHER = "other"


class Target(NamedTuple):
    """Where a path ends.

    Attributes:
        path: the canonical one; of something outside of the tree, as that is called there.
        module: in which it stands, of classes, instances and functions.
        name: its name in that module.
        is_held: whether it was reached through a partial or an attribute, which holds it.
    """

    sort: Sort
    path: str
    module: str = ""
    name: str = ""
    is_held: bool = False


class Tree:
    """The modules of an audited tree, by name.

    Args:
        modules: what was read, also of files that could not be understood.
        config: which module plays which part.

    Attributes:
        kept: what rules have found out and others need, by its class.
    """

    def __init__(self, modules: Sequence[Module], config: Config) -> None:
        self.modules = {module.name: module for module in modules if not module.error}
        self.unreadable = [module for module in modules if module.error]
        self.config = config
        self.kept: dict[type, object] = {}
        self._resolved: dict[str, Target] = {}
        self._endings = self._unique_endings()
        self._functions: dict[str, Function] = {}
        for module in self.modules.values():
            for function in module.functions:
                # Of two of one name the later one holds, unless it only declares.
                key = f"{module.name}.{function.name}"
                if key not in self._functions or not function.is_trivial:
                    self._functions[key] = function

    def _unique_endings(self) -> dict[str, str]:
        """Modules by the ends of their names, as the audited folder need not be the one that imports begin at."""
        endings: dict[str, str] = {}
        for name in self.modules:
            parts = name.split(".")
            for first in range(1, len(parts)):
                if parts[first] not in sys.stdlib_module_names:
                    ending = ".".join(parts[first:])
                    endings[ending] = "" if ending in endings else name
        return {ending: name for ending, name in endings.items() if name and ending not in self.modules}

    def plays(self, module: str, part: str) -> bool:
        """Whether a module plays a part of the configuration's, such as ``bridge``."""
        return matches(module, getattr(self.config, part))

    @cached_property
    def calls(self) -> list[tuple[Module, int, Call, Target]]:
        """All calls with their modules and indices, and what they call."""
        return [
            (module, index, call, self.resolve(call.path))
            for module in self.modules.values()
            for index, call in enumerate(module.calls)
        ]

    def function(self, target: Target) -> Function | None:
        """The function that a target is, or that is called when it is an instance's or a class's."""
        return self._functions.get(f"{target.module}.{target.name}") if target.sort is Sort.FUNCTION else None

    @cached_property
    def _indices(self) -> dict[tuple[str, str], int]:
        return {
            (module.name, function.name): number
            for module in self.modules.values()
            for number, function in enumerate(module.functions)
            if self._functions[f"{module.name}.{function.name}"] is function
        }

    def index_of(self, target: Target) -> int:
        """The index of a function in its module, or -1."""
        return self._indices.get((target.module, target.name), -1)

    def class_of(self, target: Target) -> Class | None:
        """The class that a target is, or is an instance of."""
        if target.sort not in (Sort.CLASS, Sort.INSTANCE):
            return None
        return self.modules[target.module].classes.get(target.name)

    def lineage(self, target: Target) -> Iterator[Target]:
        """A class and all its bases, those outside of the tree included; each once."""
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

    def resolve(self, path: str) -> Target:
        """Follow a path to its end."""
        known = self._resolved.get(path)
        if known is None:
            # Found again on its own way, a path leads nowhere.
            self._resolved[path] = Target(Sort.OTHER, path)
            known = self._resolved[path] = self._follow(path)
        return known

    def _follow(self, path: str) -> Target:
        if len(path) > 400:
            return Target(Sort.OTHER, path[-80:])
        is_held = path.startswith("~")
        bare = path.lstrip("~")
        if bare.startswith("*"):
            return Target(Sort.CONTAINER, bare[1:])
        if bare.startswith("?") or not bare:
            return Target(Sort.OTHER, bare)
        steps = _STEP.findall(bare)
        module, used = self._longest_module(steps)
        if module:
            target = Target(Sort.MODULE, module)
        else:
            target, used = Target(Sort.OTHER, steps[0]), 1
        if len(steps) > _LONGEST_WAY:
            return Target(Sort.OTHER, path[-80:])
        for step in steps[used:]:
            target = self._step(target, step)
        return target._replace(is_held=True) if is_held else target

    def _longest_module(self, steps: Sequence[str]) -> tuple[str, int]:
        best, used, name = "", 0, ""
        for number, step in enumerate(steps):
            if step in ("()", "[]"):
                break
            name = f"{name}.{step}" if name else step
            found = name if name in self.modules else self._endings.get(name, "")
            if found:
                best, used = found, number + 1
        return best, used

    def _step(self, target: Target, step: str) -> Target:
        following = _FROM[target.sort](self, target, step)
        return following._replace(is_held=True) if target.is_held else following

    def _from_module(self, target: Target, step: str) -> Target:
        module = self.modules[target.path]
        path = module.names.get(step)
        own = f"{module.name}.{step}"
        if path == own or path is None:
            if step in module.classes:
                return Target(Sort.CLASS, own, module.name, step)
            if own in self._functions:
                return Target(Sort.FUNCTION, own, module.name, step)
            if own in self.modules:
                return Target(Sort.MODULE, own)
            for star in module.stars if path is None else ():
                found = self.resolve(f"{star}.{step}")
                if found.sort is not Sort.OTHER:
                    return found
            return Target(Sort.OTHER, own)
        return self.resolve(path) if path and not path.startswith("?") else Target(Sort.OTHER, own)

    def _from_class(self, target: Target, step: str) -> Target:
        if step == "()":
            return target._replace(sort=Sort.INSTANCE, path=f"{target.path}()")
        if step == "[]":
            return target
        nested = f"{target.path}.{step}".removeprefix(f"{target.module}.")
        if nested in self.modules[target.module].classes:
            return Target(Sort.CLASS, f"{target.path}.{step}", target.module, nested)
        return self._member(target, step)

    def _from_instance(self, target: Target, step: str) -> Target:
        if step == "__enter__":
            return Target(Sort.OTHER, "<enter>", target.module, target.name)
        if step == "()":
            return self._returned(self._member(target, "__call__"))
        if step == "[]":
            return Target(Sort.OTHER, f"{target.path}[]")
        return self._member(target, step)

    def _member(self, target: Target, step: str) -> Target:
        outside = ""
        for one in self.lineage(target):
            known = self.class_of(one)
            if known is None:
                outside = outside or one.path
                continue
            if step in known.methods:
                name = f"{one.name}.{step}"
                found = Target(Sort.FUNCTION, f"{one.module}.{name}", one.module, name)
                method = self.function(found)
                is_property = method is not None and any(
                    each.rpartition(".")[2] in ("property", "cached_property") for each in method.decorators
                )
                return self._returned(found) if is_property else found
            path = known.attributes.get(step, "")
            if path and not path.startswith("?"):
                return self.resolve(path)._replace(is_held=True)
        if outside:
            return Target(Sort.OTHER, f"{outside.removesuffix('()')}().{step}")
        return Target(Sort.OTHER, f"{target.path}.{step}")

    def _returned(self, target: Target) -> Target:
        function = self.function(target)
        if function is None or not function.returns:
            return Target(Sort.OTHER, f"{target.path}()")
        return self.resolve(function.returns)

    def _from_function(self, target: Target, step: str) -> Target:
        if step == "()":
            return self._returned(target)
        inner = f"{target.path}.{step}"
        if inner in self._functions:
            return Target(Sort.FUNCTION, inner, target.module, inner.removeprefix(f"{target.module}."))
        name = inner.removeprefix(f"{target.module}.")
        if name in self.modules[target.module].classes:
            return Target(Sort.CLASS, inner, target.module, name)
        return Target(Sort.OTHER, inner)

    def _from_container(self, target: Target, step: str) -> Target:
        if step in ("[]", "__enter__"):
            return self.resolve(target.path)
        if step in _SAME or step == "()":
            return target
        if step in _ONE_OF:
            return Target(Sort.OTHER, f"<one>{target.path}")
        return Target(Sort.OTHER, f"{target.path}.{step}")

    def _from_other(self, target: Target, step: str) -> Target:
        path = target.path
        if path == "<enter>":
            entered = Target(Sort.INSTANCE, f"{target.module}.{target.name}()", target.module, target.name)
            method = self._member(entered, "__aenter__")
            returned = self._returned(method) if method.sort is Sort.FUNCTION else entered
            return returned if returned.sort is Sort.INSTANCE else entered
        if path.startswith("<one>"):
            return self.resolve(path.removeprefix("<one>"))
        if step in ("()", "[]"):
            if path.endswith(".__enter__"):
                return Target(Sort.OTHER, path.removesuffix(".__enter__"))
            return Target(Sort.OTHER, path + step)
        return Target(Sort.OTHER, f"{path}.{step}")


_FROM = {
    Sort.MODULE: Tree._from_module,
    Sort.CLASS: Tree._from_class,
    Sort.INSTANCE: Tree._from_instance,
    Sort.FUNCTION: Tree._from_function,
    Sort.CONTAINER: Tree._from_container,
    Sort.OTHER: Tree._from_other,
}

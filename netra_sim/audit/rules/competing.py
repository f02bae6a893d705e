"""NS501: one thing, implemented once."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

from netra_sim.audit.facts import Body, Class, Function, Module
from netra_sim.audit.rules.rule import Location, Rule
from netra_sim.audit.tree import SymbolKind, Target, Tree

_PLAIN_DECORATORS = frozenset({
    "cache", "lru_cache", "windows_asyncio_safe", "contextmanager", "asynccontextmanager", "staticmethod",
    "classmethod", "wraps", "dataclass",
})  # fmt: skip
Definition = TypeVar("Definition", Class, Function, Body)


def competing(tree: Tree) -> Iterator[Location]:
    """Public classes and functions, by name; and all larger bodies."""
    reported: set[tuple[str, int]] = set()
    for location in (*_classes(tree), *_functions(tree), *_bodies(tree)):
        key = (location.module.name, location.line)
        if location.problem and key in reported:
            continue
        if location.problem:
            reported.add(key)
        yield location


def _grouped(
    tree: Tree, definitions: Iterable[tuple[Hashable, Module, Definition]]
) -> Iterator[list[tuple[Module, Definition]]]:
    """Definitions with the same key. The first one counts as the original: modules with a role come first."""
    groups: dict[Hashable, list[tuple[Module, Definition]]] = defaultdict(list)
    for key, module, definition in definitions:
        groups[key].append((module, definition))
    for group in groups.values():
        yield sorted(group, key=lambda pair: (not _has_a_role(tree, pair[0]), pair[0].file, pair[1].line))


def _has_a_role(tree: Tree, module: Module) -> bool:
    return any(tree.has_role(module.name, role) for role in ("runtime", "factory", "bridge"))


def _location(module: Module, definition: Definition, problem: str = "") -> Location:
    return Location(module, definition.line, definition.column, definition.name, problem)


def _classes(tree: Tree) -> Iterator[Location]:
    classes = (
        (known.name, module, known)
        for module in tree.modules.values()
        for known in module.classes.values()
        if not known.is_nested and not known.name.startswith("_") and known.name not in tree.config.conventional
    )
    for (first, original), *others in _grouped(tree, classes):
        yield _location(first, original)
        for module, known in others:
            problem = ""
            if module is not first and not _are_related(tree, (first, original), (module, known)):
                problem = f"a second class {known.name}; the first one is in {first.file}:{original.line}"
            yield _location(module, known, problem)


def _are_related(tree: Tree, one: tuple[Module, Class], other: tuple[Module, Class]) -> bool:
    """Whether one class extends the other, or one of them is a protocol."""
    if any(base is not None and base.name == "Protocol" for _, known in (one, other) for base in known.bases):
        return True
    first, second = (Target.of(SymbolKind.CLASS, module.name, known.name) for module, known in (one, other))
    return _extends(tree, first, second) or _extends(tree, second, first)


def _extends(tree: Tree, target: Target, base: Target) -> bool:
    return any(one.path == base.path for one in tree.lineage(target))


def _functions(tree: Tree) -> Iterator[Location]:
    functions = (
        (function.name, module, function)
        for module in tree.modules.values()
        for function in module.functions
        if function.is_public and not function.is_trivial and function.name not in tree.config.conventional
        if _PLAIN_DECORATORS.issuperset(function.decorator_names)
    )
    for (first, original), *others in _grouped(tree, functions):
        yield _location(first, original)
        for module, function in others:
            problem = ""
            if module is not first and set(function.parameters) == set(original.parameters):
                problem = f"a second function {function.name}; the first one is in {first.file}:{original.line}"
            yield _location(module, function, problem)


def _bodies(tree: Tree) -> Iterator[Location]:
    bodies = ((body.digest, module, body) for module in tree.modules.values() for body in module.bodies)
    for (first, original), *others in _grouped(tree, bodies):
        yield _location(first, original)
        for module, body in others:
            problem = f"{body.lines} lines that {original.name} in {first.file}:{original.line} has as well"
            yield _location(module, body, problem)


RULES = (
    Rule(
        id="NS501",
        name="competing-implementations",
        question="Is everything implemented once?",
        unit="public classes and functions, and bodies of some size",
        why="There were six copies of one function, two managers, and two context classes that rejected each other (V4).",
        fix="Keep one, import it everywhere else, and remove the others.",
        look=competing,
    ),
)

"""NS501: one thing, implemented once."""

from collections import defaultdict
from collections.abc import Iterator

from netra_sim.audit.facts import Body, Class, Function, Module
from netra_sim.audit.rules.rule import Place, Rule
from netra_sim.audit.tree import Sort, Target, Tree

_PLAIN_DECORATORS = frozenset({
    "cache", "lru_cache", "windows_asyncio_safe", "contextmanager", "asynccontextmanager", "staticmethod",
    "classmethod", "wraps", "dataclass",
})  # fmt: skip


def competing(tree: Tree) -> Iterator[Place]:
    """Public classes and functions, by name; and all larger bodies."""
    told: set[tuple[str, int]] = set()
    for place in (*_classes(tree), *_functions(tree), *_bodies(tree)):
        key = (place.module.name, place.line)
        if place.problem and key in told:
            continue
        if place.problem:
            told.add(key)
        yield place


def _is_home(tree: Tree, module: Module) -> bool:
    """Whether a module plays a part, so that what it has is the original."""
    return any(tree.plays(module.name, part) for part in ("runtime", "factory", "bridge"))


def _classes(tree: Tree) -> Iterator[Place]:
    by_name: dict[str, list[tuple[Module, Class]]] = defaultdict(list)
    for module in tree.modules.values():
        for known in module.classes.values():
            if not known.is_nested and not known.name.startswith("_") and known.name not in tree.config.conventional:
                by_name[known.name].append((module, known))
    for name, all_of_it in by_name.items():
        same = sorted(all_of_it, key=lambda pair: (not _is_home(tree, pair[0]), pair[0].file))
        first, original = same[0]
        yield Place(first, original.line, original.column, name)
        for module, known in same[1:]:
            problem = ""
            if module is not first and not _are_related(tree, (first, original), (module, known)):
                problem = f"a second class {name}; the first one is in {first.file}:{original.line}"
            yield Place(module, known.line, known.column, name, problem)


def _are_related(tree: Tree, one: tuple[Module, Class], other: tuple[Module, Class]) -> bool:
    """Whether one extends or declares the other."""
    paths = [f"{module.name}.{known.name}" for module, known in (one, other)]
    for (module, known), path in ((one, paths[1]), (other, paths[0])):
        target = Target(Sort.CLASS, f"{module.name}.{known.name}", module.name, known.name)
        if any(base.path == path for base in tree.lineage(target)):
            return True
        if any(base.rpartition(".")[2] == "Protocol" for base in known.bases):
            return True
    return False


def _functions(tree: Tree) -> Iterator[Place]:
    by_name: dict[str, list[tuple[Module, Function]]] = defaultdict(list)
    for module in tree.modules.values():
        for function in module.functions:
            if function.is_public and not function.is_trivial and function.name not in tree.config.conventional:
                decorators = {path.rpartition(".")[2].lstrip("?") for path in function.decorators}
                if decorators <= _PLAIN_DECORATORS:
                    by_name[function.name].append((module, function))
    for name, all_of_it in by_name.items():
        same = sorted(all_of_it, key=lambda pair: (not _is_home(tree, pair[0]), pair[0].file))
        first, original = same[0]
        yield Place(first, original.line, original.column, name)
        for module, function in same[1:]:
            problem = ""
            if module is not first and set(function.parameters) == set(original.parameters):
                problem = f"a second function {name}; the first one is in {first.file}:{original.line}"
            yield Place(module, function.line, function.column, name, problem)


def _bodies(tree: Tree) -> Iterator[Place]:
    by_digest: dict[str, list[tuple[Module, Body]]] = defaultdict(list)
    for module in tree.modules.values():
        for body in module.bodies:
            by_digest[body.digest].append((module, body))
    for same in by_digest.values():
        same.sort(key=lambda pair: (not _is_home(tree, pair[0]), pair[0].file, pair[1].line))
        first, original = same[0]
        yield Place(first, original.line, original.column, original.name)
        for module, body in same[1:]:
            problem = f"{body.lines} lines that {original.name} in {first.file}:{original.line} has as well"
            yield Place(module, body.line, body.column, body.name, problem)


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

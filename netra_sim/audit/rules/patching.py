"""NS103: no code replaces what asyncio has."""

from collections.abc import Iterator

from netra_sim.audit.facts import Module, Patch
from netra_sim.audit.paths import AccessPath, Op, Steps, Unknown, dotted
from netra_sim.audit.rules.rule import Location, Rule, symbol_of
from netra_sim.audit.tree import SymbolKind, Tree

_NEST = (dotted("nest_asyncio"), dotted("nest_asyncio2"))
_PATCHABLE = frozenset({"asyncio", "nest_asyncio", "nest_asyncio2"})


def patched_asyncio(tree: Tree) -> Iterator[Location]:
    """Modules that import asyncio, and code that replaces something in a module or a class."""
    for module in tree.modules.values():
        if any(not _PATCHABLE.isdisjoint(path.steps[:1]) for path in module.imports):
            yield Location(module, 1, 1, "")
        for patch in module.patches:
            problem = _problem(tree, module, patch)
            yield Location(module, patch.line, patch.column, symbol_of(module, patch.function), problem)


def _problem(tree: Tree, module: Module, patch: Patch) -> str:
    if patch.owner in _NEST and patch.name == "apply":
        if tree.has_role(module.name, "runtime"):
            return ""  # the opt-in for notebooks
        return f"{patch.owner}.apply() changes the event loop for the whole process"
    if patch.owner is None or isinstance(patch.owner, Unknown) or Op.CALL in patch.owner.steps:
        return ""
    owner = _within_asyncio(tree, patch.owner)
    return f"{owner.then(patch.name) if patch.name else owner} is replaced for the whole process" if owner else ""


def _within_asyncio(tree: Tree, owner: AccessPath) -> AccessPath | None:
    """The path of a module or class of asyncio; None if the owner is something else."""
    steps: Steps = owner.steps
    if "asyncio" in steps and tree.resolve(owner).path.steps[:1] != ("asyncio",):
        # ``app.hub.asyncio`` is asyncio itself, unless the tree has a package of that name.
        first = steps.index("asyncio")
        is_of_tree = tree.resolve(owner.with_steps(steps[: first + 1])).kind is SymbolKind.MODULE
        return None if is_of_tree else owner.with_steps(steps[first:])
    resolved = tree.resolve(owner).path
    return resolved if resolved.steps[:1] == ("asyncio",) else None


RULES = (
    Rule(
        id="NS103",
        name="patched-asyncio",
        question="Is asyncio left as it is?",
        unit="modules that import asyncio, and places that replace something",
        why="Other tasks met the replacements, and two overlapping patches were never taken back (W1, W2).",
        fix="Use @windows_asyncio_safe, which changes nothing outside the function, or hand the function in.",
        look=patched_asyncio,
    ),
)

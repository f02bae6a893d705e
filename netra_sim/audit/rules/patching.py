"""NS103: nobody puts something else where asyncio's own functions are."""

from collections.abc import Iterator

from netra_sim.audit.facts import Module, Patch
from netra_sim.audit.rules.rule import Place, Rule, symbol_of
from netra_sim.audit.tree import Sort, Tree

_NEST = frozenset({"nest_asyncio.apply", "nest_asyncio2.apply"})


def patched_asyncio(tree: Tree) -> Iterator[Place]:
    """Modules that import asyncio, and places that put something else into a module or a class."""
    for module in tree.modules.values():
        if any(name.partition(".")[0] in ("asyncio", "nest_asyncio", "nest_asyncio2") for name in module.imports):
            yield Place(module, 1, 1, "")
        for patch in module.patches:
            problem = _problem(tree, module, patch)
            yield Place(module, patch.line, patch.column, symbol_of(module, patch.function), problem)


def _problem(tree: Tree, module: Module, patch: Patch) -> str:
    if patch.path in _NEST:
        if tree.plays(module.name, "runtime"):
            return ""  # the opt-in for notebooks
        return f"{patch.path}() changes the event loop for the whole process"
    owner, _, name = patch.path.rpartition(".")
    parts = tree.resolve(owner).path.split(".")
    given = owner.split(".")
    if parts[0] != "asyncio" and "asyncio" in given:
        # ``app.hub.asyncio.sleep`` is asyncio's own, unless the tree has a package of that name.
        inner = given.index("asyncio")
        is_own = tree.resolve(".".join(given[: inner + 1])).sort is Sort.MODULE
        parts = parts if is_own else given[inner:]
    if parts[0] != "asyncio" or "()" in owner or patch.path.startswith("?"):
        return ""
    what = ".".join([*parts, name]) if not name.startswith("<") else ".".join(parts)
    return f"{what} is replaced for the whole process"


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

"""The rule NS201: only the factory makes engines, emitters and agents."""

from collections.abc import Iterator

from netra_sim.audit.config import matches_glob
from netra_sim.audit.facts import Call, Function, Module, ResultUse
from netra_sim.audit.rules.rule import Location, Rule, location_of
from netra_sim.audit.sending import ancestors
from netra_sim.audit.tree import SymbolKind, Target, Tree

_OF_A_USER = frozenset({
    "user", "user_id", "run_id", "thread_id", "user_context", "connection_id", "websocket", "ws", "bridge",
    "websocket_manager", "websocket_bridge", "delivery",
})  # fmt: skip
"""Parameters of a constructor, any one of which shows that an emitter belongs to one user."""

_NAMES_A_USER = ("*User*", "*Run*", "*WebSocket*", "*Websocket*", "*Agent*")
"""Patterns of class names that show the same."""


def made_outside(tree: Tree) -> Iterator[Location]:
    """Yield every call that makes an engine, an emitter or an agent, with a problem if the factory has no part in it.

    There is no problem in a module with the role ``factory``, in a function that a factory receives as an argument or, for
    an emitter, in a module with the role ``bridge``. A partial that is only stored is left out, as it makes nothing yet. So
    is a class that makes its own instance.
    """
    makers = _makers(tree)
    for module, _, call, target in tree.calls:
        if call.use is ResultUse.KEPT_AS_PARTIAL:
            continue
        kind = _kind_made(tree, target, makers)
        if not kind or _is_within_itself(module, call, target):
            continue
        is_here = tree.has_role(module.name, "factory") or (kind == "emitter" and tree.has_role(module.name, "bridge"))
        problem = ""
        if not is_here and not _is_called_by_factory(tree, module, call):
            made = target.name.partition(".")[0] if target.name else target.path.name
            problem = f"the {kind} {made} is made outside the factory"
        yield location_of(module, call, problem)


def _makers(tree: Tree) -> dict[tuple[str, str], str]:
    """The class and static methods that make their own class: that class's kind, by module and function name."""
    found: dict[tuple[str, str], str] = {}
    for module, _, call, target in tree.calls:
        if call.function < 0 or target.kind is not SymbolKind.CLASS:
            continue
        function = module.functions[call.function]
        is_own = function.owner and target.module == module.name and target.name == function.owner
        if is_own and not {"classmethod", "staticmethod"}.isdisjoint(function.decorator_names):
            kind = _kind(tree, target)
            if kind:
                found[module.name, function.name] = kind
    return found


def _kind_made(tree: Tree, target: Target, makers: dict[tuple[str, str], str]) -> str:
    """The kind of the object that a call of this target makes: by a maker, by ``Class.__new__`` or by the class itself."""
    if target.kind is SymbolKind.FUNCTION:
        return makers.get((target.module, target.name), "")
    if target.kind is SymbolKind.OTHER and target.path.name == "__new__":
        return _kind(tree, tree.resolve(target.path.parent))
    return _kind(tree, target)


def _kind(tree: Tree, target: Target) -> str:
    """The kind of a class: "engine", "emitter" or "agent"; "" for any other class, a frozen class, or no class."""
    if target.kind is SymbolKind.OTHER:
        return _kind_by_name(tree, target)
    known = tree.class_of(target) if target.kind is SymbolKind.CLASS else None
    if known is None or known.is_frozen:
        return ""
    config, names = tree.config, tree.names_of(target)
    if any(matches_glob(name, *config.engines) for name in names):
        return "engine"
    if any(matches_glob(name, *config.emitters) for name in names) and _is_of_a_user(tree, target, names):
        return "emitter"
    if any(matches_glob(name, *config.agents) for name in names) and any(
        method.is_async for _, method in _methods(tree, target)
    ):
        return "agent"
    return ""


def _kind_by_name(tree: Tree, target: Target) -> str:
    """The kind of a class outside of the tree, by its name alone; "" also for agents, which the name does not prove."""
    name = target.path.name
    if matches_glob(name, *tree.config.engines):
        return "engine"
    is_ours = "WebSocket" in name or target.path.steps[:1] == ("netra_sim",)
    return "emitter" if is_ours and matches_glob(name, *tree.config.emitters) else ""


def _is_of_a_user(tree: Tree, target: Target, names: list[str]) -> bool:
    """Whether an emitter belongs to one user, by a class name in its lineage or a parameter of a constructor.

    Emitters of metrics or of callbacks within the process do not.
    """
    return any(matches_glob(name, *_NAMES_A_USER) for name in names) or any(
        name == "__init__" and not _OF_A_USER.isdisjoint(method.parameters) for name, method in _methods(tree, target)
    )


def _methods(tree: Tree, target: Target) -> Iterator[tuple[str, Function]]:
    """Every method of a class and its bases with its name, overridden ones included."""
    for one in tree.lineage(target):
        known = tree.class_of(one)
        if known is not None:
            functions = tree.modules[one.module].functions
            yield from ((name, functions[number]) for name, number in known.methods.items())


def _is_within_itself(module: Module, call: Call, target: Target) -> bool:
    """Whether the call is inside the class that it makes; the rule looks at the callers of that class instead."""
    if call.function < 0 or target.module != module.name:
        return False
    owners = {function.owner.partition(".")[0] for function in ancestors(module, call.function) if function.owner}
    return target.name.partition(".")[0] in owners


def _is_called_by_factory(tree: Tree, module: Module, call: Call) -> bool:
    """Whether the call is inside a function, such as a pipeline, that is an argument to something named ``*Factory``."""
    functions = ancestors(module, call.function)
    receivers = [tree.resolve(called) for function in functions for called in function.callback_of]
    return any((target.name or target.path.name).endswith("Factory") for target in receivers)


RULES = (
    Rule(
        id="NS201",
        name="engine-outside-factory",
        question="Are engines, emitters and agents made by the factory alone?",
        unit="places that make an engine, an emitter or an agent",
        why="What the factory has not made has no limit, no owner and nobody to clean it up (F1, F2, F4, B10, S18).",
        fix="Open ExecutionEngineFactory.user_execution_scope, and give agents to the factory as its pipeline.",
        look=made_outside,
    ),
)

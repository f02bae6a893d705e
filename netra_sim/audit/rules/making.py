"""NS201: where engines, emitters and agents are made."""

from collections.abc import Iterator

from netra_sim.audit.config import likes
from netra_sim.audit.facts import Call, Class, Fate, Module
from netra_sim.audit.rules.rule import Place, Rule, symbol_of
from netra_sim.audit.sending import ancestors
from netra_sim.audit.tree import Sort, Target, Tree

_OF_A_USER = frozenset({
    "user", "user_id", "run_id", "thread_id", "user_context", "connection_id", "websocket", "ws", "bridge",
    "websocket_manager", "websocket_bridge", "delivery",
})  # fmt: skip
_SAYS_WHOSE = ("*User*", "*Run*", "*WebSocket*", "*Websocket*", "*Agent*")


def made_outside(tree: Tree) -> Iterator[Place]:
    """Calls that make an engine, an emitter or an agent."""
    makers = _makers(tree)
    for module, _, call, target in tree.calls:
        if call.fate is Fate.KEPT_AS_PARTIAL:
            continue
        kind = _kind_made(tree, target, makers)
        if not kind or _is_within_itself(module, call, target):
            continue
        is_here = tree.plays(module.name, "factory") or (kind == "emitter" and tree.plays(module.name, "bridge"))
        problem = ""
        if not is_here and not _is_called_by_factory(tree, module, call):
            made = target.name.partition(".")[0] if target.name else target.path.rpartition(".")[2]
            problem = f"the {kind} {made.lstrip('?')} is made outside the factory"
        yield Place(module, call.line, call.column, symbol_of(module, call.function), problem)


def _makers(tree: Tree) -> dict[tuple[str, str], str]:
    """Class and static methods that make an instance of their own class, with its kind."""
    found: dict[tuple[str, str], str] = {}
    for module, _, call, target in tree.calls:
        if call.function < 0 or target.sort is not Sort.CLASS:
            continue
        function = module.functions[call.function]
        own = function.owner and target.module == module.name and target.name == function.owner
        kinds = {name.rpartition(".")[2] for name in function.decorators}
        if own and kinds & {"classmethod", "staticmethod"}:
            kind = _kind(tree, target)
            if kind:
                found[module.name, function.name] = kind
    return found


def _kind_made(tree: Tree, target: Target, makers: dict[tuple[str, str], str]) -> str:
    if target.sort is Sort.FUNCTION:
        return makers.get((target.module, target.name), "")
    if target.sort is Sort.OTHER and target.path.endswith(".__new__"):
        return _kind(tree, tree.resolve(target.path.removesuffix(".__new__")))
    return _kind(tree, target)


def _kind(tree: Tree, target: Target) -> str:
    """What a class makes; "" if it is none of ours."""
    config = tree.config
    if target.sort is Sort.OTHER:
        name = target.path.rpartition(".")[2].lstrip("?")
        if any(likes(name, pattern) for pattern in config.engines):
            return "engine"
        is_emitter = any(likes(name, pattern) for pattern in config.emitters)
        return "emitter" if is_emitter and ("WebSocket" in name or target.path.startswith("netra_sim.")) else ""
    known = tree.class_of(target) if target.sort is Sort.CLASS else None
    if known is None or known.is_frozen:
        return ""
    names = [one.path.rpartition(".")[2].lstrip("?") for one in tree.lineage(target)]
    if any(likes(name, pattern) for name in names for pattern in config.engines):
        return "engine"
    if any(likes(name, pattern) for name in names for pattern in config.emitters) and _is_of_a_user(
        tree, target, names
    ):
        return "emitter"
    if any(likes(name, pattern) for name in names for pattern in config.agents) and _has(tree, target, "async"):
        return "agent"
    return ""


def _is_of_a_user(tree: Tree, target: Target, names: list[str]) -> bool:
    """Whether an emitter is bound to somebody, unlike an emitter of metrics or of callbacks within the process."""
    return any(likes(name, pattern) for name in names for pattern in _SAYS_WHOSE) or _has(tree, target, "owner")


def _has(tree: Tree, target: Target, what: str) -> bool:
    for one in tree.lineage(target):
        known: Class | None = tree.class_of(one)
        if known is None:
            continue
        functions = tree.modules[one.module].functions
        for name, number in known.methods.items():
            if what == "async" and functions[number].is_async:
                return True
            if what == "owner" and name == "__init__" and _OF_A_USER & set(functions[number].parameters):
                return True
    return False


def _is_within_itself(module: Module, call: Call, target: Target) -> bool:
    """Whether a class makes its own instance, whose callers are looked at instead."""
    if call.function < 0 or target.module != module.name:
        return False
    owners = {function.owner for function in ancestors(module, call.function) if function.owner}
    return bool(owners) and target.name.partition(".")[0] in {owner.partition(".")[0] for owner in owners}


def _is_called_by_factory(tree: Tree, module: Module, call: Call) -> bool:
    """Whether a call stands in a function that is handed to a factory, as a pipeline is."""
    return any(
        likes(_last_class(tree, called), "*Factory")
        for function in ancestors(module, call.function)
        for called in function.callback_of
    )


def _last_class(tree: Tree, path: str) -> str:
    target = tree.resolve(path)
    return (target.name or target.path).rpartition(".")[2].lstrip("?")


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

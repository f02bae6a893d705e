"""NS401: state of modules and classes that all requests share."""

from collections import defaultdict
from collections.abc import Iterator

from netra_sim.audit.config import likes
from netra_sim.audit.facts import Change, Module, SharedName
from netra_sim.audit.rules.rule import Place, Rule
from netra_sim.audit.sending import Sends, ancestors
from netra_sim.audit.tree import Sort, Target, Tree

_MEMOS = frozenset({"cache", "lru_cache"})
_HOLDERS = ("*Manager", "*Registry", "*Bridge", "*Pool", "*Engine", "*Emitter", "*Store", "*Hub", "*Dispatcher")


def shared_state(tree: Tree) -> Iterator[Place]:
    """Names of modules and attributes of classes in modules on the request path."""
    path = request_path(tree)
    changed = _changes(tree)
    undeclared: dict[str, list[tuple[str, Change]]] = defaultdict(list)
    for key, changes in changed.items():
        owner, _, own = key.rpartition(".")
        home, change = changes[0]
        if owner == home.name and any(each.is_rebinding for _, each in changes):
            undeclared[owner].append((own, change))
    for name in sorted(path):
        module = tree.modules[name]
        states = {(state.owner, state.name): state for state in reversed(module.states)}
        for state in sorted(states.values(), key=lambda one: (one.line, one.column)):
            symbol = f"{state.owner}.{state.name}".lstrip(".")
            yield Place(module, state.line, state.column, symbol, _problem(tree, module, state, changed))
        yield from _made_once(tree, module)
        for own, change in undeclared[name]:
            if ("", own) not in states:
                problem = f"{own} of the module is bound anew by a function, for all users at once"
                yield Place(module, change.line, change.column, own, problem)


def request_path(tree: Tree) -> set[str]:
    """The modules that serve several users' requests: as configured, or found by what they do and import."""
    patterns = tree.config.request_path
    if patterns is not None:
        return {name for name in tree.modules if tree.plays(name, "request_path")}
    sends = Sends.of(tree)
    roots = {send.module.name for send in sends.sends} | {module.name for module, _ in sends.reads}
    homes = {name for name in tree.modules if tree.plays(name, "factory") or tree.plays(name, "bridge")}
    roots |= homes | {
        module.name for module, _, call, target in tree.calls if call.function >= 0 and target.module in homes
    }
    reached, waiting = set(roots), sorted(roots)
    while waiting:
        for imported in tree.modules[waiting.pop()].imports:
            target = tree.resolve(imported)
            home = target.path if target.sort is Sort.MODULE else target.module
            if home in tree.modules and home not in reached:
                reached.add(home)
                waiting.append(home)
    return reached


def _changes(tree: Tree) -> dict[str, list[tuple[Module, Change]]]:
    """Changes that happen after import, by the module's name or the class's attribute that they change."""
    at_import = _only_at_import(tree)
    found: dict[str, list[tuple[Module, Change]]] = defaultdict(list)
    for module in tree.modules.values():
        for change in module.changes:
            outermost = [function.name for function in ancestors(module, change.function)][-1]
            if f"{module.name}.{outermost}" not in at_import:
                found[_key(tree, change.path)].append((module, change))
    return found


def _key(tree: Tree, path: str) -> str:
    owner, _, name = path.rpartition(".")
    target = tree.resolve(owner)
    if target.sort is Sort.MODULE:
        # A name that was imported is where it came from.
        own = tree.modules[target.path].names.get(name, "")
        is_alias = own and not own.startswith(("?", "*", "~", "builtins.")) and not own.endswith(("()", "[]"))
        return own if is_alias and own != f"{target.path}.{name}" and "." in own else f"{target.path}.{name}"
    known = tree.class_of(target)
    if known is None:
        return path
    for one in tree.lineage(target):
        home = tree.class_of(one)
        if home is not None and any(
            state.owner == one.name and state.name == name for state in tree.modules[one.module].states
        ):
            return f"{one.module}.{one.name}.{name}" + ("" if target.sort is Sort.CLASS else "()")
    return path


def _only_at_import(tree: Tree) -> set[str]:
    """Functions that are called while modules are imported and never after, as decorators that register are."""
    called: set[str] = set()
    for _, _, call, target in tree.calls:
        if target.sort is Sort.FUNCTION and call.function >= 0:
            called.add(target.path)
    decorating: set[str] = set()
    for module in tree.modules.values():
        for function in module.functions:
            if function.parent < 0:
                decorating |= {tree.resolve(path).path for path in function.decorators}
        for kind in module.classes.values():
            decorating |= set() if kind.is_nested else {tree.resolve(path).path for path in kind.decorators}
    at_level = {target.path for _, _, call, target in tree.calls if target.sort is Sort.FUNCTION and call.function < 0}
    return (decorating | at_level) - called


def _problem(tree: Tree, module: Module, state: SharedName, changed: dict[str, list[tuple[Module, Change]]]) -> str:
    if state.owner:
        known = module.classes.get(state.owner)
        if known is None or known.is_frozen:
            return ""
        key = f"{module.name}.{state.owner}.{state.name}"
        by_class = changed.get(key, [])
        if by_class and (state.is_container or any(change.is_rebinding for _, change in by_class)):
            return f"{state.owner}.{state.name} is one for all instances, and {_where(by_class)} changes it"
        by_instance = [pair for pair in changed.get(f"{key}()", []) if not pair[1].is_rebinding]
        if state.is_container and by_instance and not _is_set_in_constructor(tree, module, state):
            return f"{state.owner}.{state.name} is one for all instances, and {_where(by_instance)} changes it"
        return ""
    changes = changed.get(f"{module.name}.{state.name}", [])
    rebound = [pair for pair in changes if pair[1].is_rebinding]
    if rebound:
        return f"{state.name} is bound anew by {_where(rebound)}, for all users at once"
    if state.is_container and changes:
        return f"{state.name} is one for all users, and {_where(changes)} changes it"
    if state.is_primitive:
        return f"{state.name} is one for all users: {state.value.removesuffix('()')} exists to be changed"
    return _instance_problem(tree, state)


def _where(changes: list[tuple[Module, Change]]) -> str:
    module, change = changes[0]
    return f"{module.functions[change.function].name} ({module.file}:{change.line})"


def _is_set_in_constructor(tree: Tree, module: Module, state: SharedName) -> bool:
    name = f"{module.name}.{state.owner}().{state.name}"
    return any(change.path == name and change.is_rebinding for change in module.changes)


def _instance_problem(tree: Tree, state: SharedName) -> str:
    if not state.value.endswith("()"):
        return ""
    target = tree.resolve(state.value)
    kind = _holds_state(tree, target)
    return f"{state.name} is one {kind} for all users" if kind else ""


def _holds_state(tree: Tree, target: Target) -> str:
    """The class's name, if its instances change; "" if they are values."""
    if target.sort is not Sort.INSTANCE:
        name = target.path.removesuffix("()").rpartition(".")[2]
        ours = ("AgentWebSocketBridge", "UserExecutionEngine", "ExecutionEngineFactory", "RunEmitter")
        return name if target.path.endswith("()") and name in ours else ""
    lineage = [known for one in tree.lineage(target) if (known := tree.class_of(one))]
    if any(known.is_frozen for known in lineage[:1]):
        return ""
    is_holder = any(likes(known.name, pattern) for known in lineage for pattern in _HOLDERS)
    return lineage[0].name if is_holder or any(known.changes_itself for known in lineage) else ""


def _made_once(tree: Tree, module: Module) -> Iterator[Place]:
    """Functions without parameters that remember what they made: singletons."""
    for function in module.functions:
        names = {name.rpartition(".")[2].lstrip("?") for name in function.decorators}
        if not names & _MEMOS or function.parameters:
            continue
        made = tree.resolve(function.returns) if function.returns else None
        kind = _holds_state(tree, made) if made is not None else ""
        problem = f"{function.name} makes one {kind} and gives it to all users" if kind else ""
        yield Place(module, function.line, function.column, function.name, problem)


RULES = (
    Rule(
        id="NS401",
        name="module-state",
        question="Does no module on the request path keep state that all users share?",
        unit="names of modules and classes on the request path",
        why="One current manager, one dispatcher, one handler for all: the next user's request took the last one's "
        "events (B1, F2, S6, S18).",
        fix="Give each user's run an object of its own through the factory, or make the value immutable.",
        look=shared_state,
    ),
)

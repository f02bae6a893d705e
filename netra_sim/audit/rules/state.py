"""NS401: state of modules and classes that all requests share."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from netra_sim.audit.config import matches_glob
from netra_sim.audit.facts import Change, Module, SharedName
from netra_sim.audit.paths import AccessPath, Op, dotted, is_shared
from netra_sim.audit.rules.rule import Location, Rule
from netra_sim.audit.sending import Sends, ancestors
from netra_sim.audit.tree import SymbolKind, Target, Tree

_MEMOS = frozenset({"cache", "lru_cache"})
_HOLDERS = ("*Manager", "*Registry", "*Bridge", "*Pool", "*Engine", "*Emitter", "*Store", "*Hub", "*Dispatcher")
_OURS = ("AgentWebSocketBridge", "UserExecutionEngine", "ExecutionEngineFactory", "RunEmitter")
_Changes: TypeAlias = dict[AccessPath, list[tuple[Module, Change]]]


def shared_state(tree: Tree) -> Iterator[Location]:
    """Names of modules and attributes of classes in modules on the request path."""
    changed = _changes(tree)
    undeclared = _bound_names(changed)
    for name in sorted(request_path(tree)):
        module = tree.modules[name]
        states = {(state.owner, state.name): state for state in reversed(module.states)}
        for state in sorted(states.values(), key=lambda one: (one.line, one.column)):
            symbol = f"{state.owner}.{state.name}" if state.owner else state.name
            yield Location(module, state.line, state.column, symbol, _problem(tree, module, state, changed))
        yield from _made_once(tree, module)
        for own, change in undeclared[name]:
            if ("", own) not in states:
                problem = f"{own} of the module is bound anew by a function, for all users at once"
                yield Location(module, change.line, change.column, own, problem)


def _bound_names(changed: _Changes) -> dict[str, list[tuple[str, Change]]]:
    """By module: the names that its functions bind anew, each with its first change."""
    found: dict[str, list[tuple[str, Change]]] = defaultdict(list)
    for path, changes in changed.items():
        module, change = changes[0]
        if path.parent == dotted(module.name) and any(each.is_rebinding for _, each in changes):
            found[module.name].append((path.name, change))
    return found


def request_path(tree: Tree) -> set[str]:
    """The modules that serve several users' requests: as configured, or else found by what they do and import."""
    if tree.config.request_path is not None:
        return {name for name in tree.modules if tree.has_role(name, "request_path")}
    sends = Sends.of(tree)
    homes = {name for name in tree.modules if tree.has_role(name, "factory") or tree.has_role(name, "bridge")}
    callers = {module.name for module, _, call, target in tree.calls if call.function >= 0 and target.module in homes}
    senders = {send.module.name for send in sends.sends} | {module.name for module, _ in sends.reads}
    reached = homes | callers | senders
    waiting = list(reached)
    while waiting:
        imported = {tree.resolve(path).module for path in tree.modules[waiting.pop()].imports}
        new = {name for name in imported if name in tree.modules} - reached
        reached |= new
        waiting += new
    return reached


def _changes(tree: Tree) -> _Changes:
    """Changes that happen after import, by the path of the module's name or the class's attribute."""
    at_import = _only_at_import(tree)
    found: _Changes = defaultdict(list)
    for module in tree.modules.values():
        for change in module.changes:
            *_, outermost = ancestors(module, change.function)
            if dotted(f"{module.name}.{outermost.name}") not in at_import:
                found[_origin(tree, change.path)].append((module, change))
    return found


def _origin(tree: Tree, path: AccessPath) -> AccessPath:
    """The path of a name or attribute where a module or class defines it."""
    owner, name = tree.resolve(path.parent), path.name
    if owner.kind is SymbolKind.MODULE:
        imported = tree.modules[owner.module].names.get(name)
        if imported is not None and is_shared(imported) and imported.name and len(imported.steps) > 1:
            return imported
        return owner.path.then(name)
    if tree.class_of(owner) is None:
        return path
    for one in tree.lineage(owner):
        is_class = tree.class_of(one) is not None
        if is_class and any((state.owner, state.name) == (one.name, name) for state in tree.modules[one.module].states):
            return _attribute(one.module, one.name, name, of_instance=owner.kind is SymbolKind.INSTANCE)
    return path


def _attribute(module: str, owner: str, name: str, *, of_instance: bool) -> AccessPath:
    path = dotted(f"{module}.{owner}")
    return path.then(Op.CALL, name) if of_instance else path.then(name)


def _only_at_import(tree: Tree) -> set[AccessPath]:
    """Functions that only run while modules are imported, such as decorators that register."""
    calls = [(call, target.path) for _, _, call, target in tree.calls if target.kind is SymbolKind.FUNCTION]
    called = {path for call, path in calls if call.function >= 0}
    at_import = {path for call, path in calls if call.function < 0}
    for module in tree.modules.values():
        for function in module.functions:
            if function.parent < 0:
                at_import |= {tree.resolve(path).path for path in function.decorators}
        for known in module.classes.values():
            if not known.is_nested:
                at_import |= {tree.resolve(path).path for path in known.decorators}
    return at_import - called


def _problem(tree: Tree, module: Module, state: SharedName, changed: _Changes) -> str:
    if state.owner:
        return _problem_of_attribute(module, state, changed)
    changes = changed.get(dotted(f"{module.name}.{state.name}"), [])
    rebound = [pair for pair in changes if pair[1].is_rebinding]
    if rebound:
        return f"{state.name} is bound anew by {_where(rebound)}, for all users at once"
    if state.is_container and changes:
        return f"{state.name} is one for all users, and {_where(changes)} changes it"
    if state.is_primitive and state.value is not None:
        return f"{state.name} is one for all users: {state.value.uncalled} exists to be changed"
    kind = _stateful_class(tree, state.value)
    return f"{state.name} is one {kind} for all users" if kind else ""


def _problem_of_attribute(module: Module, state: SharedName, changed: _Changes) -> str:
    known = module.classes.get(state.owner)
    if known is None or known.is_frozen:
        return ""
    of_class = _attribute(module.name, state.owner, state.name, of_instance=False)
    of_instance = _attribute(module.name, state.owner, state.name, of_instance=True)
    by_class = changed.get(of_class, [])
    if by_class and (state.is_container or any(change.is_rebinding for _, change in by_class)):
        return f"{state.owner}.{state.name} is one for all instances, and {_where(by_class)} changes it"
    by_instance = [pair for pair in changed.get(of_instance, []) if not pair[1].is_rebinding]
    is_own = any(change.path == of_instance and change.is_rebinding for change in module.changes)
    if state.is_container and by_instance and not is_own:
        return f"{state.owner}.{state.name} is one for all instances, and {_where(by_instance)} changes it"
    return ""


def _where(changes: list[tuple[Module, Change]]) -> str:
    module, change = changes[0]
    return f"{module.functions[change.function].name} ({module.file}:{change.line})"


def _stateful_class(tree: Tree, path: AccessPath | None) -> str:
    """The name of the class that a call of this path makes, if its instances change; "" otherwise."""
    return _stateful(tree, tree.resolve(path)) if path is not None and path.is_call else ""


def _stateful(tree: Tree, target: Target) -> str:
    """The name of a target's class, if its instances change; "" if they are values."""
    if target.kind is not SymbolKind.INSTANCE:
        return target.path.parent.name if target.path.is_call and target.path.parent.name in _OURS else ""
    classes = [known for known in map(tree.class_of, tree.lineage(target)) if known is not None]
    if classes[0].is_frozen:
        return ""
    is_holder = any(matches_glob(known.name, *_HOLDERS) for known in classes)
    return classes[0].name if is_holder or any(known.changes_itself for known in classes) else ""


def _made_once(tree: Tree, module: Module) -> Iterator[Location]:
    """Functions without parameters that cache what they make: singletons."""
    for function in module.functions:
        if function.parameters or _MEMOS.isdisjoint(function.decorator_names):
            continue
        kind = _stateful(tree, tree.resolve(function.returns)) if function.returns else ""
        problem = f"{function.name} makes one {kind} and gives it to all users" if kind else ""
        yield Location(module, function.line, function.column, function.name, problem)


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

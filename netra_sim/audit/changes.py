"""Code that changes state which outlives a call: assignments, methods that change their object, and patches."""

import ast
from collections.abc import Iterator

from netra_sim.audit.expressions import Scope, is_dotted_name, path_of
from netra_sim.audit.facts import Change, Patch
from netra_sim.audit.paths import AccessPath, ContainerOf, Known, Op, Unknown, dotted, is_builtin, is_shared

_MUTATORS = frozenset({
    "append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft",
    "remove", "reverse", "rotate", "setdefault", "sort", "subtract", "update", "difference_update",
    "intersection_update",
})  # fmt: skip
_SETTERS = ("setattr", "delattr", "__setattr__", "__delattr__")
_NEST = (dotted("nest_asyncio.apply"), dotted("nest_asyncio2.apply"))


def place_of(node: ast.expr, scope: Scope) -> AccessPath | None:
    """The path of what an assignment to this expression changes; None for what is local or unknown."""
    match node:
        case ast.Name(id=name):
            return _place_of_name(name, scope)
        case ast.Attribute():
            base = path_of(node.value, scope)
            is_vague = base is None or isinstance(base, Unknown) or is_builtin(base)
            if is_vague and isinstance(node.value, ast.Name | ast.Attribute):
                base = place_of(node.value, scope) or base
            if base is None or isinstance(base, Unknown | ContainerOf) or is_builtin(base):
                return None
            return base.then(node.attr)
        case ast.Subscript():
            return place_of(node.value, scope)
        case ast.Call():
            path = path_of(node, scope)
            return path if path and path.name == "__dict__" else None
    return None


def _place_of_name(name: str, scope: Scope) -> AccessPath | None:
    if name in scope.globals:
        return scope.module.then(name)
    found = scope.find(name)
    if scope.is_local(name):  # a local name for something that others hold
        is_fresh = found.steps[-1] in (Op.CALL, Op.ELEMENT)
        return found if is_shared(found) and not is_fresh else None
    is_elsewhere = is_shared(found) and len(found.steps) > 1 and not found.is_call
    return found if is_elsewhere else scope.module.then(name)


def changes_by_target(target: ast.expr, scope: Scope) -> Iterator[Change | Patch]:
    """What an assignment to a target, or its deletion, changes."""
    path = place_of(target, scope)
    if path and (not isinstance(target, ast.Name) or target.id in scope.globals):
        yield _change(path, target, scope, is_rebinding=not isinstance(target, ast.Subscript))
        if isinstance(target, ast.Attribute) or path.name == "__dict__":
            yield from _patch_of(path, target, scope)
    if isinstance(target, ast.Subscript) and path == Known(("sys", "modules")):
        module = _dotted(target.slice)
        if module:
            yield from _patch(module, "", target, scope)


def changes_by_call(node: ast.Call, called: AccessPath, scope: Scope) -> Iterator[Change | Patch]:
    """What a call changes: with ``setattr``, with a test library, or as a method that changes its object."""
    name = called.name
    if name in _SETTERS and node.args:
        yield from _by_setter(node, scope)
    elif name == "patch" and node.args:
        target = _dotted(node.args[0])
        if target:
            yield from _patch_of(target, node, scope)
    elif name in ("object", "multiple", "dict") and node.args and called.parent.name.endswith("patch"):
        yield from _by_patcher(node, name, scope)
    elif called in _NEST:
        yield from _patch_of(called, node, scope)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
        path = place_of(node.func.value, scope)
        if path:
            yield _change(path, node, scope)
            if path.name == "__dict__":
                yield from _patch_of(path, node, scope)


def _by_setter(node: ast.Call, scope: Scope) -> Iterator[Change | Patch]:
    """``setattr(owner, name, value)``, or ``monkeypatch.setattr("owner.name", value)``."""
    target = _dotted(node.args[0])
    if target:
        yield from _patch_of(target, node, scope)
        return
    owner = path_of(node.args[0], scope)
    if owner and not isinstance(owner, Unknown):
        member = _dotted(node.args[1]) if len(node.args) > 1 else None
        if member:
            path = owner.then(*member.steps)
            yield _change(path, node, scope, is_rebinding=True)
            yield from _patch_of(path, node, scope)
        else:
            yield _change(owner.then("<name>"), node, scope, is_rebinding=True)
            yield from _patch(owner, "", node, scope)


def _by_patcher(node: ast.Call, name: str, scope: Scope) -> Iterator[Change | Patch]:
    """``patch.object(owner, "name")``, ``patch.multiple(owner, name=...)`` or ``patch.dict(owner, name=...)``."""
    owner = _dotted(node.args[0]) or path_of(node.args[0], scope)
    if owner is None or isinstance(owner, Unknown):
        return
    owner = owner.parent if owner.name == "__dict__" else owner
    if name == "object":
        named = [_dotted(one) for one in node.args[1:2]]
        members = [one.name if one else "" for one in named]
    else:
        members = [one.arg for one in node.keywords if one.arg]
    for member in members or [""]:
        yield from _patch(owner, member, node, scope)


def _dotted(node: ast.expr) -> Known | None:
    """The path that a literal text names, if it could be one."""
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return dotted(text) if is_dotted_name(text) else None


def _change(path: AccessPath, node: ast.expr, scope: Scope, *, is_rebinding: bool = False) -> Change:
    return Change(path, node.lineno, node.col_offset + 1, scope.function, is_rebinding)


def _patch_of(path: AccessPath, node: ast.expr, scope: Scope) -> Iterator[Patch]:
    """The patch of what a path leads to; a change of ``__dict__`` patches its owner."""
    owner = path.parent if len(path.steps) > 1 else None
    yield from _patch(owner, "" if path.name == "__dict__" else path.name, node, scope)


def _patch(owner: AccessPath | None, name: str, node: ast.expr, scope: Scope) -> Iterator[Patch]:
    """The patch, unless its owner is an object of the module's own classes."""
    own = scope.module.steps
    if not isinstance(owner, Known) or owner.steps[: len(own)] != own or Op.CALL not in owner.steps:
        yield Patch(owner, name, node.lineno, node.col_offset + 1, scope.function)

"""Assignments: which parts they have, and what the names of a module or class hold."""

import ast
from collections.abc import Iterator

from netra_sim.audit.expressions import Scope, path_of
from netra_sim.audit.facts import SharedName
from netra_sim.audit.paths import NONE, AccessPath, Op

_CONTAINERS = frozenset({
    "dict", "list", "set", "defaultdict", "deque", "OrderedDict", "Counter", "bytearray", "WeakSet",
    "WeakValueDictionary", "WeakKeyDictionary",
})  # fmt: skip
_PRIMITIVES = frozenset(
    {"Queue", "PriorityQueue", "LifoQueue", "SimpleQueue", "Event", "Condition", "Future", "Barrier"}
)


def parts(
    target: ast.expr, path: AccessPath | None, value: ast.expr | None, scope: Scope
) -> Iterator[tuple[ast.expr, AccessPath | None, ast.expr | None]]:
    """The names, attributes and elements that an assignment binds, each with the path and expression of its value.

    The path of a later part sees the names that the caller has bound for earlier ones.

    Args:
        target: the left side.
        path: path of the right side.
        value: the right side, if the code has it as an expression.
        scope: the scope of the assignment.
    """
    match target:
        case ast.Starred():
            yield from parts(target.value, None, None, scope)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for number, inner in enumerate(targets):
                if len(values) == len(targets):
                    part = values[number]
                    yield from parts(inner, path_of(part, scope), part, scope)
                else:
                    yield from parts(inner, _item_value(path) if number == 1 else None, None, scope)
        case _:
            yield target, path, value


def _item_value(path: AccessPath | None) -> AccessPath | None:
    """The path of the values that ``for key, value in mapping.items()`` gives."""
    match path.steps if path else ():
        case (*mapping, "items", Op.CALL, Op.ELEMENT) if path:
            return path.with_steps((*mapping, Op.ELEMENT))
    return None


def bind_name(name: str, path: AccessPath | None, value: ast.expr | None, scope: Scope) -> None:
    """Have a name mean the value at a path from here on."""
    is_wrapped = path is not None and path.is_call and scope.names.get(name) == scope.path.then(name)
    if is_wrapped:
        return  # ``f = decorator(f)`` leaves f what it is
    if path == NONE or (path is None and value is None):
        scope.names.setdefault(name, None)
    else:
        scope.names[name] = path


def shared_name(target: ast.Name, path: AccessPath | None, value: ast.expr | None, scope: Scope) -> SharedName:
    """What is known of a name of a module or a class."""
    made = path_of(value, scope)
    return SharedName(
        target.id,
        scope.symbol if scope.is_class else "",
        target.lineno,
        target.col_offset + 1,
        path,
        _is_container(value, made),
        _is_primitive(made),
    )


def _is_container(node: ast.expr | None, path: AccessPath | None) -> bool:
    if isinstance(node, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and path is not None and path.is_call and path.parent.name in _CONTAINERS


def _is_primitive(path: AccessPath | None) -> bool:
    match path.steps if path else ():
        case ("asyncio" | "queue" | "threading", str(name), Op.CALL):
            return name in _PRIMITIVES
    return False

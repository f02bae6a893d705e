"""The ``try`` and ``with`` statements that swallow every failure of their body."""

import ast

from netra_sim.audit.expressions import Scope, path_of
from netra_sim.audit.paths import ContainerOf, Known, dotted

_BROAD = frozenset({Known(("builtins", "Exception")), Known(("builtins", "BaseException"))})
_LOGS_ONLY = frozenset({
    "debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print", "print_exc",
    "format_exc",
})  # fmt: skip
_SUPPRESS = dotted("contextlib.suppress")
NO_HANDLER = (0, 0)
"""Stands for a position where no broad handler swallows a failure."""


def swallower(node: ast.Try, scope: Scope) -> tuple[int, int] | None:
    """The position of the handler that swallows every failure of a try.

    Returns:
        Line and column; `NO_HANDLER` if the handler takes every failure and acts on it, and so hides it from handlers
        further out; None if there is no broad handler, or it raises.
    """
    for handler in node.handlers:
        if not is_broad(handler.type, scope):
            continue
        if any(isinstance(one, ast.Raise) for one in _own_nodes(handler.body)):
            return None
        return NO_HANDLER if _acts(handler) else (handler.lineno, handler.col_offset + 1)
    return None


def is_broad(node: ast.expr | None, scope: Scope) -> bool:
    """Whether an ``except`` clause catches every exception."""
    if node is None:
        return True
    if isinstance(node, ast.Tuple):
        return any(is_broad(one, scope) for one in node.elts)
    path = path_of(node, scope)
    return (path.of if isinstance(path, ContainerOf) else path) in _BROAD


def swallowing_with(item: ast.withitem, scope: Scope) -> bool:
    """Whether a context is ``contextlib.suppress`` for every exception."""
    call = item.context_expr
    if not isinstance(call, ast.Call) or path_of(call.func, scope) != _SUPPRESS:
        return False
    return any(is_broad(one, scope) for one in call.args)


def _acts(handler: ast.ExceptHandler) -> bool:
    """Whether a handler does more than log a failure, such as return that it failed, count it, or close."""
    for node in _own_nodes(handler.body):
        if isinstance(node, ast.Return) and node.value is not None and not _reports_success(node.value):
            return True
        if isinstance(node, ast.Call) and not _is_logging(node):
            return True
        if isinstance(node, ast.AugAssign | ast.Yield):
            return True
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant | ast.JoinedStr):
            return True
        if isinstance(node, ast.Assign) and not _reports_success(node.value):
            return True
    return False


def _reports_success(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or node.value is True)


def _is_logging(node: ast.Call) -> bool:
    function = node.func
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return name in _LOGS_ONLY or name in ("str", "repr", "type", "len", "format", "getLogger")


def _own_nodes(body: list[ast.stmt]) -> list[ast.AST]:
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
    return found

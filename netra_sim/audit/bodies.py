"""Fingerprints of function bodies: two that differ in the names of their own variables, or in prose, are one body."""

import ast
import hashlib

MIN_LINES = 5
"""Bodies of fewer lines, not counting the docstring, are alike by chance."""

MIN_NODES = 35
"""Bodies of fewer syntax nodes are lists of simple assignments, or calls that hand arguments through."""

_LEFT_OUT = frozenset({"ctx", "annotation", "returns", "type_comment", "type_params", "kind"})


def fingerprint(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, int]:
    """The digest of a function's defaults and body, and its number of lines; ("", lines) if it is too small."""
    body = without_docstring(node.body)
    if not body:
        return "", 0
    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
    if lines < MIN_LINES:
        return "", lines
    own = {arg.arg for arg in _arguments(node.args)}
    own |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    numbers: dict[str, str] = {}
    parts: list[str] = []
    for statement in (*node.args.defaults, *(one for one in node.args.kw_defaults if one), *body):
        _write(statement, own, numbers, parts)
    if sum(part[0] == "(" for part in parts if part) < MIN_NODES:
        return "", lines
    return hashlib.blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), lines


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that do something."""
    first = body[0] if body else None
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_docstring else body


def is_trivial(body: list[ast.stmt]) -> bool:
    """Whether a function only declares: ``...``, ``pass``, or ``raise NotImplementedError``."""
    rest = without_docstring(body)
    return all(isinstance(one, ast.Pass | ast.Raise) or _is_ellipsis(one) for one in rest)


def _is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


def _write(node: ast.AST, own: set[str], numbers: dict[str, str], parts: list[str]) -> None:
    """Names of the function's own are numbered in the order in which they come."""
    if isinstance(node, ast.Name):
        name = numbers.setdefault(node.id, f"%{len(numbers)}") if node.id in own else node.id
        parts.append(f"({name}")
        return
    parts.append(f"({type(node).__name__}")
    for name in node._fields:
        if name in _LEFT_OUT:
            continue
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            _write(value, own, numbers, parts)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, ast.AST):
                    _write(one, own, numbers, parts)
                else:
                    parts.append(repr(one))
            parts.append("]")
        elif name != "arg" or isinstance(node, ast.keyword):
            parts.append(repr(value))

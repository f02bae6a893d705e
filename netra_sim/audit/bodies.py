"""Fingerprints of function bodies; they ignore the names of local variables, docstrings and comments."""

import ast
import hashlib

MIN_LINES = 5
"""Bodies with fewer lines, without the docstring, are alike by chance."""

MIN_NODES = 35
"""Bodies with fewer syntax nodes are simple assignments, or calls that pass arguments through."""

_LEFT_OUT = frozenset({"ctx", "annotation", "returns", "type_comment", "type_params", "kind"})


def fingerprint(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, int]:
    """The digest of a function's defaults and body, and its number of lines; the digest of a small body is ""."""
    body = without_docstring(node.body)
    if not body:
        return "", 0
    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
    if lines < MIN_LINES:
        return "", lines
    text = _Text({argument.arg for argument in _arguments(node.args)})
    for statement in (*node.args.defaults, *(one for one in node.args.kw_defaults if one), *body):
        text.write(statement)
    if text.nodes < MIN_NODES:
        return "", lines
    return hashlib.blake2b(text.joined().encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), lines


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a body after its docstring."""
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


class _Text:
    """Syntax nodes as text, with numbers for the names of parameters and local variables."""

    def __init__(self, parameters: set[str]) -> None:
        self.nodes = 0
        self._own = parameters
        self._parts: list[str] = []
        self._names: list[int] = []

    def write(self, node: ast.AST) -> None:
        """Add a node and the nodes in it."""
        self.nodes += 1
        if isinstance(node, ast.Name):
            self._names.append(len(self._parts))
            self._parts.append(node.id)
            if isinstance(node.ctx, ast.Store):
                self._own.add(node.id)
            return
        self._parts.append(f"({type(node).__name__}")
        for name in node._fields:
            if name in _LEFT_OUT:
                continue
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.write(value)
            elif isinstance(value, list):
                for one in value:
                    if isinstance(one, ast.AST):
                        self.write(one)
                    else:
                        self._parts.append(repr(one))
                self._parts.append("]")
            elif name != "arg" or isinstance(node, ast.keyword):
                self._parts.append(repr(value))

    def joined(self) -> str:
        """The text; parameters and local variables are numbered in order of appearance."""
        numbers: dict[str, str] = {}
        for index in self._names:
            name = self._parts[index]
            self._parts[index] = f"({numbers.setdefault(name, f'%{len(numbers)}') if name in self._own else name}"
        return "\x00".join(self._parts)

"""Functions, lambdas and classes: their facts, and the scopes of their bodies."""

import ast
from collections.abc import Sequence

from netra_sim.audit.bodies import fingerprint, is_trivial
from netra_sim.audit.expressions import Scope, annotated, path_of
from netra_sim.audit.facts import Body, Class, Function
from netra_sim.audit.paths import AccessPath, ContainerOf, Known, Op, Unknown, is_builtin

_BOOL = Known(("builtins", "bool", Op.CALL))
_STATIC, _CLASS_METHOD = Known(("builtins", "staticmethod")), Known(("builtins", "classmethod"))
_FROZEN_BASES = frozenset({
    "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "Protocol", "Exception",
    "BaseException",
})  # fmt: skip


def function_of(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Function:
    """The facts of a function that a scope defines."""
    returns = annotated(node.returns, scope)
    return Function(
        scope.symbol_of(node.name),
        node.lineno,
        node.col_offset + 1,
        scope.function,
        scope.symbol if scope.is_class else "",
        isinstance(node, ast.AsyncFunctionDef),
        tuple(one.arg for one in _parameters(node.args)),
        _decorators(node.decorator_list, scope),
        returns=returns,
        returns_bool=returns == _BOOL,
        is_trivial=is_trivial(node.body),
    )


def lambda_of(node: ast.Lambda, scope: Scope) -> Function:
    """The facts of a lambda."""
    parameters = tuple(one.arg for one in node.args.args)
    return Function(
        scope.symbol_of("<lambda>"), node.lineno, node.col_offset + 1, scope.function, "", False, parameters
    )


def body_of(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Body | None:
    """The digest of a function's body; None if it is too small, or the function a special method."""
    digest, lines = fingerprint(node)
    is_special = node.name.startswith("__") and node.name.endswith("__")
    return Body(digest, name, node.lineno, node.col_offset + 1, lines) if digest and not is_special else None


def class_of(node: ast.ClassDef, scope: Scope) -> Class:
    """The facts of a class that a scope defines, without its attributes and methods."""
    bases = tuple(path_of(base.value if isinstance(base, ast.Subscript) else base, scope) for base in node.bases)
    return Class(
        scope.symbol_of(node.name),
        node.lineno,
        node.col_offset + 1,
        bases,
        _decorators(node.decorator_list, scope),
        scope.function >= 0 or scope.is_class,
        _is_frozen(node, bases),
    )


def bind_parameters(
    arguments: ast.arguments, inner: Scope, outer: Scope, function: Function, owner: Class | None
) -> None:
    """Bind the parameters of a function in its scope.

    Args:
        arguments: the parameters.
        inner: the scope of the function.
        outer: the scope that defines it.
        function: its facts.
        owner: the class that it is a method of.
    """
    positional = [*arguments.posonlyargs, *arguments.args]
    for one, default in zip(_parameters(arguments), _defaults(arguments), strict=True):
        given = path_of(default, outer)
        is_telling = given is not None and not isinstance(given, Unknown) and not is_builtin(given)
        inner.names[one.arg] = given if is_telling else annotated(one.annotation, outer)
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            element = annotated(star.annotation, outer)
            inner.names[star.arg] = ContainerOf(element) if element else None
    if owner is None or not positional or _STATIC in function.decorators:
        return
    is_class = _CLASS_METHOD in function.decorators or inner.path.name in ("__new__", "__init_subclass__")
    inner.names[positional[0].arg] = outer.path if is_class else outer.path.then(Op.CALL)
    if owner.bases:
        inner.names["super"] = owner.bases[0]


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _defaults(arguments: ast.arguments) -> list[ast.expr | None]:
    """The default of each parameter, in the order of `_parameters`."""
    missing = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return [*[None] * missing, *arguments.defaults, *arguments.kw_defaults]


def _decorators(nodes: Sequence[ast.expr], scope: Scope) -> tuple[AccessPath | None, ...]:
    return tuple(path_of(one.func if isinstance(one, ast.Call) else one, scope) for one in nodes)


def _is_frozen(node: ast.ClassDef, bases: Sequence[AccessPath | None]) -> bool:
    """Whether instances of a class are values that do not change."""
    names = [base.name for base in bases if base]
    if any(name in _FROZEN_BASES or name.endswith(("Error", "Exception")) for name in names):
        return True
    keywords = [*node.keywords]
    for decorator in node.decorator_list:
        keywords += decorator.keywords if isinstance(decorator, ast.Call) else []
    return any(one.arg == "frozen" and isinstance(one.value, ast.Constant) and one.value.value for one in keywords)

"""Functions, lambdas and classes: what is noted of them, and the scopes in which their bodies are walked."""

import ast
from typing import TYPE_CHECKING

from netra_sim.audit.bodies import fingerprint, is_trivial
from netra_sim.audit.changes import is_frozen
from netra_sim.audit.facts import Body, Class, Function
from netra_sim.audit.paths import Scope, annotated, path_of

if TYPE_CHECKING:
    from netra_sim.audit.extraction import Extractor


def function(walk: "Extractor", node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """A function: its decorators and defaults now, its body later."""
    scope, owner = walk.scope, walk.scope.owner
    for decorator in node.decorator_list:
        walk.visit(decorator)
    for default in (*node.args.defaults, *node.args.kw_defaults):
        walk.value(default)
    name = f"{scope.prefix}.{node.name}".removeprefix(f"{walk.module.name}.")
    decorators = [path_of(one.func if isinstance(one, ast.Call) else one, scope) for one in node.decorator_list]
    index = _add_function(walk, node, name, owner, decorators)
    function = walk.module.functions[index]
    if owner:
        walk.module.classes[owner].methods[node.name] = index
    scope.names[node.name] = f"{scope.prefix}.{node.name}"
    inner = Scope(scope.parent if owner else scope, f"{scope.prefix}.{node.name}", index)
    _bind_parameters(walk, node, inner, owner, decorators)
    digest, lines = fingerprint(node)
    if digest and not (node.name.startswith("__") and node.name.endswith("__")):
        walk.module.bodies.append(Body(digest, function.name, node.lineno, node.col_offset + 1, lines))
    walk.later.append(lambda: walk.walk_function(index, inner, node.body))


def _add_function(
    walk: "Extractor", node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, owner: str, decorators: list[str]
) -> int:
    arguments = node.args
    parameters = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    returns = annotated(node.returns, walk.scope)
    function = Function(
        name,
        node.lineno,
        node.col_offset + 1,
        walk.function,
        owner,
        isinstance(node, ast.AsyncFunctionDef),
        tuple(parameters),
        tuple(decorators),
        returns=returns,
        returns_bool=returns == "builtins.bool()",
        is_trivial=is_trivial(node.body),
    )
    walk.module.functions.append(function)
    index = len(walk.module.functions) - 1
    walk.loaded[index] = set()
    return index


def _bind_parameters(
    walk: "Extractor", node: ast.FunctionDef | ast.AsyncFunctionDef, inner: Scope, owner: str, decorators: list[str]
) -> None:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([one.arg for one in reversed(positional)], reversed(arguments.defaults), strict=False))
    defaults |= {
        one.arg: value for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    }
    for one in (*positional, *arguments.kwonlyargs):
        path = annotated(one.annotation, walk.scope)
        default = path_of(defaults.get(one.arg), walk.scope)
        if default and not default.startswith(("builtins.", "?")):
            path = default
        inner.names[one.arg] = path
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            element = annotated(star.annotation, walk.scope)
            inner.names[star.arg] = f"*{element}" if element else ""
    if owner and positional and "builtins.staticmethod" not in decorators:
        is_class = "builtins.classmethod" in decorators or node.name in ("__new__", "__init_subclass__")
        inner.names[positional[0].arg] = f"{walk.module.name}.{owner}" + ("" if is_class else "()")
        bases = walk.module.classes[owner].bases
        if bases:
            inner.names["super"] = bases[0]


def lambda_(walk: "Extractor", node: ast.Lambda, handed_to: str = "") -> None:
    """A lambda: a function without a name."""
    name = f"{walk.scope.prefix}.<lambda>".removeprefix(f"{walk.module.name}.")
    parameters = tuple(one.arg for one in node.args.args)
    function = Function(name, node.lineno, node.col_offset + 1, walk.function, "", False, parameters)
    function.callback_of = [handed_to] if handed_to else []
    walk.module.functions.append(function)
    index = len(walk.module.functions) - 1
    walk.loaded[index] = set()
    for default in (*node.args.defaults, *node.args.kw_defaults):
        walk.value(default)
    inner = Scope(walk.scope, f"{walk.scope.prefix}.<lambda>", index)
    inner.names.update(dict.fromkeys(parameters, ""))
    walk.later.append(lambda: walk.walk_function(index, inner, [node.body]))


def class_(walk: "Extractor", node: ast.ClassDef) -> None:
    """A class; its body runs at once."""
    for part in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
        walk.value(part)
    outer, prefix = walk.scope, f"{walk.scope.prefix}.{node.name}"
    name = prefix.removeprefix(f"{walk.module.name}.")
    bases = tuple(path_of(base.value if isinstance(base, ast.Subscript) else base, outer) for base in node.bases)
    decorators = tuple(path_of(one.func if isinstance(one, ast.Call) else one, outer) for one in node.decorator_list)
    frozen = is_frozen(node, bases)
    is_nested = walk.function >= 0 or bool(outer.owner)
    walk.module.classes[name] = Class(name, node.lineno, node.col_offset + 1, bases, decorators, is_nested, frozen)
    outer.names[node.name] = prefix
    walk.scope = Scope(outer, prefix, walk.function, name)
    walk.body(node.body)
    attributes = walk.module.classes[name].attributes
    for own, path in walk.scope.names.items():
        attributes.setdefault(own, path)
    walk.scope = outer

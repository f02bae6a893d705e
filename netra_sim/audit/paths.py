"""Where an expression's value comes from, within one module: names, aliases and annotations as paths."""

import ast
import builtins
from collections.abc import Mapping

BUILTINS = frozenset(dir(builtins))

_CONTAINERS = frozenset({
    "list", "set", "frozenset", "tuple", "deque", "Sequence", "MutableSequence", "Iterable", "Iterator",
    "AsyncIterator", "AsyncIterable", "Collection", "Set", "MutableSet", "List", "FrozenSet", "Tuple", "Deque",
    "WeakSet", "dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict",
    "WeakValueDictionary", "AsyncGenerator", "Generator", "ContextManager", "AsyncContextManager",
})  # fmt: skip
_TRANSPARENT = frozenset({"Optional", "Annotated", "Final", "ClassVar", "Required", "NotRequired", "Awaitable"})
_HOLDERS = frozenset({"functools.partial", "functools.partialmethod", "types.MethodType"})


class Scope:
    """The names of a module, a function or a class body, and where to look for the others.

    Attributes:
        names: paths by name; "" for a name that is bound to something unknown.
        owner: name of the class whose ``self`` methods of this scope have, or "".
    """

    __slots__ = ("function", "names", "owner", "parent", "prefix")

    def __init__(self, parent: "Scope | None", prefix: str, function: int, owner: str = "") -> None:
        self.parent = parent
        self.prefix = prefix
        self.function = function
        self.owner = owner
        self.names: dict[str, str] = {}

    def find(self, name: str) -> str:
        """The path of a name."""
        scope: Scope | None = self
        while scope is not None:
            path = scope.names.get(name)
            if path is not None:
                return path or f"?{name}"
            scope = scope.parent
        return f"builtins.{name}" if name in BUILTINS else f"?{name}"

    def is_bound_here(self, name: str) -> bool:
        """Whether a name is one of this function's own, or of a function around it."""
        scope: Scope | None = self
        while scope is not None and scope.function >= 0:
            if name in scope.names:
                return True
            scope = scope.parent
        return False


def path_of(node: ast.AST | None, scope: Scope) -> str:
    """The path of an expression's value; "" if nothing at all can be told."""
    kind = type(node)
    if kind is ast.Name:
        return scope.find(node.id)  # type: ignore[union-attr]
    if kind is ast.Attribute:
        base = path_of(node.value, scope)  # type: ignore[union-attr]
        return f"{base}.{node.attr}" if base else f"?{node.attr}"  # type: ignore[union-attr]
    if kind is ast.Call:
        return _of_call(node, scope)  # type: ignore[arg-type]
    if kind is ast.Await or kind is ast.Starred or kind is ast.NamedExpr:
        return path_of(node.value, scope)  # type: ignore[union-attr]
    if kind is ast.Yield or kind is ast.YieldFrom:
        called = path_of(node.value, scope)  # type: ignore[union-attr]
        return called if called.endswith("()") else ""  # coroutines of before ``await`` yield what they wait for
    if kind is ast.Subscript:
        base = path_of(node.value, scope)  # type: ignore[union-attr]
        key = node.slice  # type: ignore[union-attr]
        if base.startswith("?") and isinstance(key, ast.Constant) and isinstance(key.value, str):
            return f"?{key.value}" if key.value.isidentifier() else "?"
        return f"{base}[]" if base else ""
    if kind is ast.BoolOp or kind is ast.IfExp:
        parts = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]  # type: ignore[union-attr]
        paths = [path for path in (path_of(part, scope) for part in parts) if path and path != "builtins.None"]
        return next((path for path in paths if not path.startswith("?")), paths[0] if paths else "")
    if kind is ast.Constant:
        return "builtins.None" if node.value is None else f"builtins.{type(node.value).__name__}()"  # type: ignore[union-attr]
    if kind is ast.JoinedStr:
        return "builtins.str()"
    if kind in (ast.List, ast.Set, ast.Tuple):
        elements = {path_of(element, scope) for element in node.elts}  # type: ignore[union-attr]
        only = elements.pop() if len(elements) == 1 else ""
        return f"*{only}" if only else "builtins.list()"
    if kind in (ast.ListComp, ast.SetComp, ast.GeneratorExp):
        only = path_of(node.elt, scope)  # type: ignore[union-attr]
        return f"*{only}" if only else "builtins.list()"
    if kind in (ast.Dict, ast.DictComp):
        return "builtins.dict()"
    return ""


def _of_call(node: ast.Call, scope: Scope) -> str:
    called = path_of(node.func, scope)
    if called == "builtins.staticmethod" and len(node.args) == 1:
        return path_of(node.args[0], scope)
    if called in _HOLDERS and node.args:
        inner = path_of(node.args[0], scope)
        return f"~{inner.lstrip('~')}" if inner else ""
    if called == "typing.cast" and len(node.args) == 2:
        return annotated(node.args[0], scope)
    if called == "builtins.super":
        return f"{scope.find('super')}()" if scope.find("super") != "builtins.super" else ""
    if called.rpartition(".")[2] == "windows_asyncio_safe" and len(node.args) == 1:
        return path_of(node.args[0], scope)
    if called == "builtins.getattr" and len(node.args) >= 2 and isinstance(node.args[1], ast.Constant):
        base, member = path_of(node.args[0], scope), str(node.args[1].value)
        if not member.isidentifier():
            return ""
        return f"{base}.{member}" if base else f"?{member}"
    if called in ("builtins.vars", "builtins.list", "builtins.tuple", "builtins.set", "builtins.sorted") and node.args:
        inner = path_of(node.args[0], scope)
        return f"{inner}.__dict__" if called == "builtins.vars" else inner
    if called == "importlib.import_module" and node.args and isinstance(node.args[0], ast.Constant):
        name = str(node.args[0].value)
        return name if name.replace(".", "").isidentifier() else ""
    return f"{called}()" if called else ""


def annotated(node: ast.AST | None, scope: Scope) -> str:
    """The path of a value that is annotated like this; "" if that does not tell."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError):
            return ""
    if isinstance(node, ast.Name | ast.Attribute):
        path = path_of(node, scope)
        return f"{path}()" if path and path != "builtins.None" and not path.endswith(".Any") else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return annotated(node.left, scope) or annotated(node.right, scope)
    if isinstance(node, ast.Subscript):
        generic = path_of(node.value, scope).rpartition(".")[2].lstrip("?")
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if generic == "Union":
            return next((path for path in (annotated(part, scope) for part in inner) if path), "")
        if generic in _TRANSPARENT:
            return annotated(inner[0], scope)
        if generic in ("type", "Type"):
            return annotated(inner[0], scope).removesuffix("()")
        if generic in _CONTAINERS:
            is_mapping = "dict" in generic.lower() or "Mapping" in generic
            element = annotated(inner[-1 if is_mapping else 0], scope)
            return f"*{element}" if element else ""
        return annotated(node.value, scope)
    return ""


def imported(node: ast.Import | ast.ImportFrom, module: str, is_package: bool) -> tuple[Mapping[str, str], str]:
    """The names that an import binds, with their paths; and the module that ``from`` names, or ""."""
    if isinstance(node, ast.Import):
        whole = {alias.asname or alias.name.partition(".")[0]: alias for alias in node.names}
        return {name: alias.name if alias.asname else name for name, alias in whole.items()}, ""
    source = node.module or ""
    if node.level:
        package = module.split(".") if is_package else module.split(".")[:-1]
        package = package[: len(package) - (node.level - 1)] if node.level > 1 else package
        source = ".".join([*package, source] if source else package)
    names = {alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names if alias.name != "*"}
    return names, source

"""The access path of an expression within one module: names, aliases and annotations."""

import ast
import builtins
from collections.abc import Mapping

from netra_sim.audit.paths import (
    NONE,
    AccessPath,
    ContainerOf,
    HolderOf,
    Known,
    Op,
    Unknown,
    dotted,
)

BUILTINS = frozenset(dir(builtins))

_CONTAINERS = frozenset({
    "list", "set", "frozenset", "tuple", "deque", "Sequence", "MutableSequence", "Iterable", "Iterator",
    "AsyncIterator", "AsyncIterable", "Collection", "Set", "MutableSet", "List", "FrozenSet", "Tuple", "Deque",
    "WeakSet", "dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict",
    "WeakValueDictionary", "AsyncGenerator", "Generator", "ContextManager", "AsyncContextManager",
})  # fmt: skip
_TRANSPARENT = frozenset({"Optional", "Annotated", "Final", "ClassVar", "Required", "NotRequired", "Awaitable"})
_LIST = Known(("builtins", "list", Op.CALL))
_DICT = Known(("builtins", "dict", Op.CALL))
_TEXT = Known(("builtins", "str", Op.CALL))


class Scope:
    """The names of a module, a function or a class body, and the scope around it.

    Args:
        module: path of the module.
        symbol: the name within the module, such as ``Hub.send``; "" for the module itself.
        parent: the scope in which Python looks for other names; None for a module.
        function: index of the function that contains this code; -1 at module level.
        is_class: whether this is the body of a class.

    Attributes:
        path: path of the module, function or class.
        names: paths by name; None for a name that is bound to something unknown.
        globals: names that the function declares as global.
        nonlocals: names that the function declares as nonlocal.
    """

    __slots__ = ("function", "globals", "is_class", "module", "names", "nonlocals", "parent", "path", "symbol")

    def __init__(
        self, module: Known, symbol: str = "", parent: "Scope | None" = None, function: int = -1, is_class: bool = False
    ) -> None:
        self.module = module
        self.symbol = symbol
        self.path = module.then(*symbol.split(".")) if symbol else module
        self.parent = parent
        self.function = function
        self.is_class = is_class
        self.names: dict[str, AccessPath | None] = {}
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    def symbol_of(self, name: str) -> str:
        """The name within the module of something that this scope defines."""
        return f"{self.symbol}.{name}" if self.symbol else name

    def of_function(self, name: str, function: int) -> "Scope":
        """The scope of a function that this scope defines; a method does not see the names of its class."""
        return Scope(self.module, self.symbol_of(name), self.parent if self.is_class else self, function)

    def of_class(self, name: str) -> "Scope":
        """The scope of a class that this scope defines; ``global`` holds there as in the function around it."""
        inner = Scope(self.module, self.symbol_of(name), self, self.function, is_class=True)
        inner.globals, inner.nonlocals = self.globals, self.nonlocals
        return inner

    def find(self, name: str) -> AccessPath:
        """The path of a name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name] or Unknown((name,))
            scope = scope.parent
        return Known(("builtins", name)) if name in BUILTINS else Unknown((name,))

    def is_local(self, name: str) -> bool:
        """Whether this function or a function around it binds a name."""
        scope: Scope | None = self
        while scope is not None and scope.function >= 0:
            if name in scope.names:
                return True
            scope = scope.parent
        return False


def path_of(node: ast.AST | None, scope: Scope) -> AccessPath | None:
    """The path of an expression's value; None if the expression says nothing about it."""
    match node:
        case ast.Name():
            return scope.find(node.id)
        case ast.Attribute():
            return _member(path_of(node.value, scope), node.attr)
        case ast.Call():
            return _of_call(node, scope)
        case ast.Constant():
            return NONE if node.value is None else Known(("builtins", type(node.value).__name__, Op.CALL))
        case ast.Await() | ast.Starred() | ast.NamedExpr():
            return path_of(node.value, scope)
        case ast.Subscript():
            return _of_subscript(node, scope)
        case ast.JoinedStr():
            return _TEXT
        case ast.Dict() | ast.DictComp():
            return _DICT
        case ast.List() | ast.Set() | ast.Tuple():
            return _of_elements([path_of(element, scope) for element in node.elts])
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return _of_elements([path_of(node.elt, scope)])
        case ast.BoolOp():
            return _of_alternatives([path_of(part, scope) for part in node.values])
        case ast.IfExp():
            return _of_alternatives([path_of(part, scope) for part in (node.body, node.orelse)])
        case ast.Yield() | ast.YieldFrom():
            called = path_of(node.value, scope)  # coroutines that are older than ``await`` yield what they wait for
            return called if called and called.is_call else None
    return None


def _member(base: AccessPath | None, name: str) -> AccessPath:
    return base.then(name) if base else Unknown((name,))


def _of_subscript(node: ast.Subscript, scope: Scope) -> AccessPath | None:
    base, key = path_of(node.value, scope), node.slice
    if isinstance(base, Unknown) and isinstance(key, ast.Constant) and isinstance(key.value, str):
        return Unknown((key.value if key.value.isidentifier() else Op.ELEMENT,))
    return base.then(Op.ELEMENT) if base else None


def _of_elements(elements: list[AccessPath | None]) -> AccessPath:
    element = elements[0] if len(set(elements)) == 1 else None
    return ContainerOf(element) if element else _LIST


def _of_alternatives(alternatives: list[AccessPath | None]) -> AccessPath | None:
    """The first path that is not unknown, or else the first one."""
    paths = [path for path in alternatives if path and path != NONE]
    known = [path for path in paths if not isinstance(path, Unknown)]
    return (known or paths or [None])[0]


def _of_call(node: ast.Call, scope: Scope) -> AccessPath | None:
    called, arguments = path_of(node.func, scope), node.args
    if called is None:
        return None
    match called, arguments:
        case Known(("builtins", "staticmethod")), [function]:
            return path_of(function, scope)
        case Known(("functools", "partial" | "partialmethod") | ("types", "MethodType")), [function, *_]:
            return _held(path_of(function, scope))
        case Known(("typing", "cast")), [annotation, _]:
            return annotated(annotation, scope)
        case Known(("builtins", "super")), _:
            return None  # in a method of a class with bases, ``super`` is bound to the first of them
        case Known(("builtins", "getattr")), [owner, ast.Constant(value=name), *_]:
            return _member(path_of(owner, scope), str(name)) if str(name).isidentifier() else None
        case Known(("builtins", "vars")), [owner, *_]:
            return _member(path_of(owner, scope), "__dict__")
        case Known(("builtins", "list" | "tuple" | "set" | "sorted")), [container, *_]:
            return path_of(container, scope)
        case Known(("importlib", "import_module")), [ast.Constant(value=name), *_]:
            return dotted(str(name)) if is_dotted_name(str(name)) else None
        case _, [function] if called.name == "windows_asyncio_safe":
            return path_of(function, scope)
    return called.then(Op.CALL)


def _held(path: AccessPath | None) -> AccessPath | None:
    return path if path is None or isinstance(path, HolderOf) else HolderOf(path)


def is_dotted_name(text: str) -> bool:
    """Whether a text could be the dotted name of a module or of something in it."""
    return all(part.isidentifier() for part in text.split("."))


def annotated(node: ast.AST | None, scope: Scope) -> AccessPath | None:
    """The path of a value with this annotation; None if the annotation says nothing about it."""
    match node:
        case ast.Constant(value=str(text)):
            try:
                return annotated(ast.parse(text, mode="eval").body, scope)
            except (SyntaxError, ValueError, RecursionError):
                return None
        case ast.Name() | ast.Attribute():
            path = path_of(node, scope)
            return path.then(Op.CALL) if path and path != NONE and path.name != "Any" else None
        case ast.BinOp(op=ast.BitOr()):
            return annotated(node.left, scope) or annotated(node.right, scope)
        case ast.Subscript():
            return _of_generic(node, scope)
    return None


def _of_generic(node: ast.Subscript, scope: Scope) -> AccessPath | None:
    path = path_of(node.value, scope)
    generic = path.name if path else ""
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not arguments:
        return None  # ``tuple[()]``
    if generic == "Union":
        paths = [annotated(argument, scope) for argument in arguments]
        return next((path for path in paths if path), None)
    if generic in _TRANSPARENT:
        return annotated(arguments[0], scope)
    if generic in ("type", "Type"):
        instance = annotated(arguments[0], scope)
        return instance.uncalled if instance else None
    if generic in _CONTAINERS:
        is_mapping = "dict" in generic.lower() or "Mapping" in generic
        element = annotated(arguments[-1 if is_mapping else 0], scope)
        return ContainerOf(element) if element else None
    return annotated(node.value, scope)


def imported(node: ast.Import | ast.ImportFrom, module: Known, is_package: bool) -> tuple[Mapping[str, Known], Known]:
    """The names that an import binds, with their paths; and the module that ``from`` names, without steps if none."""
    if isinstance(node, ast.Import):
        names = {alias.asname or alias.name.partition(".")[0]: alias for alias in node.names}
        return {name: dotted(alias.name if alias.asname else name) for name, alias in names.items()}, Known()
    source = dotted(node.module) if node.module else Known()
    if node.level:
        above = node.level - 1 if is_package else node.level
        package = module.steps[: max(0, len(module.steps) - above)]
        source = Known(package + source.steps)
    return {alias.asname or alias.name: source.then(alias.name) for alias in node.names if alias.name != "*"}, source

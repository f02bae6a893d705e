"""What changes state that outlives a call: assignments to what others hold, methods that change their object, patches."""

import ast
from typing import TYPE_CHECKING

from netra_sim.audit.facts import Change, Patch
from netra_sim.audit.paths import path_of

if TYPE_CHECKING:
    from netra_sim.audit.extraction import Extractor

_CONTAINERS = frozenset({
    "dict", "list", "set", "defaultdict", "deque", "OrderedDict", "Counter", "bytearray", "WeakSet",
    "WeakValueDictionary", "WeakKeyDictionary",
})  # fmt: skip
_PRIMITIVES = frozenset(
    f"{module}.{name}()"
    for module in ("asyncio", "queue", "threading")
    for name in ("Queue", "PriorityQueue", "LifoQueue", "SimpleQueue", "Event", "Condition", "Future", "Barrier")
)
_MUTATORS = frozenset({
    "append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft",
    "remove", "reverse", "rotate", "setdefault", "sort", "subtract", "update", "difference_update",
    "intersection_update",
})  # fmt: skip
_FROZEN_BASES = frozenset({
    "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "Protocol", "Exception",
    "BaseException",
})  # fmt: skip
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__enter__"})


def is_container(node: ast.expr, path: str) -> bool:
    """Whether an expression makes something that can be changed in place."""
    if isinstance(node, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and path.endswith("()") and path[:-2].rpartition(".")[2] in _CONTAINERS


def is_primitive(path: str) -> bool:
    """Whether a value is a queue, an event or the like."""
    return path in _PRIMITIVES


def is_frozen(node: ast.ClassDef, bases: tuple[str, ...]) -> bool:
    """Whether instances of a class are values that do not change."""
    if any(
        base.rpartition(".")[2].lstrip("?") in _FROZEN_BASES or base.endswith(("Error", "Exception")) for base in bases
    ):
        return True
    keywords = [*node.keywords]
    for decorator in node.decorator_list:
        keywords += decorator.keywords if isinstance(decorator, ast.Call) else []
    return any(one.arg == "frozen" and isinstance(one.value, ast.Constant) and one.value.value for one in keywords)


def place_of(walk: "Extractor", node: ast.expr) -> str:
    """The path of a place that can be written to: a module's name, an attribute; "" for what is local or unknown."""
    if isinstance(node, ast.Name):
        if node.id in walk.globals:
            return f"{walk.module.name}.{node.id}"
        if walk.scope.is_bound_here(node.id):
            path = walk.scope.find(node.id)  # a local name for something that others hold
            return "" if path.startswith(("?", "*", "~", "builtins.")) or path.endswith(("()", "[]")) else path
        found = walk.scope.find(node.id)
        is_elsewhere = "." in found and not found.startswith(("?", "*", "~", "builtins.")) and not found.endswith(")")
        return found if is_elsewhere else f"{walk.module.name}.{node.id}"
    if isinstance(node, ast.Attribute):
        base = path_of(node.value, walk.scope)
        if isinstance(node.value, ast.Name | ast.Attribute) and (not base or base.startswith(("?", "builtins."))):
            base = place_of(walk, node.value) or base
        return "" if not base or base.startswith(("?", "*", "builtins.")) else f"{base}.{node.attr}"
    if isinstance(node, ast.Subscript):
        return place_of(walk, node.value)
    if isinstance(node, ast.Call):
        path = path_of(node, walk.scope)
        return path if path.endswith(".__dict__") else ""
    return ""


def note_change(walk: "Extractor", target: ast.expr) -> None:
    """A target was assigned, augmented or deleted."""
    path = place_of(walk, target)
    is_plain_name = isinstance(target, ast.Name)
    if path and (not is_plain_name or target.id in walk.globals):  # type: ignore[attr-defined]
        _add(walk, path, target, is_rebinding=not isinstance(target, ast.Subscript))
        if isinstance(target, ast.Attribute) or ".__dict__" in path:
            _add_patch(walk, path.replace(".__dict__", ".<names>"), target)
    if isinstance(target, ast.Subscript) and path == "sys.modules" and _dotted(target.slice):
        _add_patch(walk, f"{_dotted(target.slice)}.<module>", target)


def note_method_change(walk: "Extractor", node: ast.Call) -> None:
    """A call of a method that changes its object."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in _MUTATORS:
        return
    path = place_of(walk, function.value)
    if path:
        _add(walk, path, node)
        if path.endswith(".__dict__"):
            _add_patch(walk, f"{path.removesuffix('.__dict__')}.<names>", node)


def note_patch(walk: "Extractor", node: ast.Call, path: str) -> None:
    """``setattr`` and the patching functions of test libraries."""
    name = path.rpartition(".")[2].lstrip("?")
    text = [_dotted(one) for one in node.args]
    if name in ("setattr", "delattr", "__setattr__", "__delattr__") and node.args:
        if text[0]:
            _add_patch(walk, text[0], node)
            return
        owner = path_of(node.args[0], walk.scope)
        member = text[1] if len(text) > 1 and text[1] else "<name>"
        if owner and not owner.startswith("?"):
            _add(walk, f"{owner}.{member}", node, is_rebinding=True)
            _add_patch(walk, f"{owner}.{member}", node)
    elif name == "patch" and text and text[0]:
        _add_patch(walk, text[0], node)
    elif name in ("object", "multiple", "dict") and path.rpartition(".")[0].endswith("patch") and node.args:
        owner = text[0] or path_of(node.args[0], walk.scope).removesuffix(".__dict__")
        members = text[1:2] if name == "object" else [one.arg for one in node.keywords if one.arg]
        for member in members or ["<names>"]:
            if owner and not owner.startswith("?"):
                _add_patch(walk, f"{owner}.{member or '<name>'}", node)
    elif path in ("nest_asyncio.apply", "nest_asyncio2.apply"):
        _add_patch(walk, path, node)


def _dotted(node: ast.expr) -> str:
    """A literal text that could be a path; "" for all else."""
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return text if text.replace(".", "").isidentifier() else ""


def _add(walk: "Extractor", path: str, node: ast.expr, *, is_rebinding: bool = False) -> None:
    if walk.function < 0:
        return
    walk.module.changes.append(Change(path, node.lineno, node.col_offset + 1, walk.function, is_rebinding))
    function = walk.module.functions[walk.function]
    if function.owner and function.name.rpartition(".")[2] not in _CONSTRUCTORS:
        prefix = f"{walk.module.name}.{function.owner}()."
        if path.startswith(prefix):
            walk.module.classes[function.owner].changes_itself = True


def _add_patch(walk: "Extractor", path: str, node: ast.expr) -> None:
    if not path.startswith(f"{walk.module.name}.") or "()" not in path:
        walk.module.patches.append(Patch(path, node.lineno, node.col_offset + 1, walk.function))

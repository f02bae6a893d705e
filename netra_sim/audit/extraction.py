"""`Extractor`: one walk over a module's syntax tree, which keeps the facts that rules ask for."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.audit.bindings import assign, bind
from netra_sim.audit.changes import note_change, note_method_change, note_patch
from netra_sim.audit.definitions import class_, function, lambda_
from netra_sim.audit.facts import Call, Fate, Module
from netra_sim.audit.handlers import swallower, swallowing_with
from netra_sim.audit.paths import Scope, imported, path_of

_HANDED_ON = frozenset({
    "send", "send_json", "send_text", "send_bytes", "send_str", "write_message", "broadcast", "sleep", "wait_for", "gather",
})  # fmt: skip
_PARTIALS = ("functools.partial", "functools.partialmethod")


class Extractor:
    """The walk's state: where it stands, and what it has found. Functions are walked after what stands around them."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.scope = Scope(None, module.name, -1)
        self.function = -1
        self.inside = -1
        self.handlers: list[tuple[int, int]] = []
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.later: list[Callable[[], None]] = []
        self.loaded: dict[int, set[str]] = {-1: set()}
        self.bound: list[tuple[int, int, str]] = []
        self.callbacks: list[tuple[str, str]] = []

    def run(self, tree: ast.Module) -> Module:
        """Walk, and return the module with its facts."""
        self.body(tree.body)
        while self.later:
            waiting, self.later = self.later, []
            for work in waiting:
                work()
        self.module.names.update(self.scope.names)
        self._drop_what_nobody_reads()
        by_path = {f"{self.module.name}.{one.name}": one for one in self.module.functions}
        for path, called in self.callbacks:
            if path in by_path:
                by_path[path].callback_of.append(called)
        return self.module

    def _drop_what_nobody_reads(self) -> None:
        calls = self.module.calls
        for index, within, name in self.bound:
            if within >= 0 and name not in self.loaded[within]:
                call = calls[index]
                awaited = call.fate is Fate.AWAITED
                fate = Fate.AWAITED_AND_DROPPED if awaited else Fate.DROPPED
                calls[index] = Call(**{**_fields(call), "fate": fate})

    def body(self, statements: Sequence[ast.stmt]) -> None:
        """Walk statements."""
        for statement in statements:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        """Walk a node."""
        handler = _HANDLERS.get(type(node))
        if handler is None:
            self.children(node)
        else:
            handler(self, node)

    def children(self, node: ast.AST) -> None:
        """Walk what stands in a node."""
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                for one in value:
                    if isinstance(one, ast.AST):
                        self.visit(one)

    def chain(self, node: ast.BinOp | ast.If, field: str) -> None:
        """Walk ``a + b + c + ...`` and ``if ... elif ...`` without recursion, of which generated code has thousands."""
        links: list[Any] = []
        link: Any = node
        while type(link) is type(node):
            links.append(link)
            following = getattr(link, field)
            link = following[0] if isinstance(following, list) and len(following) == 1 else following
        order = links if field == "orelse" else reversed(links)
        if field == "left":
            self.visit(link)
        for one in order:
            if field == "left":
                self.visit(one.right)
            else:
                self.visit(one.test)
                self.body(one.body)
        if field == "orelse":
            self.body(link if isinstance(link, list) else [link])

    def name(self, node: ast.Name) -> None:
        """A name that is read."""
        if isinstance(node.ctx, ast.Load):
            within = self.function
            while within >= 0:
                self.loaded[within].add(node.id)
                within = self.module.functions[within].parent
            self._handed_on(node, node.id)

    def attribute(self, node: ast.Attribute) -> None:
        """An attribute that is read, but not called."""
        if isinstance(node.ctx, ast.Load):
            self._handed_on(node, node.attr)
        self.visit(node.value)

    def _handed_on(self, node: ast.Name | ast.Attribute, name: str) -> None:
        path = path_of(node, self.scope)
        if path.rpartition(".")[2].lstrip("?") in _HANDED_ON and (isinstance(node, ast.Attribute) or "." in path):
            self.add_call(node, node, path, Fate.HANDED_ON)

    def compare(self, node: ast.Compare) -> None:
        """Looking whether a function is another one is no use of it."""
        for part in (node.left, *node.comparators):
            self.value(part)

    def value(self, node: ast.AST | None) -> None:
        """Walk an expression whose bare functions are only given another name."""
        if isinstance(node, ast.Attribute):
            self.visit(node.value)
        elif isinstance(node, ast.Name):
            within = self.function
            while within >= 0:
                self.loaded[within].add(node.id)
                within = self.module.functions[within].parent
        elif isinstance(node, ast.Call) and path_of(node.func, self.scope) in _PARTIALS:
            self.call(node, Fate.KEPT_AS_PARTIAL)
        elif node is not None:
            self.visit(node)

    def add_call(self, node: ast.expr, target: ast.expr, path: str, fate: Fate, **more: Any) -> int:
        """Note a call; returns its index."""
        self.module.calls.append(
            Call(
                path.lstrip("~"),
                node.lineno,
                node.col_offset + 1,
                self.function,
                fate,
                self.inside,
                is_read=isinstance(target, ast.Name | ast.Attribute) and not path.startswith("~"),
                handler=self.handlers[-1] if self.handlers else (0, 0),
                **more,
            )
        )
        return len(self.module.calls) - 1

    def call(self, node: ast.Call, fate: Fate = Fate.USED) -> int:
        """A call, its function and its arguments; returns its index."""
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        path = "builtins.super" if is_super else path_of(node.func, self.scope)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if path in _PARTIALS and node.args:
            kept = fate if fate is Fate.KEPT_AS_PARTIAL else Fate.HANDED_ON
            index = self.add_call(node, node.args[0], path_of(node.args[0], self.scope), kept)
            arguments = arguments[1:]
        else:
            named = [one for one in arguments if isinstance(one, ast.Name)]
            paths = tuple(path_of(one, self.scope) for one in named)
            index = self.add_call(node, node.func, path, fate, arguments=paths, text=_text(node))
            note_patch(self, node, path)
            note_method_change(self, node)
            if len(arguments) == 1 and isinstance(arguments[0], ast.Name | ast.Attribute):
                self.module.decorated_later.append((path_of(arguments[0], self.scope), path))
        outer, self.inside = self.inside, index
        if isinstance(node.func, ast.Attribute):
            self.visit(node.func.value)
        elif isinstance(node.func, ast.Name):
            self.value(node.func)
        else:
            self.visit(node.func)
        for argument in arguments:
            self._argument(argument, path)
        self.inside = outer
        return index

    def _argument(self, argument: ast.expr, path: str) -> None:
        if isinstance(argument, ast.Lambda):
            lambda_(self, argument, path)
            return
        if isinstance(argument, ast.Name | ast.Attribute):
            self.callbacks.append((path_of(argument, self.scope), path))
        self.visit(argument)

    def expression(self, node: ast.Expr) -> None:
        """A statement whose value is dropped."""
        value = node.value
        if isinstance(value, ast.Call):
            self.call(value, Fate.DROPPED)
        elif isinstance(value, ast.Await) and isinstance(value.value, ast.Call):
            self.call(value.value, Fate.AWAITED_AND_DROPPED)
        else:
            self.visit(value)

    def await_(self, node: ast.Await) -> None:
        """An awaited value."""
        if isinstance(node.value, ast.Call):
            self.call(node.value, Fate.AWAITED)
        else:
            self.visit(node.value)

    def yield_(self, node: ast.Yield | ast.YieldFrom) -> None:
        """A value that the function gives on."""
        if self.function >= 0:
            self.module.functions[self.function].is_generator = True
        self.children(node)

    def return_(self, node: ast.Return) -> None:
        """What a function returns."""
        if self.function >= 0:
            function = self.module.functions[self.function]
            is_bool = isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool)
            function.returns_bool = function.returns_bool or is_bool
            if not function.returns and node.value is not None:
                path = path_of(node.value, self.scope)
                function.returns = "" if path.startswith(("?", "builtins.")) else path
        self.children(node)

    def walk_function(self, index: int, scope: Scope, body: Sequence[ast.AST]) -> None:
        """Walk a function's body in its own scope, with nothing of what stands around it."""
        self.scope, self.function, self.inside = scope, index, -1
        self.handlers, self.globals, self.nonlocals = [], set(), set()
        for node in body:
            self.visit(node)

    def with_(self, node: ast.With | ast.AsyncWith) -> None:
        """Contexts, what they bind, and whether one of them swallows failures."""
        depth = len(self.handlers)
        for item in node.items:
            if isinstance(item.context_expr, ast.Call):
                self.call(item.context_expr, Fate.AWAITED)
            else:
                self.visit(item.context_expr)
            path = path_of(item.context_expr, self.scope)
            if item.optional_vars is not None:
                bind(self, item.optional_vars, f"{path}.__enter__()" if path else "", None)
            if swallowing_with(item, self.scope):
                self.handlers.append((item.context_expr.lineno, item.context_expr.col_offset + 1))
        self.body(node.body)
        del self.handlers[depth:]

    def try_(self, node: ast.Try) -> None:
        """A try: what stands in its body is under its handlers."""
        place = swallower(node, self.scope)
        if place is not None:
            self.handlers.append(place)
        self.body(node.body)
        if place is not None:
            self.handlers.pop()
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def caught(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> None:
        """A handler or a pattern binds a name to something unknown."""
        if node.name is not None:
            self.scope.names[node.name] = ""
        self.children(node)

    def loop(self, node: ast.For | ast.AsyncFor | ast.comprehension) -> None:
        """A loop or a part of a comprehension."""
        path = path_of(node.iter, self.scope)
        is_async = isinstance(node, ast.AsyncFor) or (isinstance(node, ast.comprehension) and bool(node.is_async))
        if is_async and self.function >= 0:
            self.module.functions[self.function].iterates.append(path)
        self.visit(node.iter)
        bind(self, node.target, f"{path}[]" if path else "", None)
        if isinstance(node, ast.comprehension):
            for condition in node.ifs:
                self.visit(condition)
        else:
            self.body([*node.body, *node.orelse])

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        """A comprehension: what it iterates over comes first."""
        for generator in node.generators:
            self.loop(generator)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)

    def import_(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import binds names."""
        names, source = imported(node, self.module.name, self.module.is_package)
        self.scope.names.update(names)
        if isinstance(node, ast.Import):
            self.module.imports += [alias.name for alias in node.names]
        else:
            self.module.imports += [source, *names.values()]
            if any(alias.name == "*" for alias in node.names):
                self.module.stars.append(source)

    def augmented(self, node: ast.AugAssign) -> None:
        """An assignment such as ``+=``."""
        self.visit(node.value)
        note_change(self, node.target)

    def delete(self, node: ast.Delete) -> None:
        """Names, attributes and elements that are deleted."""
        for target in node.targets:
            note_change(self, target)

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        """Names of an enclosing function's that the function binds."""
        self.nonlocals.update(node.names)

    def global_(self, node: ast.Global) -> None:
        """Names of the module's that the function binds."""
        self.globals.update(node.names)


def _text(node: ast.Call) -> str:
    for keyword in node.keywords:
        if keyword.arg == "return_exceptions" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            return "return_exceptions"
    first = node.args[0] if node.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return _writable(first.value)
    if isinstance(first, ast.Dict):
        for key, value in zip(first.keys, first.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "type" and isinstance(value, ast.Constant):
                return _writable(str(value.value))
    return ""


def _writable(text: str) -> str:
    """The beginning of a text, without lone surrogates, which literals may hold and no file can."""
    return text[:200].encode("utf-8", "replace").decode()


def _fields(call: Call) -> dict[str, Any]:
    return {name: getattr(call, name) for name in Call.__struct_fields__}


_HANDLERS: dict[type[ast.AST], Callable[[Extractor, Any], object]] = {
    ast.Name: Extractor.name,
    ast.Attribute: Extractor.attribute,
    ast.Compare: Extractor.compare,
    ast.Call: Extractor.call,
    ast.Expr: Extractor.expression,
    ast.Await: Extractor.await_,
    ast.Yield: Extractor.yield_,
    ast.YieldFrom: Extractor.yield_,
    ast.Return: Extractor.return_,
    ast.FunctionDef: function,
    ast.AsyncFunctionDef: function,
    ast.Lambda: lambda_,
    ast.ClassDef: class_,
    ast.Assign: lambda walk, node: assign(walk, node.targets, node.value),
    ast.AnnAssign: lambda walk, node: assign(walk, [node.target], node.value, node.annotation),
    ast.NamedExpr: lambda walk, node: assign(walk, [node.target], node.value),
    ast.AugAssign: Extractor.augmented,
    ast.Delete: Extractor.delete,
    ast.With: Extractor.with_,
    ast.AsyncWith: Extractor.with_,
    ast.Try: Extractor.try_,
    ast.TryStar: Extractor.try_,
    ast.ExceptHandler: Extractor.caught,
    ast.MatchAs: Extractor.caught,
    ast.MatchStar: Extractor.caught,
    ast.For: Extractor.loop,
    ast.AsyncFor: Extractor.loop,
    ast.ListComp: Extractor.comprehension,
    ast.SetComp: Extractor.comprehension,
    ast.GeneratorExp: Extractor.comprehension,
    ast.DictComp: Extractor.comprehension,
    ast.Import: Extractor.import_,
    ast.ImportFrom: Extractor.import_,
    ast.Global: Extractor.global_,
    ast.Nonlocal: Extractor.nonlocal_,
    ast.BinOp: lambda walk, node: walk.chain(node, "left"),
    ast.If: lambda walk, node: walk.chain(node, "orelse"),
}

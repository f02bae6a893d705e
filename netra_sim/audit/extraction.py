"""`Extractor`: one walk over a module's syntax tree that collects the facts which rules ask for."""

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from netra_sim.audit.bindings import bind_name, parts, shared_name
from netra_sim.audit.calls import text_of
from netra_sim.audit.changes import changes_by_call, changes_by_target
from netra_sim.audit.definitions import bind_parameters, body_of, class_of, function_of, lambda_of
from netra_sim.audit.expressions import Scope, annotated, imported, path_of
from netra_sim.audit.facts import Call, Change, Class, Function, Module, Patch, ResultUse
from netra_sim.audit.handlers import NO_HANDLER, swallower, swallowing_with
from netra_sim.audit.paths import NONE, AccessPath, HolderOf, Known, Op, Unknown, dotted, is_builtin
from netra_sim.audit.walk import Walk

_PASSED_ON = frozenset({
    "send", "send_json", "send_text", "send_bytes", "send_str", "write_message", "broadcast", "sleep", "wait_for", "gather",
})  # fmt: skip
_PARTIALS = (dotted("functools.partial"), dotted("functools.partialmethod"))
_SUPER = dotted("builtins.super")
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__enter__"})


class Extractor(Walk):
    """The state of the walk: its position, and what it has found. It enters functions after the code around them."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.scope = Scope(dotted(module.name))
        self.inside = -1
        self.handlers: list[tuple[int, int]] = []
        self.later: list[Callable[[], None]] = []
        self.loaded: dict[int, set[str]] = {-1: set()}
        self.bound: list[tuple[int, int, str]] = []
        self.callbacks: list[tuple[AccessPath, AccessPath]] = []
        self.classes: dict[AccessPath, Class] = {}

    def run(self, tree: ast.Module) -> Module:
        """Walk, and return the module with its facts."""
        self.visit_all(tree.body)
        while self.later:
            waiting, self.later = self.later, []
            for work in waiting:
                work()
        self.module.names.update(self.scope.names)
        self._drop_unread_results()
        functions = {self.scope.module.then(*one.name.split(".")): one for one in self.module.functions}
        for path, called in self.callbacks:
            if path in functions:
                functions[path].callback_of.append(called)
        return self.module

    def _drop_unread_results(self) -> None:
        """A result that is bound to a local name which no code reads counts as dropped."""
        calls = self.module.calls
        for index, function, name in self.bound:
            if name not in self.loaded[function]:
                is_awaited = calls[index].use is ResultUse.AWAITED
                use = ResultUse.AWAITED_AND_DROPPED if is_awaited else ResultUse.DROPPED
                calls[index] = msgspec.structs.replace(calls[index], use=use)

    def walk_function(self, scope: Scope, body: Sequence[ast.AST]) -> None:
        """Walk the body of a function; calls and handlers around it do not apply to it."""
        self.scope, self.inside, self.handlers = scope, -1, []
        self.visit_all(body)

    def name(self, node: ast.Name) -> None:
        """A name that is read, but not called."""
        if isinstance(node.ctx, ast.Load):
            self._load(node.id)
            path = self.scope.find(node.id)
            if path.name in _PASSED_ON and len(path.steps) > 1:
                self.add_call(node, node, path, ResultUse.PASSED_ON)

    def attribute(self, node: ast.Attribute) -> None:
        """An attribute that is read, but not called."""
        if isinstance(node.ctx, ast.Load) and node.attr in _PASSED_ON:
            self.add_call(node, node, path_of(node, self.scope), ResultUse.PASSED_ON)
        self.visit(node.value)

    def _load(self, name: str) -> None:
        """Note that a function, and so the functions around it, reads a name."""
        function = self.scope.function
        while function >= 0:
            self.loaded[function].add(name)
            function = self.module.functions[function].parent

    def compare(self, node: ast.Compare) -> None:
        """A comparison of a function with another one does not use it."""
        for part in (node.left, *node.comparators):
            self.value(part)

    def value(self, node: ast.AST | None) -> None:
        """Walk an expression that only gives another name to a bare function."""
        if isinstance(node, ast.Attribute):
            self.visit(node.value)
        elif isinstance(node, ast.Name):
            self._load(node.id)
        elif isinstance(node, ast.Call) and path_of(node.func, self.scope) in _PARTIALS:
            self.call(node, ResultUse.KEPT_AS_PARTIAL)
        elif node is not None:
            self.visit(node)

    def add_call(self, node: ast.expr, target: ast.expr, path: AccessPath | None, use: ResultUse, **more: Any) -> int:
        """Note a call, and return its index."""
        self.module.calls.append(
            Call(
                path.of if isinstance(path, HolderOf) else path or Unknown(),
                node.lineno,
                node.col_offset + 1,
                self.scope.function,
                use,
                self.inside,
                is_by_name=isinstance(target, ast.Name | ast.Attribute) and not isinstance(path, HolderOf),
                handler=self.handlers[-1] if self.handlers else NO_HANDLER,
                **more,
            )
        )
        return len(self.module.calls) - 1

    def call(self, node: ast.Call, use: ResultUse = ResultUse.USED) -> None:
        """A call, its function and its arguments."""
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        path = _SUPER if is_super else path_of(node.func, self.scope) or Unknown()
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if path in _PARTIALS and node.args:
            kept = use if use is ResultUse.KEPT_AS_PARTIAL else ResultUse.PASSED_ON
            index = self.add_call(node, node.args[0], path_of(node.args[0], self.scope), kept)
            arguments = arguments[1:]
        else:
            names = tuple(self.scope.find(one.id) for one in arguments if isinstance(one, ast.Name))
            index = self.add_call(node, node.func, path, use, arguments=names, text=text_of(node))
            self.record(changes_by_call(node, path, self.scope))
            self._note_decoration(path, arguments)
        outer, self.inside = self.inside, index
        if isinstance(node.func, ast.Name | ast.Attribute):
            self.value(node.func)
        else:
            self.visit(node.func)
        for argument in arguments:
            self._argument(argument, path)
        self.inside = outer

    def _note_decoration(self, called: AccessPath, arguments: Sequence[ast.expr]) -> None:
        if len(arguments) == 1 and isinstance(arguments[0], ast.Name | ast.Attribute):
            decorated = path_of(arguments[0], self.scope)
            if decorated:
                self.module.decorated_later.append((decorated, called))

    def _argument(self, argument: ast.expr, called: AccessPath) -> None:
        if isinstance(argument, ast.Lambda):
            self.lambda_(argument, called)
            return
        if isinstance(argument, ast.Name | ast.Attribute):
            path = path_of(argument, self.scope)
            if path:
                self.callbacks.append((path, called))
        self.visit(argument)

    def expression(self, node: ast.Expr) -> None:
        """A statement that drops its value."""
        match node.value:
            case ast.Call() as call:
                self.call(call, ResultUse.DROPPED)
            case ast.Await(value=ast.Call() as call):
                self.call(call, ResultUse.AWAITED_AND_DROPPED)
            case value:
                self.visit(value)

    def await_(self, node: ast.Await) -> None:
        """An awaited value."""
        if isinstance(node.value, ast.Call):
            self.call(node.value, ResultUse.AWAITED)
        else:
            self.visit(node.value)

    def yield_(self, node: ast.Yield | ast.YieldFrom) -> None:
        """A value that the function yields."""
        if self.scope.function >= 0:
            self.module.functions[self.scope.function].is_generator = True
        self.children(node)

    def return_(self, node: ast.Return) -> None:
        """A value that the function returns."""
        if self.scope.function >= 0 and node.value is not None:
            function = self.module.functions[self.scope.function]
            function.returns_bool |= isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool)
            path = path_of(node.value, self.scope)
            if function.returns is None and not isinstance(path, Unknown) and not is_builtin(path):
                function.returns = path
        self.children(node)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function: its decorators and defaults now, its body later."""
        self.visit_all(node.decorator_list)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            self.value(default)
        scope, function = self.scope, function_of(node, self.scope)
        owner = self.module.classes[function.owner] if function.owner else None
        index = self._add_function(function)
        if owner:
            owner.methods[node.name] = index
        scope.names[node.name] = scope.path.then(node.name)
        inner = scope.of_function(node.name, index)
        bind_parameters(node.args, inner, scope, function, owner)
        body = body_of(node, function.name)
        if body:
            self.module.bodies.append(body)
        self.later.append(lambda: self.walk_function(inner, node.body))

    def lambda_(self, node: ast.Lambda, passed_to: AccessPath | None = None) -> None:
        """A lambda: a function without a name."""
        function = lambda_of(node, self.scope)
        function.callback_of = [passed_to] if passed_to else []
        index = self._add_function(function)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            self.value(default)
        inner = self.scope.of_function("<lambda>", index)
        inner.names.update(dict.fromkeys(function.parameters, None))
        self.later.append(lambda: self.walk_function(inner, [node.body]))

    def _add_function(self, function: Function) -> int:
        self.module.functions.append(function)
        index = len(self.module.functions) - 1
        self.loaded[index] = set()
        return index

    def class_(self, node: ast.ClassDef) -> None:
        """A class; its body runs at once."""
        for part in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.value(part)
        outer, known = self.scope, class_of(node, self.scope)
        self.module.classes[known.name] = known
        self.scope = outer.of_class(node.name)
        self.classes[self.scope.path] = self.classes[self.scope.path.then(Op.CALL)] = known
        outer.names[node.name] = self.scope.path
        self.visit_all(node.body)
        known.attributes = {**self.scope.names, **known.attributes}
        self.scope = outer

    def assign(self, targets: Sequence[ast.expr], value: ast.expr | None, annotation: ast.expr | None = None) -> None:
        """An assignment to names, attributes or elements."""
        path = annotated(annotation, self.scope) or path_of(value, self.scope)
        first = len(self.module.calls)
        self.value(value)
        for target in targets:
            self.bind(target, path, value)
        inner = value.value if isinstance(value, ast.Await) else value
        if self.scope.function >= 0 and isinstance(inner, ast.Call):
            declared = self.scope.globals | self.scope.nonlocals
            names = [one.id for one in targets if isinstance(one, ast.Name) and one.id not in declared]
            self.bound += [(first, self.scope.function, name) for name in names]

    def bind(self, target: ast.expr, path: AccessPath | None, value: ast.expr | None = None) -> None:
        """Have a target mean the value at a path."""
        for part, own, expression in parts(target, path, value, self.scope):
            if isinstance(part, ast.Name) and part.id not in self.scope.globals:
                is_special = part.id.startswith("__") and part.id.endswith("__")
                if self.scope.function < 0 and not is_special:
                    self.module.states.append(shared_name(part, own, expression, self.scope))
                bind_name(part.id, own, expression, self.scope)
                continue
            if isinstance(part, ast.Attribute) and own and own != NONE:
                self._hold(part, own)
            self.record(changes_by_target(part, self.scope))
            if not isinstance(part, ast.Name):
                self.children(part)

    def _hold(self, target: ast.Attribute, path: AccessPath) -> None:
        """Note what an attribute of one of the module's classes holds; the first known value counts."""
        base = path_of(target.value, self.scope)
        known = self.classes.get(base) if base else None
        if known is not None:
            held = known.attributes.get(target.attr)
            if held is None or held == NONE or isinstance(held, Unknown):
                known.attributes[target.attr] = path

    def record(self, found: Iterable[Change | Patch]) -> None:
        """Note changes in functions, and patches."""
        for one in found:
            if isinstance(one, Patch):
                self.module.patches.append(one)
            elif self.scope.function >= 0:
                self.module.changes.append(one)
                self._note_own_change(one)

    def _note_own_change(self, change: Change) -> None:
        function = self.module.functions[self.scope.function]
        if function.owner and function.name.rpartition(".")[2] not in _CONSTRUCTORS:
            own = self.scope.module.then(*function.owner.split("."), Op.CALL).steps
            steps = change.path.steps if isinstance(change.path, Known) else ()
            if steps[: len(own)] == own and len(steps) > len(own):
                self.module.classes[function.owner].changes_itself = True

    def with_(self, node: ast.With | ast.AsyncWith) -> None:
        """Contexts, what they bind, and whether one of them swallows failures."""
        depth = len(self.handlers)
        for item in node.items:
            if isinstance(item.context_expr, ast.Call):
                self.call(item.context_expr, ResultUse.AWAITED)
            else:
                self.visit(item.context_expr)
            if item.optional_vars is not None:
                path = path_of(item.context_expr, self.scope)
                self.bind(item.optional_vars, path.then("__enter__", Op.CALL) if path else None)
            if swallowing_with(item, self.scope):
                self.handlers.append((item.context_expr.lineno, item.context_expr.col_offset + 1))
        self.visit_all(node.body)
        del self.handlers[depth:]

    def try_(self, node: ast.Try) -> None:
        """A try: its handlers apply to its body alone."""
        handler = swallower(node, self.scope)
        if handler is not None:
            self.handlers.append(handler)
        self.visit_all(node.body)
        if handler is not None:
            self.handlers.pop()
        self.visit_all((*node.handlers, *node.orelse, *node.finalbody))

    def caught(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> None:
        """A handler or a pattern that binds a name to something unknown."""
        if node.name is not None:
            self.scope.names[node.name] = None
        self.children(node)

    def loop(self, node: ast.For | ast.AsyncFor | ast.comprehension) -> None:
        """A loop, or one ``for`` of a comprehension."""
        path = path_of(node.iter, self.scope)
        is_async = isinstance(node, ast.AsyncFor) or (isinstance(node, ast.comprehension) and bool(node.is_async))
        if is_async and path and self.scope.function >= 0:
            self.module.functions[self.scope.function].iterates.append(path)
        self.visit(node.iter)
        self.bind(node.target, path.then(Op.ELEMENT) if path else None)
        self.visit_all(node.ifs if isinstance(node, ast.comprehension) else [*node.body, *node.orelse])

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        """A comprehension: its loops come before its elements."""
        for generator in node.generators:
            self.loop(generator)
        self.visit_all((node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,))

    def import_(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import that binds names."""
        names, source = imported(node, self.scope.module, self.module.is_package)
        self.scope.names.update(names)
        if isinstance(node, ast.Import):
            self.module.imports += [dotted(alias.name) for alias in node.names]
        else:
            self.module.imports += [source, *names.values()]
            if any(alias.name == "*" for alias in node.names):
                self.module.stars.append(source)

    def augmented(self, node: ast.AugAssign) -> None:
        """An assignment such as ``+=``."""
        self.visit(node.value)
        self.record(changes_by_target(node.target, self.scope))

    def delete(self, node: ast.Delete) -> None:
        """Names, attributes and elements that the code deletes."""
        for target in node.targets:
            self.record(changes_by_target(target, self.scope))

    visitors: ClassVar = {
        ast.Name: name,
        ast.Attribute: attribute,
        ast.Compare: compare,
        ast.Call: call,
        ast.Expr: expression,
        ast.Await: await_,
        ast.Yield: yield_,
        ast.YieldFrom: yield_,
        ast.Return: return_,
        ast.FunctionDef: function,
        ast.AsyncFunctionDef: function,
        ast.Lambda: lambda_,
        ast.ClassDef: class_,
        ast.Assign: lambda self, node: self.assign(node.targets, node.value),
        ast.AnnAssign: lambda self, node: self.assign([node.target], node.value, node.annotation),
        ast.NamedExpr: lambda self, node: self.assign([node.target], node.value),
        ast.AugAssign: augmented,
        ast.Delete: delete,
        ast.With: with_,
        ast.AsyncWith: with_,
        ast.Try: try_,
        ast.TryStar: try_,
        ast.ExceptHandler: caught,
        ast.MatchAs: caught,
        ast.MatchStar: caught,
        ast.For: loop,
        ast.AsyncFor: loop,
        ast.ListComp: comprehension,
        ast.SetComp: comprehension,
        ast.GeneratorExp: comprehension,
        ast.DictComp: comprehension,
        ast.Import: import_,
        ast.ImportFrom: import_,
        ast.Global: lambda self, node: self.scope.globals.update(node.names),
        ast.Nonlocal: lambda self, node: self.scope.nonlocals.update(node.names),
        ast.BinOp: Walk.operators,
        ast.If: Walk.branches,
    }

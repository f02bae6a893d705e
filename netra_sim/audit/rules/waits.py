"""NS101 and NS102: how streaming functions wait.

In the modules that the configuration's ``streaming`` names, these functions stream:

* an asynchronous generator that no decorator makes into a context manager or a fixture;
* a coroutine function that sends to a user, reads from a WebSocket, or calls a function of its module that does;
* a coroutine function that one of these calls in the same module, because the decorator does not reach into it;
* every function inside one of these.

``@windows_asyncio_safe`` protects a function directly below it and the functions inside; a call of a ``windows_safe_``
function needs no protection. The decorator replaces what names and attributes give. It does not replace what a partial
or a container holds, and with another decorator between, it does not reach the function. A function that an object's
attribute holds is a finding even under the decorator, because code without the decorator reaches it too.
"""

from collections.abc import Iterator, Mapping

from netra_sim.audit.facts import Call, Function, Module, ResultUse
from netra_sim.audit.paths import AccessPath, dotted
from netra_sim.audit.rules.rule import Location, Rule, location_of
from netra_sim.audit.sending import Sends, ancestors, callers_of
from netra_sim.audit.tree import SymbolKind, Target, Tree

_WAITS: Mapping[AccessPath, str] = {
    dotted(f"{module}.{name}"): name
    for module in ("asyncio", "asyncio.tasks")
    for name in ("sleep", "wait_for", "gather")
}
_SAFE_WAITS = ("windows_safe_wait_for", "safe_wait_for")
_DECORATOR = "windows_asyncio_safe"
_HARMLESS_DECORATORS = frozenset(
    {"staticmethod", "classmethod", "override", "final", "abstractmethod", "no_type_check"}
)
_CONTEXTS = frozenset({"asynccontextmanager", "fixture"})


def raw_asyncio(tree: Tree) -> Iterator[Location]:
    """Calls of the three functions in streaming functions, and the streaming functions without one."""
    sends = Sends.of(tree)
    for module in tree.modules.values():
        if not tree.has_role(module.name, "streaming") or tree.has_role(module.name, "runtime"):
            continue
        streaming = _streaming(tree, module, sends)
        waiting: set[int] = set()
        for call in module.calls:
            if call.use is ResultUse.KEPT_AS_PARTIAL:
                continue
            around = [number for number in _numbers(module, call.function) if number in streaming]
            target = tree.resolve(call.path) if around else None
            if target is not None and target.path in _WAITS:
                waiting.add(around[0])
                yield location_of(module, call, _problem(tree, module, call, target))
        for number in sorted(streaming - waiting):
            function = module.functions[number]
            yield Location(module, function.line, function.column, function.name)


def _numbers(module: Module, number: int) -> Iterator[int]:
    """The index of a function and those of the functions around it, the innermost first."""
    while number >= 0:
        yield number
        number = module.functions[number].parent


def _streaming(tree: Tree, module: Module, sends: Sends) -> set[int]:
    """The streaming functions of a module, without those inside them."""
    found = {
        number
        for number in sends.sending.get(module.name, ())
        if any(function.is_async for function in ancestors(module, number))
    }
    for number, function in enumerate(module.functions):
        is_context = not _CONTEXTS.isdisjoint(function.decorator_names)
        if function.is_async and function.is_generator and not is_context:
            found.add(number)
    callers = callers_of(tree, module)
    new = found
    while new:
        new = {
            callee
            for callee, by in callers.items()
            if callee >= 0 and callee not in found and module.functions[callee].is_async and by & found
        }
        found |= new
    return found


def _problem(tree: Tree, module: Module, call: Call, target: Target) -> str:
    name = _WAITS[target.path]
    protected, between = _protected(tree, module, call.function)
    if protected is not None:
        if call.is_by_name and not target.is_held:
            return ""
        return (
            f"asyncio.{name} is reached through an object that holds it, "
            f"also from code without the @windows_asyncio_safe of {protected.name}: keep windows_safe_{name} there"
        )
    if between:
        return (
            f"raw asyncio.{name}: @windows_asyncio_safe stands above @{between}, and protects that one's wrapper alone"
        )
    return f"raw asyncio.{name} in a streaming function"


def _protected(tree: Tree, module: Module, number: int) -> tuple[Function | None, str]:
    """The decorated function that a function is or is inside of; else the decorator between, or ""."""
    outer = ""
    for function in ancestors(module, number):
        names = [tree.resolve(path).path.name for path in function.decorators]
        if _DECORATOR in names:
            below = names[names.index(_DECORATOR) + 1 :]
            between = [name for name in below if name not in _HARMLESS_DECORATORS]
            if not between:
                return function, ""
            outer = between[0]
        elif _is_decorated_later(tree, module, function):
            return function, ""
    return None, outer


def _is_decorated_later(tree: Tree, module: Module, function: Function) -> bool:
    """Whether the module calls the decorator with the function as its argument."""
    own = dotted(f"{module.name}.{function.name}")
    called = [called for decorated, called in module.decorated_later if decorated == own]
    return any(tree.resolve(path).path.name == _DECORATOR for path in called)


def nested_wait_for(tree: Tree) -> Iterator[Location]:
    """Calls of a wait_for, raw or safe."""
    for module in tree.modules.values():
        if tree.has_role(module.name, "runtime"):
            continue
        kinds = {index: _wait_kind(tree, module, call) for index, call in enumerate(module.calls)}
        kinds = {index: kind for index, kind in kinds.items() if kind}
        inner = _inner_waits(tree, module, kinds)
        for index in kinds:
            problem = f"wait_for around another one ({inner[index]})" if index in inner else ""
            yield location_of(module, module.calls[index], problem)


def _inner_waits(tree: Tree, module: Module, kinds: Mapping[int, str]) -> dict[int, str]:
    """For each wait_for with another one inside: where that one is.

    Args:
        tree: the tree.
        module: the module.
        kinds: for each wait_for of the module, by index of the call, whether it is "raw" or "safe".
    """
    waits = _waiting_functions(tree, module, kinds)
    inner: dict[int, str] = {}

    def waiting(path: AccessPath) -> str:
        """The function that a path leads to and the line of its wait_for, or ""."""
        target = tree.resolve(path)
        if target.module != module.name or target.kind is not SymbolKind.FUNCTION:
            return ""
        number = tree.index_of(target)
        return f"{module.functions[number].name}, line {waits[number]}" if number in waits else ""

    for index, call in enumerate(module.calls):
        outer = _enclosing(module, call.inside, kinds)
        if outer < 0:
            continue
        if index in kinds and "raw" in (kinds[index], kinds[outer]):
            inner.setdefault(outer, f"line {call.line}")
        if call.use is not ResultUse.PASSED_ON and waiting(call.path):
            inner.setdefault(outer, waiting(call.path))
    for index in kinds:
        for path in module.calls[index].arguments:
            if not path.is_call:
                continue
            if _WAITS.get(tree.resolve(path.uncalled).path) == "wait_for":
                inner.setdefault(index, "what was made before")
            if waiting(path.uncalled):
                inner.setdefault(index, waiting(path.uncalled))
    return inner


def _wait_kind(tree: Tree, module: Module, call: Call) -> str:
    """Whether a call is a "raw" or a "safe" wait_for; "" if it is something else."""
    if call.use in (ResultUse.PASSED_ON, ResultUse.KEPT_AS_PARTIAL):
        return ""
    target = tree.resolve(call.path)
    if target.path.name in _SAFE_WAITS:
        return "safe"
    if _WAITS.get(target.path) != "wait_for":
        return ""
    protected, _ = _protected(tree, module, call.function)
    return "safe" if protected is not None and call.is_by_name and not target.is_held else "raw"


def _enclosing(module: Module, inside: int, kinds: Mapping[int, str]) -> int:
    """The innermost wait_for around a call, by index, or -1."""
    while inside >= 0 and inside not in kinds:
        inside = module.calls[inside].inside
    return inside


def _waiting_functions(tree: Tree, module: Module, kinds: Mapping[int, str]) -> dict[int, int]:
    """The coroutine functions that wait with a raw wait_for, directly or through others, each with its line."""
    found: dict[int, int] = {}
    for index, kind in kinds.items():
        call = module.calls[index]
        if kind == "raw" and call.function >= 0 and module.functions[call.function].is_async:
            found.setdefault(call.function, call.line)
    callers = callers_of(tree, module)
    waiting = list(found)
    while waiting:
        callee = waiting.pop()
        for caller in callers.get(callee, ()):
            if caller not in found and module.functions[caller].is_async:
                found[caller] = found[callee]
                waiting.append(caller)
    return found


RULES = (
    Rule(
        id="NS101",
        name="raw-asyncio-in-streaming",
        question="Does every streaming function wait through the Windows-safe layer?",
        unit="waits in streaming functions, and streaming functions without one",
        why="On Windows, streaming tests hung for 300 s in such waits, and its clock ticks every 15.6 ms (W1, W3, W7).",
        fix="Put @windows_asyncio_safe directly above the function, or call windows_safe_sleep, windows_safe_wait_for or "
        "windows_safe_gather.",
        look=raw_asyncio,
    ),
    Rule(
        id="NS102",
        name="nested-wait-for",
        question="Does no wait_for wait for another one?",
        unit="calls of wait_for",
        why="Two deadlines over one wait cancel each other's work, and a lost cancellation leaves it running (W4, W5).",
        fix="Keep the outer limit and take the inner one out, or use one WindowsSafeTimeoutContext around both.",
        look=nested_wait_for,
    ),
)

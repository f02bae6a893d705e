"""NS101 and NS102: how streaming functions wait.

A streaming function is, in the modules that the configuration's ``streaming`` names:

* an asynchronous generator, unless it is made into a context manager or a fixture;
* a coroutine function that sends to a user or reads from a WebSocket, or calls one of its module that does;
* a coroutine function of the same module that one of these calls, as the decorator does not reach into it;
* all that is defined inside one of these.

It is protected by ``@windows_asyncio_safe`` directly above it or above a function around it, and where it calls the
``windows_safe_`` functions instead. The decorator replaces what names and attributes give: not what a partial or a container
holds, and with another decorator in between, not the function at all. What an attribute of an object holds is a finding all
the same, as code without the decorator reaches it too.
"""

from collections.abc import Iterator

from netra_sim.audit.facts import Call, Fate, Function, Module
from netra_sim.audit.rules.rule import Place, Rule, symbol_of
from netra_sim.audit.sending import Sends, ancestors, callers_of
from netra_sim.audit.tree import Sort, Target, Tree

_THREE = {f"asyncio.{name}": name for name in ("sleep", "wait_for", "gather")}
_THREE |= {"asyncio.tasks.sleep": "sleep", "asyncio.tasks.wait_for": "wait_for", "asyncio.tasks.gather": "gather"}
_HARMLESS_DECORATORS = frozenset(
    {"staticmethod", "classmethod", "override", "final", "abstractmethod", "no_type_check"}
)
_CONTEXTS = frozenset({"asynccontextmanager", "fixture"})


def raw_asyncio(tree: Tree) -> Iterator[Place]:
    """Uses of the three functions in streaming functions; one place for each streaming function that has none."""
    sends = Sends.of(tree)
    for module in tree.modules.values():
        if not tree.plays(module.name, "streaming") or tree.plays(module.name, "runtime"):
            continue
        streaming = _streaming(tree, module, sends)
        used: set[int] = set()
        for call in module.calls:
            if call.function < 0 or call.fate is Fate.KEPT_AS_PARTIAL:
                continue
            chain = _numbers(module, call.function)
            inside = next((number for number in chain if number in streaming), -1)
            if inside < 0:
                continue
            target = tree.resolve(call.path)
            name = _THREE.get(target.path)
            if name is None:
                continue
            used.add(inside)
            yield Place(
                module,
                call.line,
                call.column,
                symbol_of(module, call.function),
                _problem(tree, module, call, target, name),
            )
        for number in sorted(streaming - used):
            function = module.functions[number]
            yield Place(module, function.line, function.column, function.name)


def _numbers(module: Module, number: int) -> Iterator[int]:
    while number >= 0:
        yield number
        number = module.functions[number].parent


def _streaming(tree: Tree, module: Module, sends: Sends) -> set[int]:
    """Functions that stream, and those of their module that they wait for: the decorator does not reach into these."""
    own = set(sends.sending.get(module.name, ()))
    for number, function in enumerate(module.functions):
        contexts = {name.rpartition(".")[2] for name in function.decorators} & _CONTEXTS
        if function.is_async and function.is_generator and not contexts:
            own.add(number)
    own = {number for number in own if number >= 0 and _is_async(module, number)}
    callers = callers_of(tree, module)
    waiting = True
    while waiting:
        called = {
            callee
            for callee, by in callers.items()
            if callee >= 0 and callee not in own and module.functions[callee].is_async and by & own
        }
        own |= called
        waiting = bool(called)
    return own


def _is_async(module: Module, number: int) -> bool:
    return any(function.is_async for function in ancestors(module, number))


def _problem(tree: Tree, module: Module, call: Call, target: Target, name: str) -> str:
    protector, above = _protector(tree, module, call.function)
    if protector is not None:
        if call.is_read and not target.is_held:
            return ""
        return (
            f"asyncio.{name} is reached through an object that holds it, "
            f"also from code without the @windows_asyncio_safe of {protector.name}: keep windows_safe_{name} there"
        )
    if above:
        return f"raw asyncio.{name}: @windows_asyncio_safe stands above @{above}, and protects that one's wrapper alone"
    return f"raw asyncio.{name} in a streaming function"


def _protector(tree: Tree, module: Module, number: int) -> tuple[Function | None, str]:
    """The decorated function that a function is, or is part of; or the decorator that comes between."""
    above = ""
    for function in ancestors(module, number):
        own = f"{module.name}.{function.name}"
        later = (called for path, called in module.decorated_later if path == own)
        names = [tree.resolve(path).path.rpartition(".")[2] for path in function.decorators]
        names = [name.lstrip("?") for name in names]
        if "windows_asyncio_safe" in names:
            below = names[names.index("windows_asyncio_safe") + 1 :]
            between = [name for name in below if name not in _HARMLESS_DECORATORS]
            if not between:
                return function, ""
            above = between[0]
        elif any(tree.resolve(called).path.endswith("windows_asyncio_safe") for called in later):
            return function, ""
    return None, above


def nested_wait_for(tree: Tree) -> Iterator[Place]:
    """Calls of a wait_for, raw or safe."""
    for module in tree.modules.values():
        if tree.plays(module.name, "runtime"):
            continue
        kinds = {index: kind for index, call in enumerate(module.calls) if (kind := _wait_kind(tree, module, call))}
        waits = _waiting_functions(tree, module, kinds)
        inner: dict[int, str] = {}
        for index, call in enumerate(module.calls):
            outer = _enclosing(module, call.inside, kinds)
            if outer >= 0 and index in kinds and "raw" in (kinds[index], kinds[outer]):
                inner.setdefault(outer, f"line {call.line}")
            target = tree.resolve(call.path)
            number = tree.index_of(target) if target.module == module.name and target.sort is Sort.FUNCTION else -1
            if outer >= 0 and number in waits and call.fate is not Fate.HANDED_ON:
                inner.setdefault(outer, f"{module.functions[number].name}, line {waits[number]}")
        for index in kinds:
            for path in module.calls[index].arguments:
                held = path.removesuffix("()")
                target = tree.resolve(held)
                if path.endswith("()") and _THREE.get(target.path) == "wait_for":
                    inner.setdefault(index, "what was made before")
                number = tree.index_of(target) if target.module == module.name and target.sort is Sort.FUNCTION else -1
                if path.endswith("()") and number in waits:
                    inner.setdefault(index, f"{module.functions[number].name}, line {waits[number]}")
            call = module.calls[index]
            problem = f"wait_for around another one ({inner[index]})" if index in inner else ""
            yield Place(module, call.line, call.column, symbol_of(module, call.function), problem)


def _wait_kind(tree: Tree, module: Module, call: Call) -> str:
    if call.fate in (Fate.HANDED_ON, Fate.KEPT_AS_PARTIAL):
        return ""
    target = tree.resolve(call.path)
    if target.path.rpartition(".")[2].lstrip("?") in ("windows_safe_wait_for", "safe_wait_for"):
        return "safe"
    if _THREE.get(target.path) != "wait_for":
        return ""
    protector, _ = _protector(tree, module, call.function)
    return "safe" if protector is not None and call.is_read and not target.is_held else "raw"


def _enclosing(module: Module, inside: int, kinds: dict[int, str]) -> int:
    while inside >= 0 and inside not in kinds:
        inside = module.calls[inside].inside
    return inside


def _waiting_functions(tree: Tree, module: Module, kinds: dict[int, str]) -> dict[int, int]:
    """Coroutine functions of a module that wait with a raw wait_for, themselves or through others, with its line."""
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

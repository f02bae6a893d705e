"""NS202, NS301 and NS302: who sends, and whether code sees that a send fails."""

import re
from collections import defaultdict
from collections.abc import Iterator

from netra_sim.audit.facts import Call, Function, Module, ResultUse
from netra_sim.audit.handlers import NO_HANDLER
from netra_sim.audit.paths import AccessPath
from netra_sim.audit.rules.rule import Location, Rule, location_of, symbol_of
from netra_sim.audit.sending import SENDING_NAME, Channel, Send, Sends
from netra_sim.audit.tree import SymbolKind, Target, Tree

_MAY_BE_OTHER = re.compile(r"_*(deliver|push|reply|dispatch)")
_SPAWNERS = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe"})
_DROPPED = (ResultUse.DROPPED, ResultUse.AWAITED_AND_DROPPED)


def outside_bridge(tree: Tree) -> Iterator[Location]:
    """Sends over WebSockets, directly or through a manager."""
    for send in Sends.of(tree).sends:
        is_on_socket = send.channel in (Channel.SOCKET, Channel.CLIENT, Channel.MANAGER)
        if not is_on_socket or send.call.use is ResultUse.KEPT_AS_PARTIAL:
            continue
        problem = ""
        if send.channel is not Channel.CLIENT and not tree.has_role(send.module.name, "bridge"):
            problem = f"{_called(send)} sends over {send.channel.value} outside the bridge"
        yield location_of(send.module, send.call, problem)


def swallowed(tree: Tree) -> Iterator[Location]:
    """Sends; for the first one under a handler that swallows its failure, the handler."""
    reported: set[tuple[str, tuple[int, int]]] = set()
    for send in Sends.of(tree).sends:
        call, module = send.call, send.module
        if call.use in (ResultUse.PASSED_ON, ResultUse.KEPT_AS_PARTIAL):
            continue
        if call.handler == NO_HANDLER or (module.name, call.handler) in reported:
            yield location_of(module, call)
            continue
        reported.add((module.name, call.handler))
        problem = f"every failure of {_called(send)} in line {call.line} is swallowed here"
        yield Location(module, *call.handler, symbol_of(module, call.function), problem)


def ignored(tree: Tree) -> Iterator[Location]:
    """Sends, and other dropped results of what could be a send."""
    sends = Sends.of(tree)
    seen: set[tuple[str, int]] = set()
    for send in sends.sends:
        seen.add((send.module.name, send.number))
        yield location_of(send.module, send.call, _ignored(tree, sends, send))
    methods = _methods_by_name(tree)
    for module, index, call, target in tree.calls:
        if (module.name, index) in seen or call.use not in _DROPPED:
            continue
        function = tree.function(target)
        if function is not None and not function.is_generator:
            problem = _ignored_function(tree, sends, call, target, function)
        else:
            problem = _ignored_method(call.path, target, methods.get(target.path.name, []))
        if problem is not None:
            yield location_of(module, call, problem)


def _ignored(tree: Tree, sends: Sends, send: Send) -> str:
    call, module = send.call, send.module
    if call.use is ResultUse.DROPPED and sends.is_coroutine(send):
        return f"the coroutine of {_called(send)} is never awaited, so nothing is sent"
    function = tree.function(send.target)
    if call.use in _DROPPED and function is not None and function.returns_bool:
        return f"{_called(send)} returns whether it has sent, and nobody looks"
    for around in _around(module, call):
        name = around.path.name
        if name in _SPAWNERS and around.use is ResultUse.DROPPED:
            return f"{_called(send)} goes on in a task that nobody keeps, so its failure is never seen"
        is_dropped = around.use is ResultUse.AWAITED_AND_DROPPED
        if name.endswith("gather") and is_dropped and around.text == "return_exceptions":
            return f"gather returns the failures of {_called(send)} as results, and nobody looks"
    return ""


def _around(module: Module, call: Call) -> Iterator[Call]:
    """The calls that have a call in their arguments, the innermost first."""
    while call.inside >= 0:
        call = module.calls[call.inside]
        yield call


def _ignored_function(tree: Tree, sends: Sends, call: Call, target: Target, function: Function) -> str | None:
    """The problem with a call of a function that is not one of the sends; "" for none, None if it cannot send."""
    is_sender = tree.index_of(target) in sends.sending.get(target.module, ())
    is_named = SENDING_NAME.fullmatch(target.path.name) is not None
    if function.is_async and call.use is ResultUse.DROPPED and (is_sender or is_named):
        return f"the coroutine of {target.name} is never awaited, so nothing is sent"
    is_method = bool(function.owner) and not _MAY_BE_OTHER.match(target.path.name)
    if not is_named or not (is_sender or is_method):
        return None
    return f"{target.name} returns whether it has sent, and nobody looks" if function.returns_bool else ""


def _ignored_method(path: AccessPath, target: Target, methods: list[Function]) -> str | None:
    """The problem with a call of a method of an unknown object; None without a problem.

    Args:
        path: what the code calls.
        target: the end of that path.
        methods: all methods of the tree with this name.
    """
    method = target.path.name
    if target.kind is not SymbolKind.OTHER or not SENDING_NAME.fullmatch(method):
        return None
    is_bare = len(path.steps) < 2 and len(target.path.steps) < 2
    if is_bare or target.path.steps[0] in ("asyncio", "builtins"):
        return None
    if methods and all(one.returns_bool for one in methods):
        return f"{method} returns whether it has sent, and nobody looks"
    return None


def _methods_by_name(tree: Tree) -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = defaultdict(list)
    for module in tree.modules.values():
        for function in module.functions:
            if function.owner:
                found[function.name.rpartition(".")[2]].append(function)
    return found


def _called(send: Send) -> str:
    """The name of what a send calls, without calls and elements in it."""
    names = [step for step in send.target.path.steps if isinstance(step, str)]
    return send.target.name or ".".join(names) or "send"


RULES = (
    Rule(
        id="NS202",
        name="send-outside-bridge",
        question="Does everything that reaches a user go through the bridge?",
        unit="sends over WebSockets",
        why="A send beside the bridge has no number, no owner that is checked and no replay (B1, B2, B6, B8, S12).",
        fix="Publish through the run's emitter; what writes to sockets belongs to the bridge's own modules.",
        look=outside_bridge,
    ),
    Rule(
        id="NS301",
        name="swallowed-send-failure",
        question="Is a send that fails seen to fail?",
        unit="sends",
        why="Sends over a dead transport counted as delivered, and all was green while chat was dead (B7, S13).",
        fix="Catch the transport's own errors, and tell: return it, count it, close the connection, or raise.",
        look=swallowed,
    ),
    Rule(
        id="NS302",
        name="ignored-send-result",
        question="Is the result of every send looked at?",
        unit="sends",
        why="Five critical events were dropped and notify returned False to nobody (B4, B7, S12, S17).",
        fix="Await it, and use what it returns; keep a task and look at its exception.",
        look=ignored,
    ),
)

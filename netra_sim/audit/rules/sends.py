"""NS202, NS301 and NS302: who sends, and whether a send that fails is seen to fail."""

import re
from collections import defaultdict
from collections.abc import Iterator

from netra_sim.audit.facts import Call, Fate, Function, Module
from netra_sim.audit.rules.rule import Place, Rule, symbol_of
from netra_sim.audit.sending import SENDING_NAME, Send, Sends, Way
from netra_sim.audit.tree import Sort, Target, Tree

_MAY_BE_ELSE = re.compile(r"_*(deliver|push|reply|dispatch)")
_SPAWNERS = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe"})


def outside_bridge(tree: Tree) -> Iterator[Place]:
    """Sends over WebSockets, and through managers of them."""
    for send in Sends.of(tree).sends:
        call = send.call
        if send.way not in (Way.SOCKET, Way.CLIENT, Way.MANAGER) or call.fate is Fate.KEPT_AS_PARTIAL:
            continue
        problem = ""
        if send.way is not Way.CLIENT and not tree.plays(send.module.name, "bridge"):
            problem = f"{_called(send)} sends over {send.way.value} outside the bridge"
        yield Place(send.module, call.line, call.column, symbol_of(send.module, call.function), problem)


def swallowed(tree: Tree) -> Iterator[Place]:
    """Sends, each with the handler around it."""
    told: set[tuple[str, tuple[int, int]]] = set()
    for send in Sends.of(tree).sends:
        call, module = send.call, send.module
        if call.fate in (Fate.HANDED_ON, Fate.KEPT_AS_PARTIAL):
            continue
        if call.handler == (0, 0) or (module.name, call.handler) in told:
            yield Place(module, call.line, call.column, symbol_of(module, call.function))
            continue
        told.add((module.name, call.handler))
        problem = f"every failure of {_called(send)} in line {call.line} is swallowed here"
        yield Place(module, *call.handler, symbol_of(module, call.function), problem)


def ignored(tree: Tree) -> Iterator[Place]:
    """Sends, each with what becomes of its result."""
    sends = Sends.of(tree)
    seen: set[tuple[str, int]] = set()
    for send in sends.sends:
        seen.add((send.module.name, send.number))
        yield Place(
            send.module,
            send.call.line,
            send.call.column,
            symbol_of(send.module, send.call.function),
            _ignored(tree, sends, send),
        )
    by_name = _by_method_name(tree)
    for module, index, call, target in tree.calls:
        if (module.name, index) in seen or call.fate not in (Fate.DROPPED, Fate.AWAITED_AND_DROPPED):
            continue
        problem = _ignored_elsewhere(tree, sends, module, call, target, by_name)
        if problem is not None:
            yield Place(module, call.line, call.column, symbol_of(module, call.function), problem)


def _ignored(tree: Tree, sends: Sends, send: Send) -> str:
    call, module = send.call, send.module
    if call.fate is Fate.DROPPED and sends.is_coroutine(send):
        return f"the coroutine of {_called(send)} is never awaited, so nothing is sent"
    function = tree.function(send.target)
    if call.fate in (Fate.DROPPED, Fate.AWAITED_AND_DROPPED) and function is not None and _tells(function):
        return f"{_called(send)} returns whether it has sent, and nobody looks"
    outer = call.inside
    while outer >= 0:
        around = module.calls[outer]
        name = around.path.rpartition(".")[2].lstrip("?")
        if name in _SPAWNERS and around.fate is Fate.DROPPED:
            return f"{_called(send)} goes on in a task that nobody keeps, so its failure is never seen"
        is_dropped = around.fate is Fate.AWAITED_AND_DROPPED
        if name.endswith("gather") and is_dropped and around.text == "return_exceptions":
            return f"gather returns the failures of {_called(send)} as results, and nobody looks"
        outer = around.inside
    return ""


def _ignored_elsewhere(
    tree: Tree, sends: Sends, module: Module, call: Call, target: Target, by_name: dict[str, list[Function]]
) -> str | None:
    """Of calls that are no sends by what they are called on: the problem, "" for none, None if they are no sends."""
    method = target.path.rpartition(".")[2].lstrip("?")
    function = tree.function(target)
    if function is not None and not function.is_generator:
        is_sender = tree.index_of(target) in sends.sending.get(target.module, ())
        if function.is_async and call.fate is Fate.DROPPED and (is_sender or SENDING_NAME.fullmatch(method)):
            return f"the coroutine of {target.name} is never awaited, so nothing is sent"
        if SENDING_NAME.fullmatch(method) and (is_sender or (function.owner and not _MAY_BE_ELSE.match(method))):
            return f"{target.name} returns whether it has sent, and nobody looks" if _tells(function) else ""
        return None
    if target.sort is Sort.OTHER and SENDING_NAME.fullmatch(method) and "." in call.path + target.path:
        known = by_name.get(method, [])
        if known and all(_tells(one) for one in known) and not target.path.startswith(("asyncio.", "builtins.")):
            return f"{method} returns whether it has sent, and nobody looks"
    return None


def _by_method_name(tree: Tree) -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = defaultdict(list)
    for module in tree.modules.values():
        for function in module.functions:
            if function.owner:
                found[function.name.rpartition(".")[2]].append(function)
    return found


def _tells(function: Function) -> bool:
    return function.returns_bool


def _called(send: Send) -> str:
    path = send.target.name or send.target.path
    return path.replace("()", "").replace("[]", "").lstrip("?*~") or "send"


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

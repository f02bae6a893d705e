"""What counts as sending to a user: over a WebSocket, with an emitter, through the bridge or a manager, or by a helper."""

import re
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from netra_sim.audit.config import likes
from netra_sim.audit.facts import Call, Fate, Function, Module
from netra_sim.audit.tree import Sort, Target, Tree

SERVER_SOCKETS = frozenset({
    "WebSocket", "ServerConnection", "WebSocketServerProtocol", "WebSocketCommonProtocol", "WebSocketResponse",
    "WebSocketHandler", "WebSocketConnection", "WSTransport",
})  # fmt: skip
CLIENT_SOCKETS = frozenset({
    "ClientConnection", "WebSocketClientProtocol", "ClientWebSocketResponse", "WebSocketApp", "connect",
    "ws_connect", "create_connection", "websocket_connect", "unix_connect", "open_websocket",
    "open_websocket_url", "WebSocketTestSession",
})  # fmt: skip
_SOCKET_NAME = re.compile(
    r"_*(ws|wss|websockets?|web_sockets?|.*_(ws|websockets?)|(ws|websocket)_(conn|connection|client|sock))"
)
_PEER_NAME = re.compile(r"_*(.*_)?(socket|connection|client|conn|peer|subscriber)s?")
_SOCKET_METHODS = frozenset({"send", "send_json", "send_text", "send_bytes", "send_str", "write_message"})
_TELLING_METHODS = frozenset({"send_json", "send_text", "send_str"})
SENDING_NAME = re.compile(r"_*(send|notify|emit|publish|broadcast|deliver|push|reply|dispatch_event)(_.*)?")
_EVENT_NAME = re.compile(r"(agent|tool)_(started|thinking|executing|completed|error)")
_RECEIVES = frozenset(
    {"recv", "receive", "receive_json", "receive_text", "receive_bytes", "iter_text", "iter_json", "iter_bytes"}
)
_SYNCHRONOUS = ("websockets.sync.", "websocket.", "simple_websocket.", "flask_sock.", "geventwebsocket.")


class Way(Enum):
    """How something reaches a user."""

    SOCKET = "a WebSocket"
    CLIENT = "a client's WebSocket"
    MANAGER = "a connection manager"
    EMITTER = "an emitter"
    BRIDGE = "the bridge"
    HELPER = "a function that sends"


class Send(NamedTuple):
    """A call that sends."""

    module: Module
    number: int
    call: Call
    target: Target
    way: Way


class Sends:
    """All sends of a tree, and which functions send or read, themselves or through others of their module."""

    @classmethod
    def of(cls, tree: Tree) -> "Sends":
        """Those of a tree, found once."""
        found = tree.kept.get(cls)
        if not isinstance(found, cls):
            found = tree.kept[cls] = cls(tree)
        return found

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.sends: list[Send] = []
        self.reads: list[tuple[Module, Call]] = []
        self._streams_itself: dict[str, set[int]] = defaultdict(set)
        others = []
        for module, index, call, target in tree.calls:
            way = self._way(module, call, target)
            if way is not None:
                self.sends.append(Send(module, index, call, target, way))
                self._streams_itself[module.name].add(call.function)
            else:
                others.append((module, index, call, target))
            if self._is_read(module, call, target):
                self.reads.append((module, call))
                self._streams_itself[module.name].add(call.function)
        for module in tree.modules.values():
            for number, function in enumerate(module.functions):
                if any(self._socket(module, number, path) for path in function.iterates):
                    self._streams_itself[module.name].add(number)
        self.sending = {name: self._with_callers(name, own) for name, own in self._streams_itself.items()}
        for module, index, call, target in others:
            if target.sort is Sort.FUNCTION and SENDING_NAME.fullmatch(target.name.rpartition(".")[2]):
                numbers = self.sending.get(target.module, set())
                if tree.index_of(target) in numbers:
                    self.sends.append(Send(module, index, call, target, Way.HELPER))

    def _with_callers(self, name: str, own: set[int]) -> set[int]:
        module = self._tree.modules[name]
        callers = callers_of(self._tree, module)
        found, waiting = set(own), list(own)
        while waiting:
            for caller in callers.get(waiting.pop(), ()):
                if caller not in found:
                    found.add(caller)
                    waiting.append(caller)
        return found

    def _is_read(self, module: Module, call: Call, target: Target) -> bool:
        if target.sort is not Sort.OTHER:
            return False
        receiver, _, method = target.path.rpartition(".")
        return method in _RECEIVES and self._socket(module, call.function, receiver or target.path) is not None

    def _way(self, module: Module, call: Call, target: Target) -> Way | None:
        if call.text == "websocket.send" and SENDING_NAME.fullmatch(_name(call.path)):
            return Way.SOCKET  # a message of ASGI
        if target.sort is Sort.FUNCTION:
            return self._way_of_method(module, call, target)
        if target.sort is not Sort.OTHER:
            return None
        receiver, _, method = target.path.rpartition(".")
        if not receiver:
            return None
        if method in _SOCKET_METHODS:
            way = self._socket(module, call.function, receiver)
            if way is not None:
                return way
            name = _name(receiver)
            is_peer = _PEER_NAME.fullmatch(name) and not receiver.endswith("()") and "()" not in name
            is_waited_for = call.fate in (Fate.AWAITED, Fate.AWAITED_AND_DROPPED) or call.inside >= 0
            if method in _TELLING_METHODS and is_peer and is_waited_for:
                return Way.SOCKET
        return self._way_by_name(receiver, method)

    def _way_by_name(self, receiver: str, method: str) -> Way | None:
        name, config = _name(receiver), self._tree.config
        is_sending = SENDING_NAME.fullmatch(method) is not None
        is_instance = receiver.endswith("()")
        if is_instance and any(likes(name, pattern) for pattern in config.managers):
            return Way.MANAGER if is_sending else None
        lower = name.lower().strip("_")
        if lower.endswith(("websocket_manager", "ws_manager", "connection_manager")):
            return Way.MANAGER if is_sending else None
        if lower.endswith("emitter") and (_EVENT_NAME.fullmatch(method) or is_sending):
            return Way.EMITTER
        if lower.endswith("bridge") and (is_sending or _EVENT_NAME.fullmatch(method)):
            return Way.BRIDGE
        return None

    def _way_of_method(self, module: Module, call: Call, target: Target) -> Way | None:
        tree, config = self._tree, self._tree.config
        owner_name, _, method = target.name.rpartition(".")
        owner = tree.modules[target.module].classes.get(owner_name)
        if owner is None:
            return None
        is_sending = SENDING_NAME.fullmatch(method) is not None
        is_event = _EVENT_NAME.fullmatch(method) is not None
        if not is_sending and not is_event:
            return None
        lineage = tree.lineage(Target(Sort.CLASS, f"{target.module}.{owner_name}", target.module, owner_name))
        names = [one.path.removesuffix("()").rpartition(".")[2] for one in lineage]
        if any(likes(name, pattern) for name in names for pattern in config.emitters):
            return Way.EMITTER
        if any(name.endswith("Bridge") for name in names):
            return Way.BRIDGE
        caller = module.functions[call.function] if call.function >= 0 else None
        is_own = caller is not None and module.name == target.module and caller.owner == owner_name
        if any(likes(name, pattern) for name in names for pattern in config.managers):
            return None if is_own else Way.MANAGER
        if any(name in SERVER_SOCKETS for name in names) and method in _SOCKET_METHODS:
            return None if is_own else Way.SOCKET
        return None

    def _socket(self, module: Module, number: int, path: str) -> Way | None:
        """The way, if a path leads to a WebSocket."""
        target = self._tree.resolve(path)
        known = self._tree.class_of(target)
        if known is not None:
            names = [one.path.removesuffix("()").rpartition(".")[2] for one in self._tree.lineage(target)]
            return Way.SOCKET if any(name in SERVER_SOCKETS for name in names) else None
        receiver = target.path
        for inner in (".protocol", ".transport", ".ws_connection"):
            receiver = receiver.removesuffix(inner)
        # ``ws.iter_text()`` and an element of what it gives stand for the socket.
        parts = receiver.removesuffix("()").rpartition(".")
        if receiver.endswith("()") and parts[2] in _RECEIVES:
            receiver = parts[0]
        name = _name(receiver)
        if receiver.endswith(("()", "()[]")):
            if name in SERVER_SOCKETS:
                return Way.SOCKET
            if name in CLIENT_SOCKETS:
                return Way.CLIENT
            return Way.SOCKET if _SOCKET_NAME.fullmatch(name) else None
        if _SOCKET_NAME.fullmatch(name):
            return Way.SOCKET
        function = module.functions[number] if number >= 0 else None
        if function is not None and function.parameters and receiver == f"?{function.parameters[0]}":
            handed = (self._tree.resolve(called).path for called in function.callback_of)
            return Way.SOCKET if any(_serves(one) for one in handed) else None
        return None

    def is_coroutine(self, send: Send) -> bool:
        """Whether nothing is sent unless the call is awaited."""
        function = self._tree.function(send.target)
        if function is not None:
            return function.is_async and not function.is_generator
        path = send.target.path
        if send.way not in (Way.SOCKET, Way.CLIENT) or path.startswith(_SYNCHRONOUS) or ".protocol." in path:
            return False
        if path.endswith(".write_message"):
            return False
        caller = send.module.functions[send.call.function] if send.call.function >= 0 else None
        is_known = "()" in path and not path.startswith("?")
        return is_known or (caller is not None and caller.is_async)


def _serves(path: str) -> bool:
    return path.endswith(".serve") and "websockets" in path


def _name(path: str) -> str:
    """The last identifier of a path."""
    return path.replace("()", "").replace("[]", "").rpartition(".")[2].lstrip("?*~")


def callers_of(tree: Tree, module: Module) -> dict[int, set[int]]:
    """Within a module: for each function, those that call it."""
    callers: dict[int, set[int]] = defaultdict(set)
    for call in module.calls:
        if call.function < 0 or call.fate is Fate.HANDED_ON:
            continue
        target = tree.resolve(call.path)
        if target.sort is Sort.FUNCTION and target.module == module.name:
            callers[tree.index_of(target)].add(call.function)
    return callers


def ancestors(module: Module, number: int) -> Iterator[Function]:
    """A function and those that it is nested in, the innermost first."""
    while number >= 0:
        yield module.functions[number]
        number = module.functions[number].parent

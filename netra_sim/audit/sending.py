"""What counts as a send to a user: over a WebSocket, with an emitter, through the bridge or a manager, or by a helper."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from netra_sim.audit.config import matches_glob
from netra_sim.audit.facts import Call, Function, Module, ResultUse
from netra_sim.audit.paths import AccessPath, Known, Op, Unknown
from netra_sim.audit.tree import SymbolKind, Target, Tree

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
_MESSAGE_METHODS = frozenset({"send_json", "send_text", "send_str"})
SENDING_NAME = re.compile(
    # A signal goes to a process, never to a user.
    r"_*(send(?!_signal$)|notify|emit|publish|broadcast|deliver|push|reply|dispatch_event)(_.*)?"
)
_EVENT_NAME = re.compile(r"(agent|tool)_(started|thinking|executing|completed|error)")
_RECEIVES = frozenset(
    {"recv", "receive", "receive_json", "receive_text", "receive_bytes", "iter_text", "iter_json", "iter_bytes"}
)
_SYNCHRONOUS = frozenset({"websocket", "simple_websocket", "flask_sock", "geventwebsocket"})
_INNER = frozenset({"protocol", "transport", "ws_connection"})
_WAITED_FOR = (ResultUse.AWAITED, ResultUse.AWAITED_AND_DROPPED)


class Channel(Enum):
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
    channel: Channel


class Sends:
    """All sends of a tree, and the functions that send or read, directly or through other functions of their module.

    Attributes:
        sends: the calls that send.
        reads: the calls that read from a WebSocket, with their modules.
        sending: by module, the indices of the functions that send or read; -1 for the module level.
    """

    @classmethod
    def of(cls, tree: Tree) -> "Sends":
        """The sends of a tree, which the tree caches."""
        found = tree.cache.get(cls)
        if not isinstance(found, cls):
            found = tree.cache[cls] = cls(tree)
        return found

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.sends: list[Send] = []
        self.reads: list[tuple[Module, Call]] = []
        direct: dict[str, set[int]] = defaultdict(set)
        others = []
        for module, index, call, target in tree.calls:
            channel = self._channel(module, call, target)
            is_read = self._is_read(module, call, target)
            if channel is not None:
                self.sends.append(Send(module, index, call, target, channel))
            else:
                others.append((module, index, call, target))
            if is_read:
                self.reads.append((module, call))
            if channel is not None or is_read:
                direct[module.name].add(call.function)
        for module in tree.modules.values():
            for number, function in enumerate(module.functions):
                if any(self._socket(module, number, path) for path in function.iterates):
                    direct[module.name].add(number)
        self.sending = {name: with_callers(tree, tree.modules[name], own) for name, own in direct.items()}
        for module, index, call, target in others:
            if self._is_helper(target):
                self.sends.append(Send(module, index, call, target, Channel.HELPER))

    def _is_helper(self, target: Target) -> bool:
        is_named = SENDING_NAME.fullmatch(target.path.name) is not None
        is_function = target.kind is SymbolKind.FUNCTION
        return is_function and is_named and self._tree.index_of(target) in self.sending.get(target.module, ())

    def _is_read(self, module: Module, call: Call, target: Target) -> bool:
        path = target.path
        if target.kind is not SymbolKind.OTHER or path.name not in _RECEIVES or len(path.steps) < 2:
            return False
        return self._socket(module, call.function, path.parent) is not None

    def _channel(self, module: Module, call: Call, target: Target) -> Channel | None:
        if call.text == "websocket.send" and SENDING_NAME.fullmatch(call.path.last_name):
            return Channel.SOCKET  # a message of ASGI
        if target.kind is SymbolKind.FUNCTION:
            return self._channel_of_method(module, call, target)
        if target.kind is not SymbolKind.OTHER or len(target.path.steps) < 2:
            return None
        receiver, method = target.path.parent, target.path.name
        if method in _SOCKET_METHODS:
            channel = self._socket(module, call.function, receiver)
            if channel is not None:
                return channel
            is_waited_for = call.use in _WAITED_FOR or call.inside >= 0
            if method in _MESSAGE_METHODS and is_waited_for and _PEER_NAME.fullmatch(_object_name(receiver)):
                return Channel.SOCKET
        return self._channel_by_name(receiver, method)

    def _channel_by_name(self, receiver: AccessPath, method: str) -> Channel | None:
        name = receiver.last_name
        lower = name.lower().strip("_")
        is_sending = SENDING_NAME.fullmatch(method) is not None
        is_event = _EVENT_NAME.fullmatch(method) is not None
        is_manager = receiver.is_call and matches_glob(name, *self._tree.config.managers)
        if is_manager or lower.endswith(("websocket_manager", "ws_manager", "connection_manager")):
            return Channel.MANAGER if is_sending else None
        if lower.endswith("emitter") and (is_event or is_sending):
            return Channel.EMITTER
        if lower.endswith("bridge") and (is_event or is_sending):
            return Channel.BRIDGE
        return None

    def _channel_of_method(self, module: Module, call: Call, target: Target) -> Channel | None:
        tree, config = self._tree, self._tree.config
        owner, _, method = target.name.rpartition(".")
        if owner not in tree.modules[target.module].classes:
            return None
        if not SENDING_NAME.fullmatch(method) and not _EVENT_NAME.fullmatch(method):
            return None
        names = tree.names_of(Target.of(SymbolKind.CLASS, target.module, owner))
        if any(matches_glob(name, *config.emitters) for name in names):
            return Channel.EMITTER
        if any(name.endswith("Bridge") for name in names):
            return Channel.BRIDGE
        caller = module.functions[call.function] if call.function >= 0 else None
        if caller is not None and module.name == target.module and caller.owner == owner:
            return None  # a manager or a socket that calls itself
        if any(matches_glob(name, *config.managers) for name in names):
            return Channel.MANAGER
        is_socket = method in _SOCKET_METHODS and not SERVER_SOCKETS.isdisjoint(names)
        return Channel.SOCKET if is_socket else None

    def _socket(self, module: Module, number: int, path: AccessPath) -> Channel | None:
        """The channel, if a path leads to a WebSocket.

        Args:
            module: the module that uses the path.
            number: index of the function that uses it; -1 at module level.
            path: the path.
        """
        target = self._tree.resolve(path)
        if self._tree.class_of(target) is not None:
            return Channel.SOCKET if not SERVER_SOCKETS.isdisjoint(self._tree.names_of(target)) else None
        receiver = _outermost(target.path)
        match receiver.steps:
            case (*_, Op.CALL) | (*_, Op.CALL, Op.ELEMENT):
                return _socket_made_by(receiver.last_name)
        if _SOCKET_NAME.fullmatch(receiver.last_name):
            return Channel.SOCKET
        function = module.functions[number] if number >= 0 else None
        if function is not None and function.parameters and receiver == Unknown(function.parameters[:1]):
            handed = (self._tree.resolve(called).path for called in function.callback_of)
            return Channel.SOCKET if any(_serves(one) for one in handed) else None
        return None

    def is_coroutine(self, send: Send) -> bool:
        """Whether nothing is sent unless the caller awaits the call."""
        function = self._tree.function(send.target)
        if function is not None:
            return function.is_async and not function.is_generator
        path = send.target.path
        if (
            send.channel not in (Channel.SOCKET, Channel.CLIENT)
            or path.name == "write_message"
            or _is_synchronous(path)
        ):
            return False
        caller = send.module.functions[send.call.function] if send.call.function >= 0 else None
        is_known = isinstance(path, Known) and Op.CALL in path.steps
        return is_known or (caller is not None and caller.is_async)


def _outermost(path: AccessPath) -> AccessPath:
    """The WebSocket that a transport, or a call such as ``ws.iter_text()``, belongs to."""
    while len(path.steps) > 1 and path.name in _INNER:
        path = path.parent
    return path.parent.parent if path.is_call and path.parent.name in _RECEIVES else path


def _socket_made_by(name: str) -> Channel | None:
    """The channel, if a class or function with this name makes a WebSocket."""
    if name in CLIENT_SOCKETS:
        return Channel.CLIENT
    return Channel.SOCKET if name in SERVER_SOCKETS or _SOCKET_NAME.fullmatch(name) else None


def _object_name(path: AccessPath) -> str:
    """The last name of a path that does not end with a call, else an empty text."""
    return "" if path.is_call else path.last_name


def _is_synchronous(path: AccessPath) -> bool:
    if "protocol" in path.steps[1:-1]:
        return True
    return isinstance(path, Known) and (path.steps[0] in _SYNCHRONOUS or path.steps[:2] == ("websockets", "sync"))


def _serves(path: AccessPath) -> bool:
    return path.name == "serve" and any("websockets" in step for step in path.steps if isinstance(step, str))


def with_callers(tree: Tree, module: Module, functions: Iterable[int]) -> set[int]:
    """Functions of a module, and those that call them, directly or through others."""
    callers = callers_of(tree, module)
    found, waiting = set(functions), list(functions)
    while waiting:
        new = callers.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def callers_of(tree: Tree, module: Module) -> dict[int, set[int]]:
    """For each function of a module, the functions of the module that call it."""
    callers: dict[int, set[int]] = defaultdict(set)
    for call in module.calls:
        if call.function < 0 or call.use is ResultUse.PASSED_ON:
            continue
        target = tree.resolve(call.path)
        if target.kind is SymbolKind.FUNCTION and target.module == module.name:
            callers[tree.index_of(target)].add(call.function)
    return callers


def ancestors(module: Module, number: int) -> Iterator[Function]:
    """A function and the functions around it, the innermost first."""
    while number >= 0:
        yield module.functions[number]
        number = module.functions[number].parent

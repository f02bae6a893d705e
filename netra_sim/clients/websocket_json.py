"""The client protocol ``websocket-json``: JSON or plain text over WebSocket, as the scenario describes it."""

import asyncio
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.typing import Subprotocol

from netra_sim.clients.journal import ENDED, Journal
from netra_sim.clients.json_events import JsonEvent, JsonProtocol
from netra_sim.clients.protocol import Request, Seconds, Session, SystemAddress
from netra_sim.clients.templates import fill, fill_path, uses, values_of
from netra_sim.clients.tls import tls_context
from netra_sim.history import IsolatedBy
from netra_sim.protocol import CLOSE_GOING_AWAY, CLOSE_LOST, CLOSE_NORMAL
from netra_sim.recording import each_mark
from netra_sim.resetting import reset

_LARGEST_FRAME = 16 * 1024 * 1024


class WebSocketJson(JsonProtocol, frozen=True, tag="websocket-json"):
    """Messages over a WebSocket, in JSON or plain text.

    The texts of ``path``, ``headers``, ``first`` and ``message`` may hold the marks ``{user}``, ``{number}`` (the last
    number in the user's id) and ``{room}``; ``message`` also ``{text}``, ``{thread}`` and ``{run}``. A ``path`` with
    ``{thread}`` or ``{run}`` gives each thread or run a connection of its own.

    An event belongs to the run that it names at the path ``run``, else to the run that its marks name if there is a room or
    a broadcast, else to the oldest run that is under way. A user of a protocol without ``run`` sends a request when the one
    before it has ended, as nothing else tells the answers apart.

    Attributes:
        path: of the URL.
        headers: of the handshake, such as ``Authorization = "Bearer {user}"``.
        subprotocols: that the client offers.
        first: messages that are sent after connecting.
        message: that asks: a table is sent as JSON, a text as it is.
        quiet: seconds without a frame after which a run has ended, for protocols whose runs have no last event.
        room: in which the user is. Marks of others in the same room are wanted; without a room no mark of others is.
        expect_broadcast: whether the user's own message must come back. Without ``end`` and ``quiet``, the frame that
            brings it is the end of the run.
    """

    path: str = "/"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    first: tuple[Any, ...] = ()
    message: Any = msgspec.field(default_factory=lambda: {"message": "{text}"})
    quiet: Seconds | msgspec.UnsetType = msgspec.UNSET
    room: str = ""
    expect_broadcast: bool = False

    def __post_init__(self) -> None:
        if self.end is msgspec.UNSET and self.quiet is msgspec.UNSET and not self.expect_broadcast:
            raise ValueError("websocket-json must know when a run has ended: set end, quiet or expect_broadcast")

    @property
    def isolated_by(self) -> IsolatedBy:
        """See `ClientProtocol.isolated_by`."""
        return "room" if self.room else "thread"

    def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
        """See `ClientProtocol.session`."""
        return _Session(self, target, user_id, journal, seed)


class _Run:
    """A run that the client waits for."""

    def __init__(self, run_id: str, leaves_after: int) -> None:
        self.run_id = run_id
        self.leaves_after = leaves_after
        self.events = 0
        self.has_come_back = False
        self.has_ended = False
        self.last_frame_at = asyncio.get_running_loop().time()
        self.over = asyncio.Event()


class _Line:
    """One open connection."""

    def __init__(self, connection_id: str, socket: ClientConnection) -> None:
        self.connection_id = connection_id
        self.socket = socket
        self.runs: dict[str, _Run] = {}
        self.reading: asyncio.Task[None] | None = None


class _Session:
    """See `netra_sim.clients.protocol.Session`."""

    def __init__(
        self, protocol: WebSocketJson, target: SystemAddress, user_id: str, journal: Journal, seed: int
    ) -> None:
        self._protocol = protocol
        self._target = target
        self._user_id = user_id
        self._journal = journal
        self._seed = seed
        self._room = str(fill(protocol.room, values_of(user_id)))
        self._is_shared = bool(self._room) or protocol.expect_broadcast
        self._ends_when_back = protocol.end is msgspec.UNSET and protocol.quiet is msgspec.UNSET
        self._is_per_run = uses(protocol.path, "run")
        self._lines: dict[str, _Line] = {}
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Connect and send the first messages, unless the path is that of a thread or run."""
        if not uses(self._protocol.path, "thread", "run"):
            await self._line(values_of(self._user_id, room=self._room), "")

    async def ask(self, request: Request) -> None:
        """Send a message, and wait for the end of its run."""
        run_id, thread = request.run_id, self._protocol.thread_for(self._seed, request)
        values = values_of(self._user_id, thread=thread, run=run_id, text=request.text, room=self._room)
        self._journal.requested(run_id, request.due, self._room or thread)
        if self._protocol.run or self._is_per_run:
            await self._carry_out(request, values)
        else:
            async with self._turn:
                await self._carry_out(request, values)

    async def leave(self) -> None:
        """Close all connections with a closing handshake."""
        for path in list(self._lines):
            await self._close(path, CLOSE_NORMAL, "the client closed the connection")

    def cut(self) -> None:
        """Reset all connections."""
        for path in list(self._lines):
            line = self._drop(path, CLOSE_LOST, "the client lost the connection")
            self._leave_runs(line, by_choice=False)
            reset(line.socket.transport)

    async def _carry_out(self, request: Request, values: dict[str, str]) -> None:
        journal, run_id = self._journal, request.run_id
        path = self._path(values)
        try:
            line = await self._line(values, run_id)
            if line is None:
                return
            run = line.runs[run_id] = _Run(run_id, self._protocol.leaves_after(self._seed, run_id))
            try:
                await line.socket.send(_encoded(fill(self._protocol.message, values)))
                await self._until_over(run, line)
            except ConnectionClosed:
                pass  # the run has no end; the reading of the connection records its close
            finally:
                line.runs.pop(run_id, None)
            if self._is_per_run and self._lines.get(path) is line:
                await self._close(path, CLOSE_NORMAL, "the run is over")
        finally:
            journal.forget(run_id)

    async def _until_over(self, run: _Run, line: _Line) -> None:
        """Wait for the end of a run, the end of its connection, or the moment at which the user leaves."""
        quiet = self._protocol.quiet
        loop = asyncio.get_running_loop()
        while not run.over.is_set():
            try:
                async with asyncio.timeout_at(None if quiet is msgspec.UNSET else run.last_frame_at + quiet):
                    await run.over.wait()
            except TimeoutError:
                if quiet is msgspec.UNSET or loop.time() < run.last_frame_at + quiet:
                    continue  # a frame has come meanwhile
                if run.has_come_back or not self._protocol.expect_broadcast:
                    self._journal.received(line.connection_id, run.run_id, ENDED, b"")
                return
        if line.reading is not None and line.reading.done() and not line.reading.cancelled():
            line.reading.result()  # raises what ended it, if that was a defect
        if not run.has_ended and run.leaves_after and run.events >= run.leaves_after:
            for path in [path for path, one in self._lines.items() if one is line]:
                await self._close(path, CLOSE_GOING_AWAY, "the user left in the middle of the run")

    def _path(self, values: dict[str, str]) -> str:
        return self._target.path + fill_path(self._protocol.path, values)

    async def _line(self, values: dict[str, str], run_id: str) -> _Line | None:
        """The connection of this path, opened if there is none; None if it cannot be opened."""
        path = self._path(values)
        async with self._opening:
            if path not in self._lines:
                try:
                    self._lines[path] = await self._open(path, values)
                except (OSError, WebSocketException) as error:
                    self._refused(error, run_id)
            return self._lines.get(path)

    def _refused(self, error: Exception, run_id: str) -> None:
        if not isinstance(error, InvalidStatus):
            self._journal.connect_refused(f"{type(error).__name__}: {error}")
            return
        response, reason = error.response, f"http {error.response.status_code}"
        self._journal.connect_refused(reason)
        self._journal.received_control("", reason, _head(response) + b"\n\n" + (response.body or b""), run_id)
        if run_id:
            self._journal.refused(run_id, reason)

    async def _open(self, path: str, values: dict[str, str]) -> _Line:
        protocol, target = self._protocol, self._target
        socket = await connect(
            f"{'wss' if target.tls else 'ws'}://{target.authority}{path}",
            additional_headers=fill(protocol.headers, values),
            subprotocols=[Subprotocol(name) for name in protocol.subprotocols] or None,
            ssl=tls_context() if target.tls else None,
            proxy=None,
            compression=None,
            max_size=_LARGEST_FRAME,
            open_timeout=None,
            close_timeout=2,
        )
        line = _Line(self._journal.connected(room=self._room), socket)
        head = socket.response
        if head is not None:
            self._journal.received_control(line.connection_id, f"http {head.status_code}", _head(head))
        line.reading = asyncio.create_task(self._read(path, line), name=f"reading of {self._user_id}")
        for message in protocol.first:
            await socket.send(_encoded(fill(message, values)))
        return line

    async def _read(self, path: str, line: _Line) -> None:
        try:
            while True:
                frame = await line.socket.recv(decode=False)
                if self._lines.get(path) is line:  # a client that has left takes frames off the line and reads none
                    self._on_frame(line, frame)
        except ConnectionClosed:
            socket = line.socket
            if self._lines.get(path) is line:
                if reason := socket.close_reason:
                    self._journal.received_control(line.connection_id, f"close {socket.close_code}", reason.encode())
                self._drop(path, socket.close_code or CLOSE_LOST, socket.close_reason or "the connection ended")
        finally:
            for run in line.runs.values():
                run.over.set()

    async def _close(self, path: str, code: int, reason: str) -> None:
        line = self._drop(path, code, reason)
        self._leave_runs(line, by_choice=code == CLOSE_GOING_AWAY)
        await line.socket.close(code)
        if line.reading is not None:
            await line.reading

    def _drop(self, path: str, code: int, reason: str) -> _Line:
        line = self._lines.pop(path)
        self._journal.disconnected(line.connection_id, code, reason)
        return line

    def _leave_runs(self, line: _Line, *, by_choice: bool) -> None:
        for run in line.runs.values():
            if not run.has_ended:
                self._journal.left(line.connection_id, run.run_id, by_choice=by_choice)
            run.over.set()

    def _on_frame(self, line: _Line, frame: bytes) -> None:
        try:
            event = self._protocol.event(msgspec.json.decode(frame), "message")
        except (msgspec.DecodeError, UnicodeError):
            event = JsonEvent("text", "", "", {})
        named = next((run for _, run in each_mark(frame) if run), "") if self._is_shared else ""
        run_id = event.run_id or named or next(iter(line.runs), "")
        run = line.runs.get(run_id)
        if not run_id:
            self._journal.received_control(line.connection_id, event.kind, frame)
            return
        end = event.end if run is not None and not run.has_ended else ""
        if run is not None:
            run.events += 1
            run.last_frame_at = asyncio.get_running_loop().time()
            run.has_come_back |= run_id in (run for _, run in each_mark(frame))
            if self._ends_when_back and run.has_come_back and not run.has_ended:
                end = end or ENDED
        details = event.details if run is not None else {**event.details, "content": ""}
        self._journal.received(line.connection_id, run_id, end or event.kind, frame, **details)
        if run is not None and end:
            run.has_ended = True
            if end == ENDED and self._protocol.content:
                self._journal.answered(run_id)
            run.over.set()
        elif run is not None and run.events == run.leaves_after:
            run.over.set()


def _head(response: Response) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in response.headers.raw_items()).encode()


def _encoded(message: Any) -> str:
    return message if isinstance(message, str) else msgspec.json.encode(message).decode()

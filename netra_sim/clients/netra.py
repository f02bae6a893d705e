"""The client protocol ``netra``: the WebSocket protocol of this package, by the client that users install."""

import asyncio
from contextlib import suppress

import jwt
import msgspec
from websockets.exceptions import WebSocketException

from netra_sim.clients.journal import Journal
from netra_sim.clients.protocol import ClientProtocol, Request, Session, SystemAddress
from netra_sim.clients.templates import fill, fill_path, values_of
from netra_sim.factory import answer_to, run_id_of
from netra_sim.history import IsolatedBy, Kind
from netra_sim.protocol import CLOSE_LOST, CLOSE_NORMAL, AgentCompleted, AgentError, Event, Hello, Reading, Refused
from netra_sim.recording import how_answered
from netra_sim.server import AgentClient

_NEVER = 4_102_444_800
"""The year 2100, in seconds since 1970: when the tokens of simulated users expire."""


class Netra(ClientProtocol, frozen=True, tag="netra"):
    """The protocol of `AgentServer`: the client reconnects by itself, and resumes without losing events.

    The id of a request's run must be the one that the server gives to it, see `netra_sim.factory.run_id_of`.

    Attributes:
        path: of the URL.
        token: of each user, with the marks ``{user}`` and ``{number}``; it counts only without ``secret``.
        secret: with which the server checks tokens (HS256); each user gets a token that never expires.
        audience: of these tokens.
        server_records: whether the server's bridge writes to the same history, and so records its connections itself.
        checks_answers: whether the agents are the ones of this package, whose right answer the client can compute.
    """

    path: str = "/"
    token: str = "{user}"  # noqa: S105 - a template
    secret: str = ""
    audience: str = "netra_sim"
    server_records: bool = False
    checks_answers: bool = True

    @property
    def kinds(self) -> frozenset[Kind]:
        """See `ClientProtocol.kinds`."""
        answers = frozenset({Kind.ANSWERED}) if self.checks_answers else frozenset()
        return super().kinds | answers | {Kind.GAP_RECEIVED, Kind.REPEATED, Kind.MISSING}

    @property
    def isolated_by(self) -> IsolatedBy:
        """See `ClientProtocol.isolated_by`."""
        return "run"

    @property
    def names_runs(self) -> bool:
        """See `ClientProtocol.names_runs`."""
        return True

    def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
        """See `ClientProtocol.session`."""
        return _Session(self, target, user_id, journal, seed)

    def token_of(self, user_id: str) -> str:
        """The token with which a user connects."""
        if not self.secret:
            return str(fill(self.token, values_of(user_id)))
        claims = {"sub": user_id, "aud": self.audience, "exp": _NEVER}
        return jwt.encode(claims, self.secret, algorithm="HS256", headers={"kid": "1"})


class _Run(msgspec.Struct):
    """A run that the client reads."""

    request: Request
    ended: asyncio.Event
    leaves_after: int
    events: int = 0
    connection_id: str = ""


class _Session:
    """See `netra_sim.clients.protocol.Session`."""

    def __init__(self, protocol: Netra, target: SystemAddress, user_id: str, journal: Journal, seed: int) -> None:
        self._protocol = protocol
        path = target.path + fill_path(protocol.path, values_of(user_id))
        self._uri = f"{'wss' if target.tls else 'ws'}://{target.authority}{path}"
        self._token = protocol.token_of(user_id)
        self._journal = journal
        self._seed = seed
        self._client: AgentClient | None = None
        self._connection_id = ""
        self._opening = asyncio.Lock()
        self._runs: dict[str, _Run] = {}

    async def connect(self) -> None:
        """Connect, if the client is not connected; the client then reconnects by itself."""
        async with self._opening:
            if self._client is not None:
                return
            client = AgentClient(self._uri, self._token, self._on_reading)
            try:
                self._client = await client.__aenter__()
            except (OSError, WebSocketException) as error:
                self._journal.connect_refused(f"{type(error).__name__}: {error}")

    async def ask(self, request: Request) -> None:
        """Send a request and wait for the end of its run."""
        run_id, thread = request.run_id, self._protocol.thread_for(self._seed, request)
        self._journal.requested(run_id, request.due, thread)
        run = _Run(request, asyncio.Event(), self._protocol.leaves_after(self._seed, run_id))
        self._runs[run_id] = run
        message = {"type": "execute_agent", "message": request.text, "thread_id": thread}
        message["request_id"] = run_id.removeprefix(run_id_of(request.user_id, ""))
        try:
            await self.connect()
            if self._client is None:
                return
            with suppress(ConnectionError):  # the client has given up: the run has no end
                await self._client.send(message)
                await self._until_end(run, self._client)
        finally:
            self._runs.pop(run_id, None)
            self._journal.forget(run_id)

    async def leave(self) -> None:
        """Close the connection."""
        await self._close(by_choice=False)

    async def _close(self, *, by_choice: bool) -> None:
        client, self._client = self._client, None
        for run in list(self._runs.values()):
            if run.connection_id:
                self._journal.left(run.connection_id, run.request.run_id, by_choice=by_choice)
            run.ended.set()
        if client is not None:
            with suppress(OSError, WebSocketException):  # of a handshake that the server refused meanwhile
                await client.__aexit__(None, None, None)
        if self._connection_id:
            self._journal.disconnected(self._connection_id, CLOSE_NORMAL, "the client closed the connection")

    def cut(self) -> None:
        """Reset the connection; the client reconnects and resumes."""
        if self._client is not None:
            self._client.cut()

    async def _until_end(self, run: _Run, client: AgentClient) -> None:
        ended = asyncio.ensure_future(run.ended.wait())
        given_up = asyncio.ensure_future(client.wait_closed())
        try:
            await asyncio.wait((ended, given_up), return_when=asyncio.FIRST_COMPLETED)
            if run.leaves_after and run.events >= run.leaves_after and self._runs.get(run.request.run_id) is run:
                await self._close(by_choice=True)
            elif given_up.done() and not given_up.cancelled():
                with suppress(OSError, WebSocketException):
                    given_up.result()
        finally:
            ended.cancel()
            given_up.cancel()

    def _on_reading(self, frame: bytes, reading: Reading, connection_id: str) -> None:
        message = reading.message
        if isinstance(message, Hello):
            self._on_connection(connection_id)
        self._journal.read(connection_id, frame, reading)
        if isinstance(message, Refused):
            run_id = run_id_of(self._journal.user_id, message.request_id or "")
            self._journal.refused(run_id, message.code)
            if run_id in self._runs:
                self._runs[run_id].ended.set()
        elif isinstance(message, Event) and reading.is_new and message.run_id in self._runs:
            self._count(self._runs[message.run_id], message, connection_id)

    def _on_connection(self, connection_id: str) -> None:
        if self._protocol.server_records:
            self._journal.attached(connection_id)
            return
        if self._connection_id:
            self._journal.disconnected(self._connection_id, CLOSE_LOST, "the client has reconnected")
        self._connection_id = self._journal.connected(connection_id)

    def _count(self, run: _Run, event: Event, connection_id: str) -> None:
        run.events += 1
        run.connection_id = connection_id
        if isinstance(event, AgentCompleted | AgentError):
            if isinstance(event, AgentCompleted) and self._protocol.checks_answers:
                right = answer_to(run.request.text)
                self._journal.judged(event.run_id, *how_answered(event.final_response, right))
            del self._runs[event.run_id]
            run.ended.set()
        elif run.events == run.leaves_after:
            run.ended.set()

"""The session of every protocol in which a request is one HTTP exchange, answered by server-sent events."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

import h11

from netra_sim.clients.http import HttpConnection, HttpRequest
from netra_sim.clients.journal import Journal
from netra_sim.clients.protocol import ClientProtocol, Request, SystemAddress
from netra_sim.clients.server_sent_events import EventStream, ServerSentEvent
from netra_sim.protocol import CLOSE_GOING_AWAY, CLOSE_LOST, CLOSE_NORMAL

LINGER = 5.0
"""Seconds that a client goes on reading after the end of a run, until the server ends the response."""


class Exchange(Protocol):
    """What a protocol sends for one request, and how it records the answer.

    Attributes:
        request: the HTTP request.
        has_ended: whether the end of the run has been recorded.
    """

    request: HttpRequest
    has_ended: bool

    def read(self, connection_id: str, event: ServerSentEvent) -> None:
        """Record an event."""

    def finish(self, connection_id: str, rest: bytes) -> None:
        """The response is complete; ``rest`` are the bytes after the last event."""


class _Attempt(NamedTuple):
    """An exchange on a connection."""

    connection_id: str
    connection: HttpConnection
    run_id: str
    exchange: Exchange


class StreamSession:
    """A client that sends each request in an HTTP exchange of its own, on a connection that no other exchange uses.

    It keeps connections open for later requests, as browsers do.

    Args:
        protocol: the settings.
        target: the system.
        journal: of the user.
        seed: determines the draws.
        begin: makes the exchange of a request, given the thread that the request names.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        target: SystemAddress,
        journal: Journal,
        seed: int,
        begin: Callable[[Request, str], Exchange],
    ) -> None:
        self._protocol = protocol
        self._target = target
        self._journal = journal
        self._seed = seed
        self._begin = begin
        self._idle: list[tuple[str, HttpConnection]] = []
        self._busy: dict[str, _Attempt] = {}

    async def connect(self) -> None:
        """Connections are opened with the requests."""

    async def ask(self, request: Request) -> None:
        """Carry out one exchange. A response that breaks off is a run without an end."""
        run_id, journal = request.run_id, self._journal
        thread = self._protocol.thread_for(self._seed, request)
        journal.requested(run_id, request.due, thread)
        exchange = self._begin(request, thread)
        try:
            while True:
                is_fresh = not self._renew_idle()
                try:
                    connection_id, connection = await self._open() if is_fresh else self._idle.pop()
                except OSError as error:
                    journal.connect_refused(f"{type(error).__name__}: {error}")
                    return
                attempt = self._busy[connection_id] = _Attempt(connection_id, connection, run_id, exchange)
                if await self._carry_out(attempt) or is_fresh:
                    return  # else the server closed a kept connection before it saw the request: browsers open a new one
        finally:
            journal.forget(run_id)

    async def leave(self) -> None:
        """Close all connections."""
        self._end(CLOSE_NORMAL, "the client closed the connection", HttpConnection.close)

    def cut(self) -> None:
        """Reset all connections."""
        self._end(CLOSE_LOST, "the client lost the connection", HttpConnection.cut)

    def _end(self, code: int, reason: str, close: Callable[[HttpConnection], None]) -> None:
        for attempt in list(self._busy.values()):
            self._stop_reading(attempt, code, reason, close)
        for connection_id, connection in self._idle:
            close(connection)
            self._journal.disconnected(connection_id, code, reason)
        self._idle.clear()

    def _stop_reading(
        self,
        attempt: _Attempt,
        code: int,
        reason: str,
        close: Callable[[HttpConnection], None] = HttpConnection.close,
        *,
        by_choice: bool = False,
    ) -> None:
        if self._busy.pop(attempt.connection_id, None) is not None and not attempt.exchange.has_ended:
            self._journal.left(attempt.connection_id, attempt.run_id, by_choice=by_choice)
        close(attempt.connection)
        self._journal.disconnected(attempt.connection_id, code, reason)

    async def _open(self) -> tuple[str, HttpConnection]:
        connection = await HttpConnection.open(self._target)
        return self._journal.connected(), connection

    def _renew_idle(self) -> bool:
        """Drop the kept connections that the server has closed; return whether one is left, which is then the last."""
        while self._idle and not self._idle[-1][1].renew():
            connection_id, connection = self._idle.pop()
            connection.close()
            self._journal.disconnected(connection_id, CLOSE_NORMAL, "the server closed the idle connection")
        return bool(self._idle)

    async def _carry_out(self, attempt: _Attempt) -> bool:
        """Send a request and read the response; return False if the connection ended without a byte of a response."""
        connection_id, connection, run_id, exchange = attempt
        code, reason, is_answered = CLOSE_LOST, "", False
        try:
            await connection.send(exchange.request)
            head = await connection.head()
            is_answered = True
            self._journal.received_control(connection_id, f"http {head.status}", head.raw, run_id)
            if head.is_refusal:
                await self._read_refusal(attempt, head.status)
            elif not await self._read_run(attempt):
                return True
            code, reason = CLOSE_NORMAL, "the exchange is complete"
        except (OSError, h11.RemoteProtocolError) as error:
            reason = f"{type(error).__name__}: {error}"
        except asyncio.CancelledError:
            self._stop_reading(attempt, CLOSE_GOING_AWAY, "the user gave up")
            raise
        if self._busy.pop(connection_id, None) is None:
            return True  # `leave` or `cut` has ended and recorded it
        if code == CLOSE_NORMAL and connection.renew():
            self._idle.append((connection_id, connection))
        else:
            connection.close()
            self._journal.disconnected(connection_id, code, reason)
        return is_answered

    async def _read_refusal(self, attempt: _Attempt, status: int) -> None:
        self._journal.refused(attempt.run_id, f"http {status}")
        async for piece in attempt.connection.body():
            self._journal.received_control(attempt.connection_id, f"http {status}", piece, attempt.run_id)

    async def _read_run(self, attempt: _Attempt) -> bool:
        """Read the events until the response ends; return False if the client has left before."""
        connection_id, connection, run_id, exchange = attempt
        leaves_after = self._protocol.leaves_after(self._seed, run_id)
        stream, count = EventStream(), 0
        try:
            async with asyncio.timeout(None) as patience:
                async for piece in connection.body():
                    for event in _fed(stream, piece):
                        exchange.read(connection_id, event)
                        count += 1
                        if count == leaves_after and not exchange.has_ended:
                            reason = "the user left in the middle of the run"
                            self._stop_reading(attempt, CLOSE_GOING_AWAY, reason, by_choice=True)
                            return False
                    if exchange.has_ended and patience.when() is None:
                        patience.reschedule(asyncio.get_running_loop().time() + LINGER)
        except TimeoutError:
            if not patience.expired():
                raise  # of the socket
            return True  # the run has ended; the server only keeps the response open
        exchange.finish(connection_id, stream.rest)
        return True


def _fed(stream: EventStream, piece: bytes) -> list[ServerSentEvent]:
    try:
        return stream.feed(piece)
    except ValueError as error:
        raise ConnectionAbortedError(f"the client gave up the stream: {error}") from error

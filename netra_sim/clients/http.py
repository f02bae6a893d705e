"""One HTTP/1.1 connection of a client, by h11 over asyncio's streams."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import h11

from netra_sim.clients.protocol import SystemAddress
from netra_sim.clients.tls import tls_context
from netra_sim.resetting import reset

_READ_AT_MOST = 64 * 1024


class HttpRequest(NamedTuple):
    """What a client sends; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Head(NamedTuple):
    """The status of a response, and all bytes of its head but the line ends' kind."""

    status: int
    raw: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether the status is other than 2xx; redirections are not followed."""
        return not 200 <= self.status < 300


class HttpConnection:
    """Carries one exchange after the other: `send`, `head`, the whole `body`.

    All methods raise ``OSError`` if the connection breaks, and ``h11.RemoteProtocolError`` if it ends within a response or
    the server sends something else than HTTP.
    """

    def __init__(self, target: SystemAddress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._authority = target.authority
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._is_closed = False

    @classmethod
    async def open(cls, target: SystemAddress) -> "HttpConnection":
        """Connect to a target."""
        context = tls_context() if target.tls else None
        return cls(target, *await asyncio.open_connection(target.host, target.port, ssl=context))

    def renew(self) -> bool:
        """Prepare for the next request; False if the exchange is not complete, or if the server closes the connection."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        is_idle = self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE
        return is_idle and not self._reader.at_eof() and not self._writer.is_closing()

    async def send(self, request: HttpRequest) -> None:
        """Send a request."""
        headers = {"host": self._authority, **request.headers}
        if request.body or request.method not in ("GET", "HEAD"):
            headers["content-length"] = str(len(request.body))
        events: list[h11.Event] = [
            h11.Request(method=request.method, target=request.path, headers=list(headers.items()))
        ]
        if request.body:
            events.append(h11.Data(data=request.body))
        events.append(h11.EndOfMessage())
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
        await self._writer.drain()

    async def head(self) -> Head:
        """Read the head of the response, after any that only inform (1xx)."""
        raw = b""
        while True:
            event = await self._next()
            if isinstance(event, h11.InformationalResponse | h11.Response):
                lines = [b"%d %s" % (event.status_code, event.reason)]
                raw += b"\n".join(lines + [name + b": " + value for name, value in event.headers.raw_items()]) + b"\n"
            if isinstance(event, h11.Response):
                return Head(event.status_code, raw)

    async def body(self) -> AsyncIterator[bytes]:
        """Read the pieces of the body as they arrive, and at last its trailers, if there are any."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                if event.headers:
                    yield b"\n".join(name + b": " + value for name, value in event.headers.raw_items())
                return

    def close(self) -> None:
        """Close the connection; data that still arrives is refused."""
        self._is_closed = True
        self._writer.close()

    def cut(self) -> None:
        """Break the connection at once."""
        self._is_closed = True
        reset(self._writer.transport)

    async def _next(self) -> h11.Event:
        while not isinstance(event := self._http.next_event(), h11.Event):
            data = await self._reader.read(_READ_AT_MOST)
            if self._is_closed:  # the reader gives what it holds even after that
                raise ConnectionAbortedError("the client has closed the connection")
            self._http.receive_data(data)
        return event

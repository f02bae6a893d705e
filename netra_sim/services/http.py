"""HTTP/1.1 for stand-in services: several requests on a connection, bodies of any framing, streamed answers."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import h11

from netra_sim.resetting import reset

_MOST_BODY = 16 * 1024 * 1024
_AT_ONCE = 65_536

Headers = Iterable[tuple[str, str]]

JSON = [("content-type", "application/json")]


def retry_after(seconds: float) -> Headers:
    """The headers that tell a client when to try again: whole seconds for HTTP, exact milliseconds for OpenAI's clients."""
    return [("retry-after", str(math.ceil(seconds))), ("retry-after-ms", f"{seconds * 1000:g}")]


@dataclass(frozen=True)
class IncomingRequest:
    """A request that arrived completely.

    Attributes:
        target: the path and the query, as sent.
        headers: names in lower case, in the order sent.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The target without the query."""
        return self.target.partition("?")[0]


class Exchange:
    """A request and the way to answer it: either `respond`, or `start`, any number of `send` and `finish`."""

    def __init__(
        self,
        request: IncomingRequest,
        protocol: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.request = request
        self._protocol = protocol
        self._reader = reader
        self._writer = writer

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed or lost the connection, or has ended its side of it."""
        return self._writer.is_closing() or self._reader.at_eof()

    async def respond(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole answer."""
        await self._write(_response(status, [*headers, ("content-length", str(len(body)))]), h11.Data(body), _END)

    async def start(self, status: int, headers: Headers = ()) -> None:
        """Begin an answer whose length is not known."""
        await self._write(_response(status, headers))

    async def send(self, data: bytes) -> None:
        """Send a piece of the answer, and wait while the client is slow to take it."""
        await self._write(h11.Data(data))

    async def finish(self) -> None:
        """End an answer that `start` began."""
        await self._write(_END)

    def cut(self) -> None:
        """Reset the connection in the middle of the answer."""
        reset(self._writer.transport)

    async def _write(self, *events: h11.Event) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the client is gone")
        self._writer.write(b"".join(self._protocol.send(event) or b"" for event in events))
        await self._writer.drain()


Answer = Callable[[Exchange], Awaitable[None]]
"""Answers a request. If the answer is not finished when it returns, the connection is closed."""

_END = h11.EndOfMessage()


async def serve_http(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve the requests of one connection, one after the other, until the client leaves.

    What is no HTTP gets an answer with a status of 4xx or 501, and the connection is closed.

    Raises:
        ConnectionError: the client is gone.
    """
    protocol = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _request(protocol, reader, writer)
        except h11.RemoteProtocolError as error:
            if protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                refusal = Exchange(_NO_REQUEST, protocol, reader, writer)
                await refusal.respond(error.error_status_hint, f"{error}\n".encode(), [("connection", "close")])
                writer.write_eof()
                while await reader.read(_AT_ONCE):  # to close with bytes unread would reset, and lose the refusal
                    pass
            return
        if request is None:
            return
        await answer(Exchange(request, protocol, reader, writer))
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return
        protocol.start_next_cycle()


_NO_REQUEST = IncomingRequest("", "", [], b"")


async def _request(
    protocol: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> IncomingRequest | None:
    """The next request, complete; None if the client has closed the connection instead.

    Raises:
        h11.RemoteProtocolError: what arrived is no HTTP request, or its body is larger than 16 MiB.
    """
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                writer.write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            protocol.receive_data(await reader.read(_AT_ONCE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BODY:
                raise h11.RemoteProtocolError(f"the body is larger than {_MOST_BODY:,} bytes", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
            return IncomingRequest(head.method.decode("latin-1"), head.target.decode("latin-1"), headers, bytes(body))
        else:  # closed between two requests
            return None


def _response(status: int, headers: Headers) -> h11.Response:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return h11.Response(status_code=status, headers=encoded, reason=_reason(status))


def _reason(status: int) -> bytes:
    """The standard phrase; a status such as 529 has none."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""

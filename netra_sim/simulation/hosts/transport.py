"""`VirtualTransport`: an asyncio transport over an endpoint of the virtual network.

It behaves as the transports of asyncio's selector loop do (``asyncio/selector_events.py`` of CPython 3.11 to 3.14), also in
what they leave undefined: writes after the connection is lost are dropped, and the end of the stream closes a transport
whose protocol does not want to keep it.
"""

import asyncio
import logging
from asyncio import constants, transports
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any, Protocol

from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.sockets import ConnectionSocket

log = logging.getLogger("asyncio")


class Accepting(Protocol):
    """Counts the connections that it has accepted."""

    def attach(self, transport: "VirtualTransport") -> None:
        """Count a connection as open."""

    def detach(self, transport: "VirtualTransport") -> None:
        """Count a connection as closed."""


_FlowControl: Any = transports._FlowControlMixin
"""Watermarks, pausing and resuming, as in every transport of asyncio."""


class VirtualTransport(_FlowControl, transports.Transport):  # type: ignore[misc]
    """A transport over an endpoint; it begins to read after ``connection_made``.

    Args:
        loop: the loop of the program.
        endpoint: the operating system's side.
        protocol: the program's side.
        context: the context in which the protocol is called.
        server: the server that accepted the connection; None for a client's end.
        on_made: called after the protocol's ``connection_made``.
    """

    _start_tls_compatible = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        protocol: asyncio.BaseProtocol,
        context: Context,
        server: Accepting | None = None,
        on_made: Callable[[], object] | None = None,
    ) -> None:
        names = {"sockname": endpoint.address, "peername": endpoint.peer.address}
        super().__init__(names | {"socket": ConnectionSocket(endpoint)}, loop)  # type: ignore[call-arg]
        self._endpoint = endpoint
        self._context = context
        self._server = server
        self._buffer: deque[memoryview] = deque()
        self._buffered = 0
        self._lost = 0  # how often it was used since the connection is lost, or is to be closed with nothing to send
        self._is_closing = self._is_paused = self._ends = self._has_ended = False
        self._is_started = False
        self._reads_next = False
        self.set_protocol(protocol)
        endpoint.owner = self
        if server is not None:
            server.attach(self)
        loop.call_soon(self._begin, on_made, context=context)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._is_closing else "open"
        return f"<VirtualTransport {self._endpoint.address} to {self._endpoint.peer.address}, {state}>"

    def _begin(self, on_made: Callable[[], object] | None) -> None:
        try:
            self._protocol.connection_made(self)
        finally:  # asyncio goes on whatever the protocol raises
            self._is_started = True
            if on_made is not None:
                on_made()
            if self._endpoint.is_readable:
                self._read_soon()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See `asyncio.BaseTransport`."""
        self._protocol: Any = protocol
        self._is_buffered_protocol = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio.BaseTransport`."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._is_closing

    def is_reading(self) -> bool:
        """See `asyncio.ReadTransport`."""
        return not self._is_closing and not self._is_paused

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        if not self._is_closing:
            self._is_paused = True

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        if self._is_closing or not self._is_paused:
            return
        self._is_paused = False
        if self._endpoint.is_readable:
            self._read_soon()

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """See `asyncio.WriteTransport`."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._ends:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._lost:
            if self._lost >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                log.warning("socket.send() raised exception.")
            self._lost += 1
            return
        data = bytes(data)
        sent = 0
        if not self._buffer:
            try:
                sent = self._endpoint.send(data)
            except OSError as error:
                self._fail(error, "Fatal write error on socket transport")
                return
            if sent == len(data):
                return
        self._buffer.append(memoryview(data)[sent:])
        self._buffered += len(data) - sent
        self._maybe_pause_protocol()

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview]") -> None:
        """See `asyncio.WriteTransport`."""
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return self._buffered

    def can_write_eof(self) -> bool:
        """See `asyncio.WriteTransport`."""
        return True

    def write_eof(self) -> None:
        """See `asyncio.WriteTransport`."""
        if self._is_closing or self._ends:
            return
        self._ends = True
        if not self._buffer:
            self._endpoint.end()

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        if self._is_closing:
            return
        self._is_closing = True
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        """See `asyncio.WriteTransport`; as in asyncio, the other end gets a reset only if bytes are unread here.

        The socket option SO_LINGER with no time makes it a reset in any case.
        """
        self._force_close(None)

    def on_readable(self) -> None:
        """See `Owner`."""
        if self._is_started and not (self._is_paused or self._reads_next or self._endpoint.is_stalled):
            self._context.run(self._read)

    def on_writable(self) -> None:
        """See `Owner`."""
        self._context.run(self._flush)

    def forget(self) -> None:
        """See `Owner`."""
        self._is_closing = True
        self._lost += 1
        self._buffer.clear()

    def _read_soon(self) -> None:
        if not self._reads_next:
            self._reads_next = True
            self._loop.call_soon(self._read_again, context=self._context)

    def _read_again(self) -> None:
        self._reads_next = False
        if not (self._is_paused or self._endpoint.is_stalled):
            self._read()

    def _read(self) -> None:
        if self._is_closing or self._has_ended:
            return
        endpoint, protocol = self._endpoint, self._protocol
        buffer: Any = None
        call = "get_buffer"
        try:
            if self._is_buffered_protocol:
                buffer = protocol.get_buffer(-1)
                if not len(buffer):
                    raise RuntimeError("get_buffer() returned an empty buffer")
            try:
                data = endpoint.read() if buffer is None else endpoint.read(len(buffer))
            except OSError as error:
                self._fail(error, "Fatal read error on socket transport")
                return
            if data and buffer is None:
                call = "data_received"
                protocol.data_received(data)
            elif data:
                call = "buffer_updated"
                buffer[: len(data)] = data
                protocol.buffer_updated(len(data))
            elif endpoint.is_at_end:
                call = "eof_received"
                self._has_ended = True
                if not protocol.eof_received():
                    self.close()
                return
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fail(error, f"Fatal error: protocol.{call}() call failed.")
            return
        if endpoint.is_readable and not (self._is_paused or self._endpoint.is_stalled):
            self._read_soon()

    def _flush(self) -> None:
        if self._lost:
            return
        try:
            while self._buffer:
                data = self._buffer[0]
                sent = self._endpoint.send(data)
                self._buffered -= sent
                if sent < len(data):
                    self._buffer[0] = data[sent:]
                    break
                self._buffer.popleft()
        except OSError as error:
            self._fail(error, "Fatal write error on socket transport")
            return
        self._maybe_resume_protocol()
        if not self._buffer:
            if self._is_closing:
                self._lose(None)
            elif self._ends:
                self._endpoint.end()

    def _fail(self, error: BaseException, message: str) -> None:
        if not isinstance(error, OSError):
            self._loop.call_exception_handler(
                {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            )
        self._force_close(error)

    def _force_close(self, error: BaseException | None) -> None:
        """Close at once; anyio calls this name."""
        if self._lost:
            return
        self._buffer.clear()
        self._buffered = 0
        self._is_closing = True
        self._lose(error)

    def _lose(self, error: BaseException | None) -> None:
        self._lost += 1
        self._loop.call_soon(self._call_connection_lost, error, context=self._context)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._endpoint.close()
            if self._server is not None:
                self._server.detach(self)
                self._server = None

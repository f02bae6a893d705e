"""The connections of the users of a load run: which hosts they may reach, and what faults do to them on real sockets.

`LineLoop` puts a `_Wire` between each real connection and the client's code. The code of a client protocol does not see it.
"""

import asyncio
import errno
import math
import socket
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from netra_sim.loading.system_plan import RealLineFault
from netra_sim.loading.targets import is_allowed
from netra_sim.resetting import reset

if sys.platform == "win32":
    from netra_sim.runtime.windows_event_loop import WindowsEventLoop as _Loop
else:
    from asyncio import SelectorEventLoop as _Loop

LINE: ContextVar["RealLine"] = ContextVar("line")
"""The connections of the user for whom the code runs."""

_TICK = 0.05
"""Seconds between two pieces of data for a client that reads slowly."""


class RealLine:
    """All connections of one user.

    Args:
        receive_buffer: bytes that the operating system holds while the user does not read.

    Attributes:
        is_stalled: the user does not read.
        bandwidth: the most bytes a second that the user reads from a connection.
        met: the faults that have hit a connection, or an attempt to open one.
    """

    def __init__(self, receive_buffer: int) -> None:
        self.is_stalled = False
        self.bandwidth = math.inf
        self.met: set[int] = set()
        self._receive_buffer = receive_buffer
        self._faults: dict[int, RealLineFault] = {}
        self._wires: dict[_Wire, None] = {}

    def begin(self, number: int, fault: RealLineFault) -> None:
        """A fault begins."""
        self._faults[number] = fault
        if self._wires:
            self.met.add(number)
        if fault.is_offline:
            self.reset()
        self._adapt()

    def end(self, number: int) -> None:
        """A fault ends, if it has not ended already."""
        if self._faults.pop(number, None) is not None:
            self._adapt()

    def reset(self) -> None:
        """Reset all connections."""
        for wire in list(self._wires):
            wire.abort()

    def send(self, data: bytes) -> None:
        """Send data over all connections, as it is."""
        for wire in list(self._wires):
            wire.send(data)

    def half_close(self) -> None:
        """End the sending direction of all connections."""
        for wire in list(self._wires):
            wire.half_close()

    def meet(self) -> None:
        """A connection is about to be opened.

        Raises:
            OSError: the user is offline.
        """
        self.met |= set(self._faults)
        for fault in self._faults.values():
            if fault.is_offline:
                raise OSError(errno.ENETUNREACH, f"the fault {fault.name} took the network away")

    def add(self, wire: "_Wire") -> None:
        """A connection is open."""
        self._wires[wire] = None
        if self._faults and (sock := wire.transport.get_extra_info("socket")):
            wire.narrow(sock, self._receive_buffer)
        wire.adapt()

    def remove(self, wire: "_Wire") -> None:
        """A connection is closed."""
        self._wires.pop(wire, None)

    def _adapt(self) -> None:
        faults = self._faults.values()
        self.is_stalled = any(fault.is_stalled for fault in faults)
        self.bandwidth = min((fault.bandwidth for fault in faults if fault.bandwidth), default=math.inf)
        for wire in list(self._wires):
            wire.narrow(wire.transport.get_extra_info("socket"), self._receive_buffer)
            wire.adapt()


class _Wire(asyncio.Protocol):
    """Stands between a transport and the protocol of a client, and holds back what the client does not read yet."""

    def __init__(self, line: RealLine, protocol: Any) -> None:
        self.transport: Any = None
        self.protocol = protocol
        self.is_wanted = True
        self._line = line
        self._real: Any = None
        self._held = bytearray()
        self._has_ended = False
        self._is_reading = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._real = transport
        self.transport = _Tap(self, transport)
        self._line.add(self)
        self.protocol.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        line = self._line
        if not self._held and not line.is_stalled and line.bandwidth == math.inf:
            self.protocol.data_received(data)
            return
        self._held += data
        self.adapt()

    def eof_received(self) -> bool | None:
        if self._held:
            self._has_ended = True
            return True
        return self.protocol.eof_received()  # type: ignore[no-any-return]

    def connection_lost(self, error: Exception | None) -> None:
        self._line.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        self.protocol.connection_lost(error)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def adapt(self) -> None:
        """Read, or stop reading, as the faults and the client say."""
        line = self._line
        if self._held and not line.is_stalled and self._timer is None:
            if line.bandwidth == math.inf:
                self._deliver(len(self._held))
            else:
                self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        may_read = self.is_wanted and not line.is_stalled and not self._held
        if may_read != self._is_reading:
            self._is_reading = may_read
            with suppress(RuntimeError):  # the transport is closing
                (self._real.resume_reading if may_read else self._real.pause_reading)()

    def narrow(self, sock: Any, size: int) -> None:
        """Let the operating system hold only so many bytes; it holds megabytes by itself (tcp(7), ``tcp_rmem``)."""
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def send(self, data: bytes) -> None:
        """Send data that the client's protocol knows nothing of."""
        if not self._real.is_closing():
            self._real.write(data)

    def half_close(self) -> None:
        """End the sending direction; what the client sends later finds a broken pipe."""
        with suppress(OSError):
            self._real.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Reset the connection."""
        reset(self._real)

    def _tick(self) -> None:
        self._timer = None
        if not self._line.is_stalled:
            self._deliver(max(1, int(min(self._line.bandwidth * _TICK, len(self._held)))))
        self.adapt()

    def _deliver(self, size: int) -> None:
        piece = bytes(self._held[:size])
        del self._held[:size]
        self.protocol.data_received(piece)
        if self._has_ended and not self._held and not self.protocol.eof_received():
            self._real.close()


class _Tap:
    """The transport as the client's protocol sees it: reading depends on the faults too, and `abort` is a reset."""

    def __init__(self, wire: _Wire, transport: asyncio.BaseTransport) -> None:
        self._wire = wire
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        self._want(is_wanted=False)

    def resume_reading(self) -> None:
        self._want(is_wanted=True)

    def is_reading(self) -> bool:
        return self._wire.is_wanted and not self.is_closing()

    def get_protocol(self) -> Any:
        return self._wire.protocol

    def set_protocol(self, protocol: Any) -> None:
        self._wire.protocol = protocol

    def abort(self) -> None:
        self._wire.abort()

    def _want(self, *, is_wanted: bool) -> None:
        self._wire.is_wanted = is_wanted
        self._wire.adapt()


class LineLoop(_Loop):
    """The event loop of the clients: it connects to allowed hosts only, wherever a client or a redirect wants to go.

    Args:
        allowed: the hosts that may be connected to, besides this machine.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        super().__init__()
        self._allowed = set(allowed)

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """See `asyncio.loop.create_connection`."""
        line = LINE.get(None)
        if line is None:
            return await super().create_connection(protocol_factory, host, port, **options)
        line.meet()
        _, wire = await super().create_connection(lambda: _Wire(line, protocol_factory()), host, port, **options)
        return wire.transport, wire.protocol

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        """See `asyncio.loop.getaddrinfo`."""
        self._refuse_unless_allowed(host)
        found = await super().getaddrinfo(host, port, **options)
        self._allowed |= {str(address[0]) for *_, address in found}
        return found

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """See `asyncio.loop.sock_connect`."""
        if isinstance(address, tuple):
            self._refuse_unless_allowed(address[0])
        await super().sock_connect(sock, address)

    def _refuse_unless_allowed(self, host: str) -> None:
        if not is_allowed(host, self._allowed):
            raise PermissionError(
                errno.EACCES, f"the way leads to {host}, which the load run is not allowed to connect to"
            )

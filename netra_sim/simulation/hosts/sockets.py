"""Stand-ins for the sockets that programs ask transports and servers for."""

import atexit
import socket
import struct
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netra_sim.simulation.hosts.endpoint import Endpoint


class VirtualSocket:
    """What a program may ask a socket: its addresses and options. Options are remembered; only SO_LINGER has an effect.

    Attributes:
        family: always IPv4.
        type: always a stream.
        proto: always TCP.
    """

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, name: tuple[str, int]) -> None:
        self._name = name
        self._options: dict[tuple[int, int], int | bytes] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name[0]}:{self._name[1]}>"

    def getsockname(self) -> tuple[str, int]:
        """The address and port of this end."""
        return self._name

    def setsockopt(self, level: int, option: int, value: int | bytes, length: int | None = None) -> None:
        """Remember an option."""
        self._options[level, option] = value if length is None else length

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        """An option that was set before; 0 for any other, so no error is pending (SO_ERROR)."""
        return self._options.get((level, option), b"\0" * size if size else 0)

    def setblocking(self, flag: bool) -> None:
        """Accept only what an event loop needs.

        Raises:
            ValueError: the socket is to block.
        """
        if flag:
            raise ValueError("a socket of the virtual network cannot block; use asyncio")

    def settimeout(self, value: float | None) -> None:
        """Accept only a timeout of 0, see `setblocking`."""
        self.setblocking(value != 0)

    def gettimeout(self) -> float:
        """The timeout of every socket of an event loop."""
        return 0.0

    def get_inheritable(self) -> bool:
        """Return False: no other process gets it."""
        return False

    def fileno(self) -> int:
        """A descriptor that is never readable; all sockets share it."""
        return _descriptors()[0].fileno()


class ConnectionSocket(VirtualSocket):
    """The socket of a connection."""

    def __init__(self, endpoint: "Endpoint") -> None:
        super().__init__(endpoint.address)
        self._endpoint = endpoint

    def setsockopt(self, level: int, option: int, value: int | bytes, length: int | None = None) -> None:
        """Remember an option; with SO_LINGER for no time, closing the connection resets it."""
        super().setsockopt(level, option, value, length)
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER) and isinstance(value, bytes):
            self._endpoint.resets = any(value == struct.pack(shape, 1, 0) for shape in ("ii", "hh"))  # Windows: "hh"

    def getpeername(self) -> tuple[str, int]:
        """The address and port of the other end."""
        return self._endpoint.peer.address

    def fileno(self) -> int:
        """A descriptor to poll, readable if and only if the connection is; -1 once it is closed.

        Nothing else may be done with it: connections share two descriptors. An HTTP client polls one to learn whether a
        pooled connection was closed.
        """
        return -1 if self._endpoint.is_closed else _descriptors()[self._endpoint.is_readable].fileno()


@cache
def _descriptors() -> tuple[socket.socket, socket.socket, socket.socket]:
    """A socket that is never readable, one that always is, and the other end of the first."""
    silent, other = socket.socketpair()
    ended, closed = socket.socketpair()
    closed.close()
    for one in (silent, ended, other):
        atexit.register(one.close)
    return silent, ended, other

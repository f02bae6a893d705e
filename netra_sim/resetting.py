"""`reset`: ends a TCP connection as a process that dies or a network that breaks does."""

import asyncio
import socket
import struct
import sys
from contextlib import suppress

_NO_LINGER = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection with a reset (RST); `abort` alone sends an orderly FIN unless bytes are unread."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):  # already closed
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()

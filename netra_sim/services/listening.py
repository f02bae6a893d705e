"""Listens for connections, serves each in a task of its own, and resets or closes them all."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from netra_sim.resetting import reset
from netra_sim.services.conditions import Conditions

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one connection until it ends. It may raise `ConnectionError` when the client is gone."""


class Listener:
    """A listening socket and the connections that it accepted.

    Args:
        handler: serves each connection.
        conditions: while they are down, each connection is reset.

    Attributes:
        port: where it listens.
    """

    port: int
    _server: asyncio.Server

    def __init__(self, handler: Handler, conditions: Conditions) -> None:
        self._handler = handler
        self._conditions = conditions
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._is_closing = False
        conditions.on_down = self._reset_all

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept connections; port 0 takes a free one.

        Raises:
            OSError: the address cannot be listened at.
        """
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, stop all work, and close every connection: what a client has not taken by now is dropped."""
        self._is_closing = True
        self._server.close()
        connections = list(self._connections.items())
        for task, _ in connections:
            task.cancel()
        for task, writer in connections:
            await asyncio.wait([task])
            with suppress(ConnectionError):
                await writer.wait_closed()
        await self._server.wait_closed()

    def _reset_all(self) -> None:
        for task, writer in list(self._connections.items()):
            reset(writer.transport)
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._conditions.down or self._is_closing:
            reset(writer.transport)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has a task
        self._connections[task] = writer
        try:
            await self._handler(reader, writer)
            writer.close()
            await asyncio.shield(writer.wait_closed())  # cancelled without the shield, it could not be awaited again
        except (ConnectionError, asyncio.CancelledError):  # the client is gone, or the service stops
            pass
        finally:
            if writer.transport.get_write_buffer_size():  # a client that does not read must not hold the service up
                writer.transport.abort()
            writer.close()
            del self._connections[task]

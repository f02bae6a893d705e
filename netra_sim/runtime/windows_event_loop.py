"""The Proactor loop of Windows without two of its faults; this module can be imported on Windows only."""

import asyncio
import sys
import weakref
from collections.abc import Mapping
from typing import Any

assert sys.platform == "win32"  # noqa: S101 - tells the type checker for which platform this is

_TURNS = 3
"""Turns of the loop that a transport takes to close: itself, the pipes of a subprocess, and their last call."""


class WindowsEventLoop(asyncio.ProactorEventLoop):
    """A Proactor loop whose servers outlive lost clients, and which closes what is left open before it ends.

    - A client that resets its connection before it is accepted makes stock asyncio close the listening socket for good
      (gh-93821). Here the next client is accepted.
    - Transports that are open when the loop is closed raise "Event loop is closed" when they are freed. `asyncio.Runner`
      awaits `shutdown_asyncgens` before it closes the loop; here that closes them.
    """

    def __init__(self) -> None:
        super().__init__(_PatientProactor())
        self._open_transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def shutdown_asyncgens(self) -> None:
        """Close the async generators and the transports that are open."""
        await super().shutdown_asyncgens()
        left = [transport for transport in self._open_transports if not transport.is_closing()]
        for transport in left:
            _end(transport)
        for _ in range(_TURNS if left else 0):
            await asyncio.sleep(0)

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Pass an error on to the handler, unless it is a failed accept that another has followed already."""
        task = context.get("future") or context.get("task")
        is_of_accept = isinstance(task, asyncio.Task) and getattr(task.get_coro(), "__name__", "") == "accept_coro"
        if not (is_of_accept and isinstance(context.get("exception"), OSError)):
            super().call_exception_handler(dict(context))

    def _make_socket_transport(self, *args: Any, **settings: Any) -> Any:
        return self._kept(super()._make_socket_transport(*args, **settings))

    def _make_duplex_pipe_transport(self, *args: Any, **settings: Any) -> Any:
        return self._kept(super()._make_duplex_pipe_transport(*args, **settings))

    def _make_read_pipe_transport(self, *args: Any, **settings: Any) -> Any:
        return self._kept(super()._make_read_pipe_transport(*args, **settings))

    def _make_write_pipe_transport(self, *args: Any, **settings: Any) -> Any:
        return self._kept(super()._make_write_pipe_transport(*args, **settings))

    async def _make_subprocess_transport(self, *args: Any, **settings: Any) -> Any:
        return self._kept(await super()._make_subprocess_transport(*args, **settings))

    def _kept(self, transport: Any) -> Any:
        self._open_transports.add(transport)
        return transport


def _end(transport: Any) -> None:
    try:
        transport.abort()
    except (AttributeError, NotImplementedError):
        transport.close()  # a subprocess, or a pipe that is only read


class _PatientProactor(asyncio.IocpProactor):
    """Goes on accepting as long as the listening socket is open, whatever becomes of a client."""

    def _get_accept_socket(self, family: int) -> Any:
        self._client = super()._get_accept_socket(family)  # the next client's; `accept` asks for it
        return self._client

    def accept(self, listener: Any) -> "asyncio.Future[Any]":
        accept = super().accept

        async def accept_next() -> Any:
            while True:
                accepted = accept(listener)
                client = self._client
                try:
                    return await accepted
                except OSError:
                    client.close()
                    if listener.fileno() == -1:
                        raise

        return asyncio.ensure_future(accept_next(), loop=asyncio.get_event_loop())

"""The Proactor loop of Windows with two of its bugs fixed. Only Windows can import this module."""

import asyncio
import sys
import weakref
from collections.abc import Mapping
from typing import Any

assert sys.platform == "win32"  # noqa: S101 - for the type checker

_CLOSING_TURNS = 3
"""Turns of the loop that closing takes: the transport, the pipes of a subprocess, and their last callback."""


class WindowsEventLoop(asyncio.ProactorEventLoop):
    """A Proactor loop that keeps accepting clients after one is lost, and closes open transports before it ends.

    - In stock asyncio, a client that resets its connection before it is accepted closes the listening socket permanently
      (gh-93821). This loop accepts the next client.
    - In stock asyncio, transports that are open when the loop is closed raise "Event loop is closed" when they are freed.
      `asyncio.Runner` awaits `shutdown_asyncgens` before it closes the loop; here that method closes the transports.
    """

    def __init__(self) -> None:
        super().__init__(_PatientProactor())
        self._open_transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    async def shutdown_asyncgens(self) -> None:
        """Close the open async generators and transports."""
        await super().shutdown_asyncgens()
        left = [transport for transport in self._open_transports if not transport.is_closing()]
        for transport in left:
            _abort(transport)
        for _ in range(_CLOSING_TURNS if left else 0):
            await asyncio.sleep(0)

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Pass an error to the handler, unless it is a failed accept, after which the loop accepts again."""
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


def _abort(transport: Any) -> None:
    try:
        transport.abort()
    except (AttributeError, NotImplementedError):
        transport.close()  # a subprocess, or a read-only pipe


class _PatientProactor(asyncio.IocpProactor):
    """Keeps accepting while the listening socket is open, whatever happens to a client."""

    def _get_accept_socket(self, family: int) -> Any:
        self._client = super()._get_accept_socket(family)  # for the next client; `accept` calls this
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

"""`NetworkLoop`: a virtual-time loop on which unmodified servers and clients meet over a virtual network."""

import asyncio
import ctypes
import gc
import logging
import signal
import socket
import ssl
import sys
from asyncio import sslproto
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, finalize

from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.gate import is_dead
from netra_sim.simulation.hosts.host import PROCESS, Host, Process
from netra_sim.simulation.hosts.links import LineConditions
from netra_sim.simulation.hosts.listener import VirtualServer
from netra_sim.simulation.hosts.network import VirtualNetwork
from netra_sim.simulation.hosts.no_subprocesses import NoSubprocesses
from netra_sim.simulation.hosts.numbered import ProtocolNumbers
from netra_sim.simulation.hosts.transport import VirtualTransport
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop
from netra_sim.simulation.schedule import context_of
from netra_sim.simulation.timers import each_timer

P = TypeVar("P", bound=asyncio.BaseProtocol)


class NetworkLoop(NoSubprocesses, WorkerThreadLoop):
    """A `WorkerThreadLoop` with TCP connections, TLS, name lookups and signals, all of them virtual.

    Args:
        seed: of the order of tasks and of the network.
        inside: the conditions between hosts that have none of their own.
        options: the other arguments of `VirtualTimeLoop`.

    Attributes:
        network: the hosts and the lines between them.
    """

    def __init__(self, *, seed: int = 0, inside: LineConditions | None = None, **options: Any) -> None:
        super().__init__(seed=seed, **options)
        self.network = VirtualNetwork(self, seed, inside)
        self._protocols = ProtocolNumbers()
        self._has_dead = False
        self._is_burying = False
        self._frozen: list[asyncio.Task[Any]] = []
        self._kept: list[Any] = []
        self._connected: WeakKeyDictionary[socket.socket, tuple[Endpoint, finalize[..., Any]]] = WeakKeyDictionary()

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        ssl: ssl.SSLContext | None = None,
        start_serving: bool = True,
        **settings: Any,
    ) -> VirtualServer:
        """Listen on a port of the running process's host; see `asyncio.loop.create_server`."""
        process = self.network.current_process()
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            host, port = sock.getsockname()[:2]
            sock.close()
        elif host is not None and not isinstance(host, str):
            host = next(iter(host), None)
        everywhere = host in (None, "", "0.0.0.0", "::")  # noqa: S104 - no real address
        name = ("0.0.0.0" if everywhere else self.network.resolve(host), port or process.host.free_port())  # noqa: S104
        times = _tls_times(settings)

        def new_protocol() -> asyncio.BaseProtocol:
            protocol = protocol_factory()
            self._protocols.number(protocol)
            return protocol if ssl is None else self._tls_protocol(protocol, ssl, server_side=True, **times)

        server = VirtualServer(self, process, name, new_protocol)
        self.network.bind(process, name, server)
        if start_serving:
            server.listen()
            await asyncio.sleep(0)
        return server

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: "ssl.SSLContext | bool | None" = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        **settings: Any,
    ) -> tuple[asyncio.Transport, P]:
        """Connect to a host by its name or address, or use a socket after `sock_connect`; see asyncio's own."""
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if ssl and server_hostname is None:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            endpoint = self._claim(sock)
        elif host is None or port is None:
            raise ValueError("host and port was not specified and no sock specified")
        else:
            endpoint = await self.network.connect(self.network.resolve(host), int(port))
        return await self._make_transport(endpoint, protocol_factory, ssl, server_hostname, settings)

    async def _make_transport(
        self,
        endpoint: Endpoint,
        protocol_factory: Callable[[], P],
        context: "ssl.SSLContext | bool | None",
        server_hostname: str | None,
        settings: dict[str, Any],
    ) -> tuple[asyncio.Transport, P]:
        try:
            protocol = protocol_factory()
        except BaseException:
            endpoint.close()
            raise
        made = self.create_future()
        tls = None
        if context:
            names: dict[str, Any] = {"server_hostname": server_hostname, "waiter": made}
            tls = self._tls_protocol(protocol, context, server_side=False, **names, **_tls_times(settings))
        on_made = None if tls else partial(_set_done, made)
        transport: Any = VirtualTransport(self, endpoint, tls or protocol, copy_context(), on_made=on_made)
        if tls is not None:
            transport = tls._app_transport
        try:
            await made
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def _tls_protocol(
        self,
        protocol: asyncio.BaseProtocol,
        context: "ssl.SSLContext | bool",
        *,
        server_side: bool,
        server_hostname: str | None = None,
        waiter: Any = None,
        **times: Any,
    ) -> Any:
        """TLS between a protocol and a transport: asyncio's own, which works in memory."""
        given: Any = None if context is True else context
        return sslproto.SSLProtocol(self, protocol, given, waiter, server_side, server_hostname, **times)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name in asyncio
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """The address of a host of the virtual network; see `socket.getaddrinfo`."""
        name = host.decode() if isinstance(host, bytes) else host or ""
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "the virtual network has no IPv6 addresses")
        address = self.network.resolve(name)
        canonical = name if flags & socket.AI_CANONNAME else ""
        number = socket.getservbyname(port) if isinstance(port, str) and not port.isdecimal() else int(port or 0)
        return [(socket.AF_INET, type or socket.SOCK_STREAM, proto or socket.IPPROTO_TCP, canonical, (address, number))]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """The name of an address of the virtual network."""
        if sockaddr[0].startswith("127.") or flags & socket.NI_NUMERICHOST:
            return sockaddr[0], str(sockaddr[1])
        return self.network.host(sockaddr[0]).name, str(sockaddr[1])

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket; it takes part in the virtual network when `create_connection` gets it."""
        endpoint = await self.network.connect(self.network.resolve(address[0]), address[1])
        self._connected[sock] = endpoint, finalize(sock, endpoint.close)

    def _claim(self, sock: socket.socket) -> Endpoint:
        endpoint, unused = self._connected.pop(sock, (None, None))
        if endpoint is None or unused is None:
            raise ValueError("A socket of the virtual network must be connected by loop.sock_connect first")
        unused.detach()
        sock.close()
        return endpoint

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """Let the running process react to a signal that the simulation sends to its host."""
        process = self.network.current_process()
        process.handlers[signal.Signals(sig)] = (callback, args, copy_context())

    def remove_signal_handler(self, sig: int) -> bool:
        """See `asyncio.loop.remove_signal_handler`."""
        return self.network.current_process().handlers.pop(signal.Signals(sig), None) is not None

    def send_signal(self, process: Process, sig: signal.Signals) -> bool:
        """Send a signal to a process; returns whether it has a handler for it."""
        handler = process.handlers.get(sig)
        if handler is None:
            return False
        callback, args, context = handler
        self.call_soon(callback, *args, context=context)
        return True

    def create_task(self, coro: Any, **settings: Any) -> "asyncio.Task[Any]":
        """See `VirtualTimeLoop.create_task`."""
        task = super().create_task(coro, **settings)
        context = settings.get("context")
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.add(task)
        return task

    def create_task_in(self, process: Process, coro: Any, name: str) -> "asyncio.Task[Any]":
        """Start a task as part of a process."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(coro, name=name, context=context)

    def kill(self, host: Host) -> None:
        """End the process of a host at once: no code of it runs any more, and its connections are closed."""
        self._freeze(self.network.close_all(host))

    def power_off(self, host: Host) -> None:
        """Cut the power of a host: no code of its process runs any more, and all others hear nothing from it."""
        self._freeze(self.network.power_off(host))

    def close(self) -> None:
        """See `VirtualTimeLoop.close`."""
        if self._has_dead and not self.is_closed():
            self._bury()
        else:
            super().close()
        for host in self.network.hosts:
            self.network.forget(host.process)

    def _bury(self) -> None:
        """Close, and free what dead processes left, without a word of the clean-up that Python then runs in it."""
        before, sys.unraisablehook = sys.unraisablehook, _ignore
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        asyncio._set_running_loop(self)  # clean-up that swallows every error and goes on must find something to await
        self._is_burying = True
        try:
            for task in self._frozen:
                _end(task.get_coro())
            self._frozen.clear()
            self._kept.clear()
            super().close()
            gc.collect()
        finally:
            asyncio._set_running_loop(None)
            sys.unraisablehook = before
            logging.disable(disabled)

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        """Remember whose generator it is; that of a dead process is never closed, as this would run its clean-up."""
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]
        if (process := PROCESS.get()) is not None:
            process.generators.add(agen)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Close a generator that nobody uses any more; at the burial only dead processes have any."""
        if not self._is_burying:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    def _freeze(self, process: Process) -> None:
        """Let no code of a dead process run: neither its tasks nor its callbacks, and no clean-up either."""
        for task in process.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                asyncio.tasks._unregister_task(task)  # nobody waits for it at the end of the loop
                self._frozen.append(task)
        for generator in process.generators:
            self._asyncgens.discard(generator)  # type: ignore[attr-defined]
            self._kept.append(generator)
        alive = [entry for entry in self._ready if not _belongs_to_dead(context_of(entry))]
        self._ready.clear()
        self._ready.extend(alive)
        self._ready_tasks[:] = [entry for entry in self._ready_tasks if not _belongs_to_dead(context_of(entry))]
        for timers in self._timers.values():
            for timer in each_timer(timers):
                if type(timer) is not tuple and _belongs_to_dead(timer._context):
                    timer.cancel()
        if not self._has_dead:
            self._has_dead = True
            self._refuse_the_dead()

    def _refuse_the_dead(self) -> None:
        """From now on, schedule nothing of dead processes."""
        schedule, never = self.call_soon, asyncio.Handle(bool, (), self)
        never.cancel()

        def call_soon(callback: Any, *args: Any, context: Context | None = None) -> Any:
            process = PROCESS.get() if context is None else context.get(PROCESS)
            if is_dead(process):
                return never
            return schedule(callback, *args, context=context)

        self.call_soon = call_soon  # type: ignore[assignment]


def _tls_times(settings: dict[str, Any]) -> dict[str, Any]:
    names = ("ssl_handshake_timeout", "ssl_shutdown_timeout")
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _set_done(made: "asyncio.Future[None]") -> None:
    if not made.done():
        made.set_result(None)


def _end(coroutine: Any) -> None:
    """Close a coroutine. One that goes on all the same is never freed, as Python would try again, then without a loop."""
    try:
        coroutine.close()
    except RuntimeError:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
    except BaseException:  # noqa: S110 - the clean-up of a dead process reaches nobody
        pass


def _ignore(unraisable: object) -> None:
    """An error in the clean-up of a dead process reaches nobody."""


def _belongs_to_dead(context: Context) -> bool:
    return is_dead(context.get(PROCESS))

"""Four ways to reach one service: in memory, the simulated network, `websockets`, and ASGI under uvicorn."""

import asyncio
import contextlib
import json
import socket
from contextlib import asynccontextmanager

import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.bridge import BridgeLimits, MemoryTransport
from netra_sim.server import (
    AgentApp,
    AgentServer,
    AgentService,
    ClientGoneError,
    TokenAuthenticator,
    serve_connection,
)
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.scenario import Network

PATIENCE = 20.0


class Closed(Exception):
    """The server has closed the connection."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Client:
    """The base of the clients of all carriers; `read` returns the next frame, or raises `Closed`."""

    async def say(self, message):
        await self.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def resume(self, epoch=None, cursors=None):
        await self.say({"type": "resume", "epoch": epoch, "cursors": cursors or {}})
        return await self.hear("hello")

    async def hear(self, *types):
        """The next message of one of these types, or of any type."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self.read())
                if not types or message["type"] in types:
                    return message

    async def closed(self):
        """The code with which the server closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.read()
            except Closed as end:
                return end.code


class InProcessClient(Client):
    """Queues in both directions; ``link`` makes the server's transport from a function for frames and one for the close."""

    def __init__(self, service, user, link):
        self._to_server = asyncio.Queue()
        self._to_client = asyncio.Queue()
        self.transport = link(self._arrived, self._learned)
        self._task = asyncio.create_task(serve_connection(user, self._receive, self.transport, service))

    def _arrived(self, frames):
        for frame in frames:
            self._to_client.put_nowait(frame)

    def _learned(self, code, reason):
        self._to_client.put_nowait(Closed(code))
        self._to_server.put_nowait(ClientGoneError(code, reason))

    async def _receive(self):
        message = await self._to_server.get()
        if isinstance(message, ClientGoneError):
            raise message
        return message

    async def send(self, text):
        self._to_server.put_nowait(text)

    async def read(self):
        frame = await self._to_client.get()
        if isinstance(frame, Closed):
            raise frame
        return frame

    async def leave(self):
        self._to_server.put_nowait(ClientGoneError(1000, ""))
        await self._task

    cut = leave


class SocketClient(Client):
    def __init__(self, socket):
        self.socket = socket

    async def send(self, text):
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(text)

    async def read(self):
        try:
            return await self.socket.recv()
        except ConnectionClosed:
            raise Closed(self.socket.close_code) from None

    async def leave(self):
        await self.socket.close()

    async def cut(self):
        self.socket.transport.abort()


class Place:
    """A running service, and a way to connect to it."""

    def __init__(self, service, open_client):
        self.service = service
        self.bridge = service.bridge
        self.factory = service.factory
        self._open = open_client
        self._clients = []

    async def connect(self, user="alice", **given):
        client = await self._open(user, **given)
        self._clients.append(client)
        return client

    async def leave(self):
        for client in self._clients:
            with contextlib.suppress(Closed):
                await client.leave()


class _CloseTellingTransport(MemoryTransport):
    def __init__(self, on_frames, on_close):
        super().__init__(on_frames)
        self._on_close = on_close

    def close(self, code, reason):
        if self.closed is None:
            self._on_close(code, reason)
        super().close(code, reason)


def parts(pipeline=None, backends=None, policy=None, engine_limits=None, bridge_limits=None):
    bridge = AgentWebSocketBridge(backends=backends, policy=policy, limits=bridge_limits)
    return bridge, ExecutionEngineFactory(websocket_bridge=bridge, pipeline=pipeline, limits=engine_limits)


def split(options):
    names = ("pipeline", "backends", "policy", "engine_limits", "bridge_limits")
    return {name: options.pop(name) for name in names if name in options}


@asynccontextmanager
async def _in_process(make_transport, options):
    bridge, factory = parts(**split(options))
    loop = asyncio.get_running_loop()
    options.setdefault("wall_clock", lambda: 1_700_000_000 + loop.time())
    tokens = TokenAuthenticator(wall_clock=options["wall_clock"])
    service = AgentService(bridge=bridge, execution_factory=factory, authenticator=tokens, **options)

    async def open_client(user, lifetime=3600.0, token=None):
        proved = await tokens.authenticate_token(token or tokens.issue(user, lifetime))
        client = InProcessClient(service, proved, make_transport)
        await asyncio.sleep(0.001)  # A handshake takes time here too.
        return client

    async with service:
        place = Place(service, open_client)
        place.tokens = tokens
        yield place
        await place.leave()


def memory(**options):
    return _in_process(_CloseTellingTransport, options)


def simulated(**options):
    connections = iter(range(10_000))

    def link(on_frames, on_close):
        loop = asyncio.get_running_loop()
        congested = BridgeLimits().congested_bytes
        return SimulatedTransport(loop, Network(), next(connections), congested, on_frames, on_close)

    return _in_process(link, options)


def _socket_opener(uri, tokens):
    async def open_client(user, lifetime=3600.0, token=None, headers=None, **given):
        headers = headers or {"Authorization": f"Bearer {token or tokens.issue(user, lifetime)}"}
        return SocketClient(await connect(uri, additional_headers=headers, proxy=None, max_size=None, **given))

    return open_client


@asynccontextmanager
async def over_websockets(**options):
    bridge, factory = parts(**split(options))
    tokens = TokenAuthenticator()
    async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=tokens, **options) as server:
        place = Place(server.service, _socket_opener(server.uri, tokens))
        place.tokens, place.uri = tokens, server.uri
        yield place
        await place.leave()


class QuietServer(uvicorn.Server):
    """A uvicorn server that does not handle signals."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@asynccontextmanager
async def under_uvicorn(app, **settings):
    """Serve an ASGI application on a free port of this machine, and give its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, **settings)
        server = QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(PATIENCE):
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def over_asgi(**options):
    bridge, factory = parts(**split(options))
    tokens = TokenAuthenticator()
    service = AgentService(bridge=bridge, execution_factory=factory, authenticator=tokens, **options)
    async with under_uvicorn(AgentApp(service)) as uri:
        place = Place(service, _socket_opener(uri, tokens))
        place.tokens, place.uri = tokens, uri
        yield place
        await place.leave()

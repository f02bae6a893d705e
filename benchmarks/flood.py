"""How late one user's events are while another user floods the server, against how late they are in quiet.

The server, the witness and the flooder are processes of their own. The witness's agent publishes every 10 ms; late is how
long an event is on its way. Quiet and flood take turns.
"""

import asyncio
import json
import multiprocessing
import random
import socket
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from measure import Measured, main
from websockets.asyncio.client import connect

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.factory import AgentSession, EngineLimits
from netra_sim.runtime import new_event_loop
from netra_sim.server import AgentServer, TokenAuthenticator

SECONDS = 6.0
REPETITIONS = 5
GOAL = 2.0
TEXT, PING, PONG = 1, 9, 10
FLOODS = {
    "unknown messages": (b'{"type":"zz"}', TEXT, 1),
    "ping messages": (b'{"type":"ping"}', TEXT, 1),
    "unreadable messages": (b"{", TEXT, 1),
    "pings": (b"", PING, 1),
    "pongs": (b"x" * 125, PONG, 1),
    "unknown messages on 8 sockets": (b'{"type":"zz"}', TEXT, 8),
}


class Ticks:
    """Thinks every 10 ms, by the clock."""

    name = "ticks"

    async def run(self, session: AgentSession) -> None:
        """Go on until the run's time is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            session.think("tick")
            due += 0.01
            await asyncio.sleep(max(0.0, due - loop.time()))


def serve(pipe: Connection) -> None:
    """A server; says its port and a token for each user."""

    async def run() -> None:
        bridge, tokens = AgentWebSocketBridge(), TokenAuthenticator()
        limits = EngineLimits(agent_seconds=3_000, engine_seconds=3_000)
        factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=lambda _: [[Ticks()]], limits=limits)
        async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=tokens) as server:
            pipe.send(
                (server.uri, {name: tokens.issue(name) for name in ("bob", *(f"mallory-{n}" for n in range(99)))})
            )
            await asyncio.to_thread(pipe.recv)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


def witness(pipe: Connection, uri: str, token: str) -> None:
    """Bob's client: for each request, the p99 of how late his events were in the seconds after it."""

    async def run() -> None:
        async with connect(uri, additional_headers={"Authorization": f"Bearer {token}"}, compression=None) as client:
            await client.send('{"type":"resume"}')
            await client.send('{"type":"execute_agent","message":"hi"}')
            late: list[float] = []

            async def read() -> None:
                async for text in client:
                    event = json.loads(text)
                    if event["type"] == "agent_thinking":
                        late.append(time.time() - event["timestamp"])

            reading = asyncio.create_task(read())
            while (seconds := await asyncio.to_thread(pipe.recv)) is not None:
                late.clear()
                await asyncio.sleep(seconds)
                pipe.send(sorted(late)[int(len(late) * 0.99)])
            reading.cancel()

    asyncio.run(run())


def flood(uri: str, token: str, payload: bytes, opcode: int, sockets: int, seconds: float) -> None:
    """Send as fast as the sockets take it, and come again when closed."""
    head = bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0"
    frames = (head + payload) * 200
    ends = time.monotonic() + seconds
    open_sockets: list[socket.socket] = []
    while time.monotonic() < ends:
        while len(open_sockets) < sockets and (opened := _opened(uri, token)):
            open_sockets.append(opened)
        for one in random.sample(open_sockets, len(open_sockets)):
            try:
                one.sendall(frames)
            except OSError:
                one.close()
                open_sockets.remove(one)


def _opened(uri: str, token: str) -> socket.socket | None:
    host, port = uri.removeprefix("ws://").split(":")
    try:
        raw = socket.create_connection((host, int(port)), timeout=2)
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        answer = raw.recv(4096)
        raw.settimeout(0.2)
        resume = b'{"type":"resume"}'
        raw.sendall(struct.pack("!BB", 0x81, 0x80 | len(resume)) + b"\0\0\0\0" + resume)
    except OSError:
        return None
    return raw if b" 101 " in answer else None


def measured() -> list[Measured]:
    """For each kind of flood the ratio of the witness's p99 to the quiet one before it."""
    context = multiprocessing.get_context("spawn")
    to_server, of_server = context.Pipe()
    context.Process(target=serve, args=(of_server,), daemon=True).start()
    uri, tokens = to_server.recv()
    to_witness, of_witness = context.Pipe()
    context.Process(target=witness, args=(of_witness, uri, tokens["bob"]), daemon=True).start()
    mallory = iter([token for name, token in tokens.items() if name != "bob"])

    def p99(during: Callable[[], None]) -> float:
        to_witness.send(SECONDS)
        during()
        seconds: float = to_witness.recv()
        return seconds

    time.sleep(2.0)
    rows = []
    for name, (payload, opcode, sockets) in FLOODS.items():
        values, quiets = [], []
        for _ in range(REPETITIONS):
            quiet = p99(lambda: None)
            given = (uri, next(mallory), payload, opcode, sockets, SECONDS)
            flooding = context.Process(target=flood, args=given, daemon=True)
            values.append(p99(flooding.start) / quiet)
            flooding.join()
            quiets.append(quiet)
        rows.append(Measured(f"{name}: p99 against quiet", tuple(values), GOAL))
        rows.append(Measured(f"{name}: quiet p99", tuple(1000 * one for one in quiets), unit="ms"))
    to_server.send(None)
    to_witness.send(None)
    return rows


if __name__ == "__main__":
    main("flood", measured)

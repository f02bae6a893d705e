"""The server's CPU for an event over real sockets, in units of a bare ``await ws.send(json.dumps(event))``.

The two servers are processes of their own, and so are the clients of each, which only count what they get. Every turn of the
loop has events for ten users, so that its own cost, which both sides pay, does not hide theirs.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from measure import Measure, Measured, clock, main, own_process, ratio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.runtime import new_event_loop
from netra_sim.server import AgentServer, TokenAuthenticator

EVENTS = 8_000
USERS_A_TURN = 10
REPETITIONS = 9
GOALS = {1: 1.0, 10: 0.5}
THOUGHT = "Comparing the unit costs of inference and storage, month by month, to see which of them drives the bill."
RESUME = b'{"type":"resume"}'


class Bridged:
    """The server as it is: redaction, numbering, replay buffer, ownership, shedding."""

    async def start(self, connections: int) -> int:
        self.bridge = AgentWebSocketBridge()
        factory = ExecutionEngineFactory(websocket_bridge=self.bridge)
        self.server = AgentServer(
            bridge=self.bridge, execution_factory=factory, authenticator=TokenAuthenticator(b"s" * 32)
        )
        await self.server.__aenter__()
        self.emitters = []
        for number in range(connections):
            emitter = self.bridge.open_run(
                user_id=f"user-{number}", thread_id=f"thread-{number}", run_id=f"run-{number:08d}"
            )
            emitter.agent_started("data")
            self.emitters.append(emitter)
        return int(self.server.uri.rpartition(":")[2])

    def connected(self) -> int:
        return self.bridge.metrics().live_connections

    async def say(self, user: int, events: int) -> None:
        think = self.emitters[user].agent_thinking
        for _ in range(events):
            think(THOUGHT)

    def unsent(self) -> int:
        return self.bridge.metrics().unsent_bytes


class Bare:
    """The least that sends the same events: no replay, no bounds, no owner."""

    async def start(self, connections: int) -> int:
        self.sockets: list[ServerConnection] = []

        async def talk(socket: ServerConnection) -> None:
            await socket.recv()
            self.sockets.append(socket)
            await socket.wait_closed()

        server = await serve(talk, "127.0.0.1", 0, compression=None, server_header=None)
        port: int = next(iter(server.sockets)).getsockname()[1]
        return port

    def connected(self) -> int:
        return len(self.sockets)

    async def say(self, user: int, events: int) -> None:
        socket = self.sockets[user]
        for seq in range(events):
            event = {
                "type": "agent_thinking",
                "run_id": f"run-{user:08d}",
                "thread_id": f"thread-{user}",
                "user_id": f"user-{user}",
                "seq": seq,
                "event_id": f"run-{user:08d}:{seq}",
                "timestamp": time.time(),
                "reasoning": THOUGHT,
                "schema_version": 1,
            }
            await socket.send(json.dumps(event))

    def unsent(self) -> int:
        return sum(socket.transport.get_write_buffer_size() for socket in self.sockets)


def server(kind: type[Bridged] | type[Bare], connections: int, a_turn: int) -> Measure:
    """Start a server and its clients; the measure sends events to all of them in turn, until the clients have them."""
    runner = asyncio.Runner(loop_factory=new_event_loop)
    one = kind()
    port = runner.run(one.start(connections))
    clients = subprocess.Popen([sys.executable, __file__, "clients", str(port), str(connections)])

    async def all_connected() -> None:
        async with asyncio.timeout(120):
            while one.connected() < connections:
                await asyncio.sleep(0.05)

    async def send_all() -> None:
        user = 0
        for _ in range(EVENTS // (USERS_A_TURN * a_turn)):
            for _ in range(USERS_A_TURN):
                await one.say(user, a_turn)
                user = (user + 1) % connections
            await asyncio.sleep(0)
        while one.unsent():
            await asyncio.sleep(0.005)

    runner.run(all_connected())

    def measure() -> float:
        began = clock()
        runner.run(send_all())
        seconds = (clock() - began) / EVENTS
        if clients.poll() is not None or one.connected() != connections:
            raise RuntimeError("clients are gone")
        return seconds

    return measure


async def read_all(port: int, connections: int) -> None:
    """Connect, and read until the server is gone; events are not decoded."""
    tokens = TokenAuthenticator(b"s" * 32)

    async def read(number: int, is_open: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {tokens.issue(f'user-{number}')}"}
        uri = f"ws://127.0.0.1:{port}"
        async with connect(uri, additional_headers=headers, compression=None, proxy=None, ping_interval=None) as socket:
            await socket.send(RESUME, text=True)
            is_open.set()
            with suppress(ConnectionClosed):
                while True:
                    await socket.recv(decode=False)

    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            is_open = asyncio.Event()
            group.create_task(read(number, is_open))
            await is_open.wait()


def measure_all() -> Sequence[Measured]:
    lines = []
    for connections in (100, 1_000):
        for a_turn, goal in GOALS.items():
            with ExitStack() as stack:
                ours, bare = (
                    stack.enter_context(own_process(server, kind, connections, a_turn)) for kind in (Bridged, Bare)
                )
                name = f"an event to one of {connections:,} clients, {a_turn} a turn / a bare send"
                lines.append(ratio(name, ours, bare, goal=goal, repetitions=REPETITIONS))
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["clients"]:
        asyncio.run(read_all(*map(int, sys.argv[2:])))
    else:
        main("server_cpu", measure_all)

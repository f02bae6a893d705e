"""Reference conversations: users, agents and trouble drawn from a number, carried out by the real bridge and factory.

The transcript holds the answer to every call, every frame that a client received, and the final counters. The certificate
(`netra_sim.defects.certificate`) covers the transcripts of all conversations.
"""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from random import Random
from typing import Any, NamedTuple

import msgspec

from netra_sim.bridge import (
    AgentWebSocketBridge,
    AuthenticatedUser,
    BridgeLimits,
    Connection,
    IntegrationPolicy,
    MemoryTransport,
)
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import (
    AgentSession,
    EngineLimits,
    ExecutionEngineFactory,
    UserExecutionContext,
    answer_message,
    create_user_execution_context,
)
from netra_sim.protocol import EventReader
from netra_sim.simulation import run_virtual

_USERS = ("ann", "bob", "eve")
_WAITS = (0.0, 0.0, 0.01, 0.1, 1.0, 6.0, 40.0, 130.0)
_WORDS = ("costs", "password", "api_key", "user", "x-api-key", "token", "name", "value", "secretary", "key")
_LIMITS = BridgeLimits(
    connections_per_user=3, event_bytes=4_000, replay_events=12, replay_bytes=6_000, replay_total_bytes=20_000,
    congested_bytes=2_000, stalled_bytes=4_000, outbox_bytes=9_000, threads_per_user=2, threads_total=4,
)  # fmt: skip
_POLICY = IntegrationPolicy(probe_timeout=2.0, check_interval=20.0, failures_before_recovery=2, recovery_tries=2)


class Pair(NamedTuple):
    """A value that agents may publish."""

    name: object
    value: object


class Colour(Enum):
    """A value that agents may publish."""

    RED = "red"


@dataclasses.dataclass
class Row:
    """A value that agents may publish."""

    user: str
    password: str


def conversation(number: int) -> list[str]:
    """The transcript of a conversation, line by line; the same on every platform."""
    return run_virtual(_Conversation(Random(f"reference conversation {number}")).carry_out())


def payload(draw: Random, depth: int = 0) -> object:
    """A value that an agent may publish: of any type, sometimes with a secret in one of its forms."""
    word = draw.choice(_WORDS)
    secret = f"S3cr3t{draw.randrange(1000):03}x"
    if depth < 3 and draw.random() < 0.4:
        inner = [payload(draw, depth + 1) for _ in range(draw.randrange(1, 4))]
        shapes: list[object] = [
            {word: secret, 7: inner}, {word: inner, True: inner[0], None: 1}, [word, secret, inner], (word, secret),
            [{"name": word, "value": secret}, *inner], Pair(word, secret), Row(word, secret), {word, "a", "b"}, inner,
        ]  # fmt: skip
        return draw.choice(shapes)
    scheme = draw.choice(("Bearer", "Basic", "Digest"))
    plain: list[object] = [
        draw.randrange(-5, 10**6), 0.5, 1e300, float("nan"), float("inf"), None, True, word, Colour.RED,
        f"{word}={secret}; and {word}", f"Authorization: {scheme} {secret}", json.dumps({word: secret, "a": [1, word]}),
        secret.encode() + bytes([draw.randrange(256)]), repr({word: secret, "b": 2}), f"-----BEGIN KEY----- {secret}",
        f"https://{word}:{secret}@host/{word}?{word}={secret}&x=1", "x" * draw.choice((1, 70, 900, 1100, 5000)),
    ]  # fmt: skip
    return draw.choice(plain)


def _stable(answer: object) -> object:
    """An answer in a form that is the same in every process: sets are sorted, connections left out."""
    if isinstance(answer, UserExecutionContext):
        return (answer.user_id, answer.thread_id, answer.run_id, _stable(answer.request))
    if isinstance(answer, Mapping):
        return {key: _stable(value) for key, value in answer.items()}
    if isinstance(answer, tuple):
        return tuple(map(_stable, answer))
    if isinstance(answer, frozenset):
        return sorted(map(repr, answer))
    return "" if isinstance(answer, Connection) else answer


class _Drawn:
    """An agent with drawn actions."""

    def __init__(self, name: str, seed: str) -> None:
        self.name = name
        self._draw = Random(seed)

    async def run(self, session: AgentSession) -> object:
        """Think, call tools, start background work, wait; then answer, fail or be cancelled."""
        draw = self._draw
        for _ in range(draw.randrange(1, 6)):
            do = draw.randrange(10)
            if do < 4:
                session.think(payload(draw))
            elif do < 7:
                await session.use_tool(_Tool(draw), word=payload(draw))
            elif do == 7:
                await asyncio.sleep(draw.choice(_WAITS))
            elif do == 8:
                session.spawn(_Tool(draw)())
        if draw.random() < 0.08:
            raise draw.choice((RuntimeError("no luck"), SystemExit(3), asyncio.CancelledError()))
        return payload(draw)


class _Tool:
    name = "lookup"

    def __init__(self, draw: Random) -> None:
        self._draw = draw

    async def __call__(self, **parameters: object) -> object:
        await asyncio.sleep(self._draw.choice((0.0, 0.05, 0.5)))
        if self._draw.random() < 0.1:
            raise ConnectionError("the back end is gone")
        return payload(self._draw)


class _Client:
    """One tab, with its reader and its connection while it has one."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.reader = EventReader()
        self.transport = MemoryTransport()
        self.connection: Connection | None = None
        self.shown = 0


class _Conversation:
    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._transcript: list[str] = []
        self._clients: list[_Client] = []
        self._runs: list[str] = []
        self._live: set[asyncio.Task[None]] = set()
        self._is_up = True

    async def carry_out(self) -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._note_error)
        self._bridge = AgentWebSocketBridge(
            limits=_LIMITS, policy=_POLICY, backends={"database": self._database}, epoch="e",
            wall_clock=lambda: 1_700_000_000.0 + loop.time(),
        )  # fmt: skip
        limits = EngineLimits(engine_seconds=60, agent_seconds=20, agents_at_once=2, cleanup_seconds=1, ready_seconds=1)
        self._factory = ExecutionEngineFactory(websocket_bridge=self._bridge, pipeline=self._pipeline, limits=limits)
        monitor = asyncio.create_task(self._bridge.monitor())
        for _ in range(self._draw.randrange(10, 40)):
            await self._step()
        await self._attempt("drain", self._factory.shutdown, self._draw.choice((0.0, 0.0, 30.0)))
        await self._attempt("shutdown", self._bridge.shutdown)
        await asyncio.sleep(200.0)
        self._listen()
        self._transcript.append(str(msgspec.structs.asdict(self._bridge.metrics())))
        monitor.cancel()
        await asyncio.wait([monitor, *self._live])
        return self._transcript

    def _note_error(self, loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        if "never retrieved" not in about["message"]:  # its moment depends on the garbage collector
            self._transcript.append(f"reported: {about['message']}")

    async def _database(self) -> None:
        if not self._is_up:
            raise ConnectionError("the database is down")

    def _pipeline(self, context: UserExecutionContext) -> list[list[_Drawn]]:
        stages = self._draw.choice(((1,), (2,), (1, 1), (3, 1)))
        seed = f"{context.run_id} {self._draw.random()}"
        return [
            [_Drawn(f"agent {stage}.{n}", f"{seed} {stage} {n}") for n in range(size)]
            for stage, size in enumerate(stages)
        ]

    async def _step(self) -> None:
        steps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (5, self._connect), (6, self._ask), (3, self._route), (2, self._cut), (2, self._trouble), (1, self._cancel),
            (1, self._resume), (1, self._claim), (1, self._health), (4, self._wait),
        ]  # fmt: skip
        (step,) = self._draw.choices([one for _, one in steps], [weight for weight, _ in steps])
        await step()
        await asyncio.sleep(0.001)
        self._listen()

    async def _attempt(self, what: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call a function, and note its answer or refusal."""
        try:
            answer = call(*given, **named)
            answer = await answer if isinstance(answer, Awaitable) else answer
        except (NetraSimError, ValueError, TypeError) as error:
            self._transcript.append(f"{what}: {type(error).__name__}: {error}")
            return None
        self._transcript.append(f"{what}: {_stable(answer)}")
        return answer

    def _listen(self) -> None:
        """Note what each client received since the last call."""
        for number, client in enumerate(self._clients):
            frames = client.transport.frames
            for frame in frames[client.shown :]:
                reading = client.reader.feed(frame)
                message = json.loads(frame)
                message.pop("event_id", None)
                self._transcript.append(f"client {number} {reading.is_new} {reading.missing} {json.dumps(message)}")
            client.shown = len(frames)
            if client.transport.closed is not None and client.connection is not None:
                self._transcript.append(f"client {number} closed {client.transport.closed}")
                client.connection = None

    async def _connect(self) -> None:
        away = [one for one in self._clients if one.connection is None]
        if away and self._draw.random() < 0.6:
            client = self._draw.choice(away)
            client.transport, client.shown = MemoryTransport(), 0
        else:
            client = _Client(self._draw.choice(_USERS))
            self._clients.append(client)
        epoch = self._draw.choice((client.reader.epoch, client.reader.epoch, "x"))
        client.connection = await self._attempt(
            f"connect {client.user}", self._bridge.connect, AuthenticatedUser(client.user), client.transport,
            connection_id=f"c{len(self._transcript)}", epoch=epoch, cursors=self._cursors(client),
        )  # fmt: skip

    def _cursors(self, client: _Client) -> dict[str, int]:
        cursors = dict(client.reader.cursors)
        if self._draw.random() < 0.15:
            cursors[self._draw.choice([*self._runs, "nobody.1"])] = self._draw.choice((-1, 0, 3, 500))
        return cursors

    async def _ask(self) -> None:
        """Begin a run, sometimes with the run id or the thread of another user."""
        user = self._draw.choice(_USERS)
        run = (
            self._draw.choice(self._runs)
            if self._runs and self._draw.random() < 0.1
            else f"{user}.{len(self._transcript)}"
        )
        thread = self._draw.choice((f"{user} thread", run, f"{self._draw.choice(_USERS)} thread"))
        if run not in self._runs:
            self._runs.append(run)
        given = {"message": "hello", "data": payload(self._draw) if self._draw.random() < 0.3 else {}}
        context = await self._attempt(
            "context", create_user_execution_context, user, "c", given, thread_id=thread, run_id=run
        )
        if context is not None:
            self._live.add(asyncio.create_task(self._run(context)))

    async def _run(self, context: UserExecutionContext) -> None:
        try:
            async with self._factory.user_execution_scope(context) as engine:
                result = await engine.execute_agent_pipeline()
                self._transcript.append(f"result {result.run_id}: {result.status} {result.error} {result.seconds:.6f}")
                if self._draw.random() < 0.1:
                    await self._attempt("once more", engine.execute_agent_pipeline)
        except NetraSimError as error:
            self._transcript.append(f"scope {context.run_id}: {type(error).__name__}: {error}")

    async def _route(self) -> None:
        """Route a message of a client, right or wrong."""
        for client, connection in self._one_connected():
            request = f"q{self._draw.randrange(5)}"
            ask = {"type": "execute_agent", "message": "hi", "request_id": request, "thread_id": client.user}
            message = self._draw.choice(
                (ask, ask, ask | {"thread_id": "ann thread"}, ask | {"thread_id": "\0"}, ask | {"request_id": "a.b"},
                 ask | {"data": {"x": payload(self._draw)}}, {"type": "execute_agent"}, {"type": "zz"}, {}, [1])
            )  # fmt: skip
            self._live.add(asyncio.create_task(self._routed(connection, message)))

    async def _routed(self, connection: Connection, message: object) -> None:
        result = await answer_message(message, connection, bridge=self._bridge, execution_factory=self._factory)
        self._transcript.append(f"routed: {result.status if result else None}")

    def _one_connected(self) -> list[tuple[_Client, Connection]]:
        """A drawn client that has a connection, or nothing if none has."""
        connected = [(one, one.connection) for one in self._clients if one.connection is not None]
        return [self._draw.choice(connected)] if connected else []

    async def _cut(self) -> None:
        for client, connection in self._one_connected():
            if self._draw.random() < 0.3:
                client.transport.fail()
            else:
                await self._attempt("disconnect", self._bridge.disconnect, connection, self._draw.choice((1000, 4008)))
                client.connection = None

    async def _trouble(self) -> None:
        for client, _ in self._one_connected():
            self._draw.choice((client.transport.stall, client.transport.stall, client.transport.resume))()

    async def _resume(self) -> None:
        for client, connection in self._one_connected():
            cursors = self._cursors(client)
            await self._attempt("resume", self._bridge.resume, connection, epoch="e", cursors=cursors)

    async def _cancel(self) -> None:
        user = self._draw.choice(_USERS)
        run = self._draw.choice([*self._runs[-3:], "nobody.1"])
        await self._attempt(f"cancel {run} for {user}", self._factory.cancel_run, user, run)

    async def _claim(self) -> None:
        thread = f"{self._draw.choice(_USERS)} thread"
        await self._attempt("claim", self._bridge.claim_thread, self._draw.choice(_USERS), thread)

    async def _health(self) -> None:
        self._is_up = self._draw.random() < 0.6
        call = self._draw.choice((self._bridge.check_health, self._bridge.ensure_integration, self._bridge.recover))
        await self._attempt("health", call)

    async def _wait(self) -> None:
        await asyncio.sleep(self._draw.choice(_WAITS))

"""`load`: real clients against a real server on this machine, recorded as the same History that a simulation makes."""

import asyncio
import random
from collections.abc import Callable

import msgspec

from netra_sim.bridge import AgentCompleted, AgentError, AgentWebSocketBridge, Hello, Reading, Refused
from netra_sim.factory import (
    ExecutionEngineFactory,
    UserExecutionContext,
    default_pipeline,
    run_id_of,
)
from netra_sim.history import (
    ENGINES_AT_A_LOOK,
    EngineWatch,
    History,
    Recorder,
    environment,
    marked_question,
    record_gauges,
    record_left_overs,
)
from netra_sim.runtime import measuring
from netra_sim.server.client import AgentClient
from netra_sim.server.server import AgentServer
from netra_sim.server.tokens import TokenAuthenticator
from netra_sim.version import __version__

PROBE_INTERVAL = 0.1
"""Seconds between two looks for state that users share."""

PATIENCE = 60.0


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the clients of a load run do.

    Attributes:
        users: how many, each with one connection.
        runs_per_user: requests of each user.
        window: seconds over which the requests are due, independently of each other.
        step: longest time of an agent's step, in seconds; each is drawn uniformly.
        seed: of the draws. What it fixes is the plan: a real run's timing is the machine's.
    """

    users: int = 50
    runs_per_user: int = 1
    window: float = 2.0
    step: float = 0.04
    seed: int = 1

    def __post_init__(self) -> None:
        if self.users < 1 or self.runs_per_user < 1:
            raise ValueError(f"users and runs_per_user must be at least 1, and are {self.users}, {self.runs_per_user}")
        if self.window < 0 or self.step < 0:
            raise ValueError(f"window and step must not be negative, and are {self.window:g}, {self.step:g}")


async def load(plan: Load | None = None, *, on_answer: Callable[[], None] | None = None) -> History:
    """Start a server, let clients connect, ask and read, stop everything, and return what was recorded.

    Args:
        plan: what the clients do.
        on_answer: called at the end of every request, for a progress display.

    Raises:
        RuntimeError: nest-asyncio is applied in this process, and would be measured too.
    """
    plan = plan or Load()
    with measuring():
        return await _Run(plan, on_answer or (lambda: None)).live()


class _UniformTiming(msgspec.Struct, frozen=True):
    longest: float
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        return random.Random(f"{self.seed}/{context.run_id}/{step}").uniform(0, self.longest)


class _Run:
    def __init__(self, plan: Load, on_answer: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._plan = plan
        self._on_answer = on_answer
        self._clock: Callable[[], float] = lambda: loop.time() - began
        self._recorder = Recorder(self._clock)
        self._watch = EngineWatch(self._recorder)
        self._bridge = AgentWebSocketBridge(observer=self._recorder)
        self._factory = ExecutionEngineFactory(
            websocket_bridge=self._bridge,
            pipeline=default_pipeline(_UniformTiming(plan.step, plan.seed)),
            observer=self._watch,
        )
        self._watch.watch(self._factory)
        self._authenticator = TokenAuthenticator()

    async def live(self) -> History:
        plan = self._plan
        server = AgentServer(bridge=self._bridge, execution_factory=self._factory, authenticator=self._authenticator)
        async with server:
            probing = asyncio.create_task(self._probe(), name="probe for shared state")
            async with asyncio.TaskGroup() as group:
                for number in range(plan.users):
                    group.create_task(self._user(f"user-{number:0{len(str(plan.users - 1))}d}", server.uri))
            probing.cancel()
            await asyncio.wait([probing])
        record_left_overs(self._recorder, self._bridge, self._factory, self._watch)
        return self._recorder.finish(
            {
                "source": "server",
                "load": msgspec.to_builtins(plan),
                "engines_per_user": self._factory.limits.engines_per_user,
                "unsent_bytes": self._bridge.limits.outbox_bytes + self._bridge.limits.event_bytes,
                "tools_required": True,
                "seed": plan.seed,
                "version": __version__,
                "environment": environment(),
            }
        )

    async def _user(self, user_id: str, uri: str) -> None:
        plan, recorder, draw = self._plan, self._recorder, random.Random(f"{self._plan.seed}/{user_id}")
        ends: dict[str, asyncio.Future[None]] = {}

        def on_reading(frame: bytes, reading: Reading, connection_id: str) -> None:
            message = reading.message
            if isinstance(message, Hello):
                recorder.attached(connection_id, user_id, user_id)
            recorder.read(connection_id, user_id, frame, reading)
            if isinstance(message, AgentCompleted | AgentError):
                run_id = message.run_id
            elif isinstance(message, Refused):
                run_id = run_id_of(user_id, message.request_id or "")
                recorder.refused(run_id, user_id, message.code)
            else:
                return
            if run_id in ends and not ends[run_id].done():
                ends[run_id].set_result(None)

        async with AgentClient(uri, self._authenticator.issue(user_id), on_reading) as client:
            for number, due in enumerate(
                sorted(draw.uniform(0.2, 0.2 + plan.window) for _ in range(plan.runs_per_user))
            ):
                await asyncio.sleep(due - self._clock())
                run_id = run_id_of(user_id, str(number))
                ends[run_id] = asyncio.get_running_loop().create_future()
                recorder.requested(run_id, user_id, due)
                question = marked_question(user_id, run_id)
                await client.send({"type": "execute_agent", "message": question, "request_id": str(number)})
                await asyncio.wait([ends[run_id]], timeout=PATIENCE)
                self._on_answer()

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            record_gauges(self._recorder, self._bridge)
            self._watch.look(self._factory.latest_engines(ENGINES_AT_A_LOOK))

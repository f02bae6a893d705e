"""`load`: real clients against a real server on this machine, recorded in a History like that of a simulation."""

import asyncio
from collections.abc import Callable
from time import perf_counter

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, default_pipeline
from netra_sim.history import History, Kind, Objectives, environment, merge
from netra_sim.loading.channel import Orders
from netra_sim.loading.control import bare_echo
from netra_sim.loading.open_files import room_for_sockets
from netra_sim.loading.plan import Load, UniformTiming
from netra_sim.loading.process import ClientsProcess
from netra_sim.loading.watching import alongside, loop_errors_recorded
from netra_sim.recording import ENGINES_PER_COMPARISON, EngineWatch, Recorder, record_gauges, record_left_overs
from netra_sim.runtime import measuring
from netra_sim.server.server import AgentServer
from netra_sim.server.tokens import TokenAuthenticator
from netra_sim.version import __version__

PROBE_INTERVAL = 0.1
"""Seconds between two samples of the server."""


async def load(
    plan: Load | None = None,
    *,
    objectives: Objectives | None = None,
    on_answer: Callable[[], None] | None = None,
) -> History:
    """Start a server in this process and clients in another, carry out a plan, and stop both.

    Both processes record by the same clock. The History holds the rows of both in the order of time, at equal times the
    server's first (see `netra_sim.history.merge`). Meanwhile a control measures the latency of the machine itself, as
    the gauge `CONTROL_LATENCY`. The gauge `DRIVER_LATENESS` records how late requests were sent.

    Args:
        plan: what the clients do.
        objectives: the bounds that the checks use; their defaults if not given.
        on_answer: called at the end of every request, for a progress display.

    Raises:
        RuntimeError: nest-asyncio is applied in this process, and would affect the measurement; the clients' process died,
            had an error, has another clock, or did not keep to the plan; the machine allows too few open files. Nothing is
            left running, and there is no History.
        BaseException: a probe or other background work raised it.
    """
    plan = plan or Load()
    with measuring(), room_for_sockets(plan.users):
        async with ClientsProcess() as clients:
            return await _LoadTest(plan, objectives, clients, on_answer or (lambda: None)).run()


class _LoadTest:
    def __init__(
        self, plan: Load, objectives: Objectives | None, clients: ClientsProcess, on_answer: Callable[[], None]
    ) -> None:
        self._plan = plan
        self._objectives = objectives
        self._clients = clients
        self._on_answer = on_answer
        self._began = perf_counter()
        self._recorder = Recorder(lambda: perf_counter() - self._began)
        self._watch = EngineWatch(self._recorder)
        self._bridge = AgentWebSocketBridge(observer=self._recorder)
        self._factory = ExecutionEngineFactory(
            websocket_bridge=self._bridge,
            pipeline=default_pipeline(UniformTiming(plan.step, plan.seed)),
            observer=self._watch,
        )
        self._watch.watch(self._factory)

    async def run(self) -> History:
        authenticator = TokenAuthenticator()
        server = AgentServer(bridge=self._bridge, execution_factory=self._factory, authenticator=authenticator)
        tokens = {user.user_id: authenticator.issue(user.user_id) for user in self._plan.planned()}
        with loop_errors_recorded(self._recorder):
            async with bare_echo() as control_uri, server:
                orders = Orders(self._plan, server.uri, control_uri, tokens, self._began)
                theirs = await alongside(self._clients.drive(orders, self._on_answer), self._sample())
            record_left_overs(self._recorder, self._bridge, self._factory, self._watch)
        self._require_the_plan(theirs)
        return merge([self._recorder.finish({}), theirs], self._meta())

    def _require_the_plan(self, theirs: History) -> None:
        """Require that every request of the plan was sent, and is recorded with the due time of the plan.

        Omitted requests, or other due times, would make the figures look better than they are.
        """
        begins = theirs.meta["began"]
        planned = {(request.run_id, begins + request.due) for user in self._plan.planned() for request in user.requests}
        made = theirs.frame(Kind.REQUESTED)
        recorded = set(zip(made["run"], made["due"], strict=True))
        if planned != recorded or len(made) != len(planned):
            raise RuntimeError(
                f"the clients did not keep to the plan: of {len(planned):,} requests {len(planned & recorded):,} were made "
                f"and are recorded as due when the plan says; {len(made):,} are recorded"
            )

    def _meta(self) -> dict[str, object]:
        objectives = {} if self._objectives is None else {"objectives": msgspec.to_builtins(self._objectives)}
        return {
            "source": "server",
            "load": msgspec.to_builtins(self._plan),
            "engines_per_user": self._factory.limits.engines_per_user,
            "unsent_bytes": self._bridge.limits.outbox_bytes + self._bridge.limits.event_bytes,
            "tools_required": True,
            "seed": self._plan.seed,
            "clocks_agree_within": self._clients.clocks_agree_within,
            "version": __version__,
            "environment": environment(),
        } | objectives

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            record_gauges(self._recorder, self._bridge)
            self._watch.look(self._factory.latest_engines(ENGINES_PER_COMPARISON))

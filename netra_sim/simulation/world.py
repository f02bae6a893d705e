"""The world of a simulation: servers, users, faults, and the record of what they do."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from weakref import ref

import msgspec

from netra_sim.bridge import AgentWebSocketBridge, BridgeLimits, IntegrationPolicy
from netra_sim.factory import (
    Agent,
    AgentSession,
    EngineLimits,
    ExecutionEngineFactory,
    Pipeline,
    UserExecutionContext,
    answer_to,
    default_pipeline,
)
from netra_sim.history import LOOP_STEPS, History, environment
from netra_sim.recording import (
    ENGINES_AT_A_LOOK,
    EngineWatch,
    Recorder,
    marked_question,
    record_gauges,
    record_left_overs,
)
from netra_sim.simulation.conditions import Conditions, Injection
from netra_sim.simulation.diagnosis import (
    DeadlockError,
    HarnessError,
    VirtualTimeLimitError,
    blaming,
    harness_error,
    loop_error,
    process_independent,
)
from netra_sim.simulation.faults import AgentFault, BackendFault, Deploy, Fault, LimitsFault
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import SELECT_LIMIT, Agents, Scenario
from netra_sim.simulation.user import SimulatedUser
from netra_sim.version import __version__

EPOCH = 1_700_000_000.0
"""What the wall clock shows when a simulation begins, in seconds since 1970."""

PROBE_INTERVAL = 1.0
"""Virtual seconds between two looks at what the server holds and what its engines share."""


class World:
    """Everything that takes part in one simulation.

    Args:
        scenario: what happens.
        seed: decides what the scenario leaves open.
        loop: tells the time.
        on_answer: called at the end of every request.
        factory_class: makes the engines.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        loop: VirtualTimeLoop,
        on_answer: Callable[[], None],
        factory_class: type[ExecutionEngineFactory],
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.loop = loop
        self.recorder = Recorder(loop.exact_time)
        self.conditions = Conditions(scenario.faults, seed)
        self.on_answer = on_answer
        self.failure: HarnessError | None = None
        self._factory_class = factory_class
        self._instances: list[Instance] = []
        self._current: Instance | None = None
        self._other: Instance | None = None
        self._is_deployed = False
        self._users: list[SimulatedUser] = []
        self._background: dict[asyncio.Task[Any], None] = {}
        self._errors_at_the_end: list[tuple[str, str]] = []
        self._main: asyncio.Task[Any] | None = None
        self._story_until_stuck: History | None = None
        loop.on_stuck = self._be_stuck
        loop.set_exception_handler(self._on_loop_error)

    @property
    def story_until_stuck(self) -> History:
        """What had happened when the loop found that it was stuck.

        Raises:
            RuntimeError: it was not.
        """
        if self._story_until_stuck is None:
            raise RuntimeError("the simulation was not stuck")
        return self._story_until_stuck

    async def live(self) -> History:
        """Let everything happen, from the start of the server to its shutdown.

        Raises:
            HarnessError: a fault, a probe or a simulated user failed.
        """
        self._main = asyncio.current_task()
        try:
            await self._happen()
        except asyncio.CancelledError:
            if self.failure is None:
                raise
        if self.failure is not None:
            raise self.failure
        return self._story()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start work of the simulation's own; if it fails, the simulation ends with a `HarnessError` of this name."""
        task = asyncio.create_task(work, name=name)
        self._background[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._background[task]
        if task.cancelled() or (error := task.exception()) is None or self.failure is not None:
            return
        self.failure = harness_error(task.get_name(), error)
        self.failure.__cause__ = error
        if self._main is not None:
            self._main.cancel()

    async def _happen(self) -> None:
        for injection in self.conditions.injections:
            if injection.fault.at == 0 or isinstance(injection.fault, LimitsFault):
                self._begin(injection)
        self._is_deployed = True
        self._adapt()
        self.spawn(self._look_around(), "the probe")
        for injection in self.conditions.injections:
            if not isinstance(injection.fault, LimitsFault):
                self.spawn(self._suffer(injection), f"fault {injection.fault.name}")
        self._users = [SimulatedUser(number, self) for number in range(self.scenario.users)]
        await asyncio.wait([self.spawn(user.live(), user.user_id) for user in self._users])
        for task in (left := list(self._background)):
            task.cancel()
        if left:
            await asyncio.wait(left)
        for injection in self.conditions.injections:
            # Also of a fault that had not begun when the last user left, and so hit nobody.
            if not injection.has_ended:
                self._take_away(injection)
        for instance in self._instances:
            await instance.stop()
        for instance in self._instances:
            record_left_overs(self.recorder, instance.bridge, instance.factory, instance.watch)

    def _story(self) -> History:
        gc.collect()  # Errors of tasks that nobody awaited are told of when the task is freed.
        for error in sorted(self._errors_at_the_end):
            self.recorder.loop_error(*error)
        self.recorder.sample(LOOP_STEPS, self.loop.steps)
        return self.recorder.finish(
            {
                "source": "simulation",
                "scenario": msgspec.to_builtins(self.scenario),
                "objectives": msgspec.to_builtins(self.scenario.objectives),
                "engines_per_user": self.scenario.limits.engines_per_user,
                "unsent_bytes": BridgeLimits().outbox_bytes + BridgeLimits().event_bytes,
                "tools_required": self.scenario.tools_required,
                "began": EPOCH,
                "seed": self.seed,
                "version": __version__,
                "environment": environment(),
            }
        )

    def _be_stuck(self, error: DeadlockError | VirtualTimeLimitError) -> None:
        if self._story_until_stuck is None:
            for line in error.report.splitlines():
                self.recorder.stuck(error.how, process_independent(line.strip()))
            self._story_until_stuck = self._story()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if "handle" in context:
            self.recorder.loop_error(*loop_error(context))
        else:
            # Most of these are found out when an object is freed, which happens earlier or later in every process.
            self._errors_at_the_end.append(loop_error(context))

    def wall_clock(self) -> float:
        """What the servers' wall clock shows, in seconds since 1970."""
        return EPOCH + self.loop.time() + self.conditions.clock_offset

    def right_answer(self, user_id: str, run_id: str) -> object:
        """What the question of a run has as its answer; None where a factory's variant may answer otherwise."""
        is_known = self._factory_class is ExecutionEngineFactory
        return answer_to(marked_question(user_id, run_id)) if is_known else None

    def server(self, *, is_elsewhere: bool) -> Instance | None:
        """The server that clients reach now, or the other one, which is started for the first who is led there."""
        if not is_elsewhere:
            return self._current
        if self._other is None:
            self._other = self._new_instance()
            self.spawn(self._other.start(), "start of another server")
        return self._other

    def reset_connections(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        for injection in self.conditions.injections_of(fault):
            for user in self._present:
                if injection.is_for(user.user_id) and sum(tab.cut() for tab in user.tabs):
                    injection.hit.add(user.user_id)

    def reset_before_accept(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        for injection in self.conditions.injections_of(fault):
            injection.hit.add("a client that nobody knows")
        if self._current is not None and self.scenario.platform.loop == "proactor":
            self._current.is_listening = False

    def has_room(self, instance: Instance) -> bool:
        """Whether a server accepts one more connection, on the loop that the scenario's platform has."""
        if not instance.is_listening:
            return False
        return self.scenario.platform.loop != "selector" or instance.bridge.metrics().live_connections < SELECT_LIMIT

    def block_loop(self, until: float) -> None:
        """See `FaultTarget`."""
        began = self.loop.exact_time()
        self.loop.spend(max(0.0, until - began))
        for user in self._present:
            for tab in user.tabs:
                tab.outlast_stall(began, self.loop.exact_time())

    def begin_again(self, fault: Fault, seconds: float) -> None:
        """See `FaultTarget`."""

        async def act() -> None:
            await self.loop.sleep_exactly(seconds)
            fault.begin(self)

        self.spawn(act(), f"fault {fault.name}")

    @property
    def _present(self) -> list[SimulatedUser]:
        return [user for user in self._users if user.is_there]

    def _new_instance(self) -> Instance:
        """Make one more server, with a memory of its own."""
        scenario, number = self.scenario, len(self._instances)
        limits = BridgeLimits()
        for fault in self.conditions.on_for_all(LimitsFault):
            with blaming(f"fault {fault.name}"):
                limits = fault.adjust(limits)
        bridge = AgentWebSocketBridge(
            limits=limits,
            policy=IntegrationPolicy(check_interval=scenario.limits.check_interval),
            backends={"model service": self._answer_probe},
            wall_clock=self.wall_clock,
            epoch=f"{key(self.seed, 'epoch', number):016x}",
            observer=self.recorder,
        )
        watch = EngineWatch(self.recorder)
        factory = self._factory_class(
            websocket_bridge=bridge,
            pipeline=self._pipeline(),
            limits=EngineLimits(
                engines_per_user=scenario.limits.engines_per_user,
                agent_seconds=scenario.limits.agent_seconds,
                engine_seconds=scenario.limits.engine_seconds,
            ),
            observer=watch,
        )
        watch.watch(factory)
        instance = Instance(number, bridge, factory, watch)
        self._instances.append(instance)
        return instance

    async def _answer_probe(self) -> None:
        if self.conditions.on_for_all(BackendFault):
            raise ConnectionError("the model service does not answer")

    def _begin(self, injection: Injection[Fault]) -> None:
        self.recorder.fault_began(injection.fault.name)
        injection.is_on = True
        with blaming(f"the beginning of fault {injection.fault.name}"):
            injection.fault.begin(self)
        self._adapt()

    async def _suffer(self, injection: Injection[Fault]) -> None:
        fault = injection.fault
        if not injection.is_on:
            await self.loop.sleep_exactly(fault.at - self.loop.exact_time())
            self._begin(injection)
        # Those whose time came while the loop was blocked come first, and have met the fault.
        await self.loop.sleep_exactly(max(fault.at + fault.lasts - self.loop.exact_time(), 1e-6))
        self._take_away(injection)
        self._adapt()

    def _take_away(self, injection: Injection[Fault]) -> None:
        was_on, injection.is_on, injection.has_ended = injection.is_on, False, True
        if was_on:
            with blaming(f"the end of fault {injection.fault.name}"):
                injection.fault.end(self)
        self.recorder.fault_ended(injection.fault.name, len(injection.hit))

    def _adapt(self) -> None:
        """Have the server and everybody who is there meet the conditions that hold now."""
        deploys = self.conditions.on_for_all(Deploy)
        if deploys and self._current is not None:
            stopping, self._current = self._current, None
            self.spawn(stopping.stop(deploys[-1].drain), "stop of a server")
        elif not deploys and self._current is None and self._is_deployed:
            self._current = self._new_instance()
            self.spawn(self._current.start(), "start of a server")
        for user in self._present:
            user.adapt()

    def _pipeline(self) -> Pipeline:
        scenario, seed = self.scenario, self.seed
        healthy = default_pipeline(_DrawnTiming(scenario.agents, key(seed, "timing")))
        faults = self.conditions.of(AgentFault)
        if not faults and scenario.agents.reasoning == 0:
            return healthy

        def pipeline(context: UserExecutionContext) -> Sequence[Sequence[Agent]]:
            stages = [list(stage) for stage in healthy(context)]
            if scenario.agents.reasoning != 0:
                stages = [[_Talkative(agent, scenario.agents, seed) for agent in stage] for stage in stages]
            places = [(stage, index) for stage in stages for index in range(len(stage))]
            for one in faults:
                if one.is_for(context.run_id):
                    drawn = uniform(key(seed, "agent", one.fault.name, context.run_id))
                    stage, index = places[int(drawn * len(places))]
                    stage[index] = _Troubled(stage[index], ref(one))
            return stages

        return pipeline

    async def _look_around(self) -> None:
        looks = 0
        # Stop looking, and watching over the bridges, when nothing else is scheduled: that would hide a deadlock.
        while self.loop.has_plans(ignoring=self._monitors):
            await self.loop.sleep_exactly(PROBE_INTERVAL)
            looks += 1
            if self._current is not None:
                self._look_at(self._current, looks)
        for instance in self._instances:
            await instance.stop_monitor()

    @property
    def _monitors(self) -> list[asyncio.Task[None]]:
        return [instance.monitor for instance in self._instances if instance.monitor is not None]

    def _look_at(self, instance: Instance, looks: int) -> None:
        record_gauges(self.recorder, instance.bridge)
        self.recorder.sample(LOOP_STEPS, self.loop.steps)
        engines = instance.factory.engines
        first = int(uniform(key(self.seed, "probe"), looks) * len(engines))
        instance.watch.look(engines[first : first + ENGINES_AT_A_LOOK])


class _DrawnTiming(msgspec.Struct, frozen=True):
    """How long the agents' steps take: drawn for each run and step by name, so that no other draw moves them."""

    agents: Agents
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        distribution = self.agents.think if step.endswith(".think") else self.agents.tool
        return distribution.draw(uniform(key(self.seed, context.run_id, step)))


class _Talkative:
    """An agent that thinks aloud at length."""

    __slots__ = ("_agent", "_agents", "_seed", "name")

    def __init__(self, agent: Agent, agents: Agents, seed: int) -> None:
        self.name = agent.name
        self._agent = agent
        self._agents = agents
        self._seed = seed

    async def run(self, session: AgentSession) -> object:
        context, length = session.context, self._agents.reasoning
        if not isinstance(length, int):
            length = int(length.draw(uniform(key(self._seed, "reasoning", context.run_id, self.name))))
        question = str(context.request.get("message", ""))
        session.think(f"{question} ".ljust(length, "."))
        return await self._agent.run(session)


class _Troubled:
    """An agent that a fault befalls when its turn comes while the fault is on."""

    __slots__ = ("_agent", "_injection", "name")

    def __init__(self, agent: Agent, injection: ref[Injection[AgentFault]]) -> None:
        self.name = agent.name
        self._agent = agent
        self._injection = injection  # not held: what two users' agents hold would be shared state

    async def run(self, session: AgentSession) -> object:
        fault = self._fault(session.context.run_id)
        if fault is not None:
            await fault.disturb(session)
        return await self._agent.run(session)

    def _fault(self, run_id: str) -> AgentFault | None:
        injection = self._injection()
        return injection.fault if injection is not None and injection.strikes(run_id) else None

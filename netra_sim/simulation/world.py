"""The world of a simulation: servers, users, faults, and the record of what they do."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import msgspec

from netra_sim.bridge import AgentWebSocketBridge, BridgeLimits
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
from netra_sim.history import (
    ENGINES_AT_A_LOOK,
    LOOP_STEPS,
    EngineWatch,
    History,
    Recorder,
    environment,
    marked_question,
    record_gauges,
    record_left_overs,
)
from netra_sim.simulation.client import SimulatedClient
from netra_sim.simulation.faults import AgentFault, Fault
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.loop import DeadlockError, VirtualTimeLimitError, VirtualTimeLoop
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Agents, Scenario
from netra_sim.simulation.user import SimulatedUser
from netra_sim.version import __version__

EPOCH = 1_700_000_000.0
"""What the wall clock shows when a simulation begins, in seconds since 1970."""

PROBE_INTERVAL = 1.0
"""Virtual seconds between two looks at what the server holds and what its engines share."""

_OF_THIS_PROCESS = re.compile(r" at 0x[0-9a-f]+|(?<=Task)-\d+")


class Conditions:
    """What faults change and everybody else meets.

    Attributes:
        backend_is_up: whether the bridge's back end answers probes.
        clock_offset: seconds by which the wall clock is wrong.
        handshake_delay: seconds that handshakes take longer.
        handshakes_fail: whether nobody gets in.
    """

    def __init__(self) -> None:
        self.backend_is_up = True
        self.clock_offset = 0.0
        self.handshake_delay = 0.0
        self.handshakes_fail = False


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
        self.recorder = Recorder(loop.time)
        self.conditions = Conditions()
        self.on_answer = on_answer
        self.instance: Instance | None = None
        self._factory_class = factory_class
        self._instances: list[Instance] = []
        self._users: list[SimulatedUser] = []
        self._duties: set[asyncio.Task[object]] = set()
        self._story_until_stuck: History | None = None
        loop.on_stuck = self._be_stuck

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
        """Let everything happen, from the start of the server to its shutdown."""
        for fault in self.scenario.faults:
            if fault.at == 0:
                self._begin(fault)
        self.instance = self.start_instance()
        await self.instance.bridge.ensure_integration()
        self._take_on(self._look_around(), "looks around")
        for fault in self.scenario.faults:
            self._take_on(self._suffer(fault), f"fault {fault.name}")
        async with asyncio.TaskGroup() as group:
            for number in range(self.scenario.users):
                user = SimulatedUser(number, self)
                self._users.append(user)
                group.create_task(user.live(), name=user.user_id)
        for duty in self._duties:
            duty.cancel()
        if self._duties:
            await asyncio.wait(self._duties)
        for instance in self._instances:
            await instance.stop()
        for instance in self._instances:
            record_left_overs(self.recorder, instance.bridge, instance.factory, instance.watch)
        return self._story()

    def _story(self) -> History:
        self.recorder.sample(LOOP_STEPS, self.loop.steps)
        return self.recorder.finish(
            {
                "source": "simulation",
                "scenario": msgspec.to_builtins(self.scenario),
                "objectives": msgspec.to_builtins(self.scenario.objectives),
                "engines_per_user": self.scenario.limits.engines_per_user,
                "unsent_bytes": BridgeLimits().outbox_bytes + BridgeLimits().event_bytes,
                "tools_required": True,
                "seed": self.seed,
                "version": __version__,
                "environment": environment(),
            }
        )

    def _be_stuck(self, error: DeadlockError | VirtualTimeLimitError) -> None:
        if self._story_until_stuck is None:
            for line in error.report.splitlines():
                # Addresses and the numbers of nameless tasks differ from process to process.
                self.recorder.stuck(error.how, _OF_THIS_PROCESS.sub("", line.strip()))
            self._story_until_stuck = self._story()

    def wall_clock(self) -> float:
        """What the servers' wall clock shows, in seconds since 1970."""
        return EPOCH + self.loop.time() + self.conditions.clock_offset

    def right_answer(self, user_id: str, run_id: str) -> object:
        """What the question of a run has as its answer; None where a factory's variant may answer otherwise."""
        is_known = self._factory_class is ExecutionEngineFactory
        return answer_to(marked_question(user_id, run_id)) if is_known else None

    def is_hit(self, fault: Fault, name: str) -> bool:
        """Whether a fault hits the user or the run of this name; drawn by name, independent of everything else."""
        return fault.share >= 1.0 or uniform(key(self.seed, "fault", fault.name, fault.at, name)) < fault.share

    def users_hit(self, fault: Fault) -> Iterator[SimulatedUser]:
        """The users that a fault hits, and that are there."""
        return (user for user in self._users if user.is_there and self.is_hit(fault, user.user_id))

    def clients_hit(self, fault: Fault) -> Iterator[SimulatedClient]:
        """Their tabs."""
        return (tab for user in self.users_hit(fault) for tab in user.tabs)

    def start_instance(self) -> Instance:
        """Start one more server, with a memory of its own."""
        scenario, number = self.scenario, len(self._instances)
        limits = BridgeLimits()
        for fault in scenario.faults:
            limits = fault.adjust(limits)
        bridge = AgentWebSocketBridge(
            limits=limits,
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

    def stop_instance(self, drain: float) -> None:
        """Take the server down; it may go on with its runs for ``drain`` seconds, and takes on no more."""
        instance, self.instance = self.instance, None
        if instance is not None:
            self._take_on(instance.stop(drain), "stop of a server")

    def replace_instance(self) -> None:
        """Bring a new server up."""
        self.instance = self.start_instance()
        self._take_on(self.instance.bridge.ensure_integration(), "start of a server")

    def check_health(self) -> None:
        """Have the server's bridge checked now."""
        if self.instance is not None:
            self._take_on(self.instance.bridge.check_health(), "health check")

    async def _answer_probe(self) -> None:
        if not self.conditions.backend_is_up:
            raise ConnectionError("the model service does not answer")

    def _take_on(self, work: Coroutine[Any, Any, object], name: str) -> None:
        self._duties.add(asyncio.create_task(work, name=name))

    def _begin(self, fault: Fault) -> None:
        self.recorder.fault_began(fault.name)
        fault.begin(self)

    async def _suffer(self, fault: Fault) -> None:
        if fault.at > 0:
            await asyncio.sleep(fault.at)
            self._begin(fault)
        await asyncio.sleep(fault.at + fault.lasts - self.loop.time())
        fault.end(self)
        self.recorder.fault_ended(fault.name)

    def _pipeline(self) -> Pipeline:
        healthy = default_pipeline(_DrawnTiming(self.scenario.agents, key(self.seed, "timing")))
        faults = [fault for fault in self.scenario.faults if isinstance(fault, AgentFault)]
        if not faults:
            return healthy

        def pipeline(context: UserExecutionContext) -> Sequence[Sequence[Agent]]:
            stages = [list(stage) for stage in healthy(context)]
            for fault in faults:
                if self.is_hit(fault, context.run_id):
                    stage = stages[int(uniform(key(self.seed, "agent", fault.name, context.run_id)) * len(stages))]
                    stage[0] = _Troubled(stage[0], fault)
            return stages

        return pipeline

    async def _look_around(self) -> None:
        looks = 0
        # Who goes on looking when nothing else can happen hides a deadlock.
        while self.loop.has_plans:
            await asyncio.sleep(PROBE_INTERVAL)
            looks += 1
            if self.instance is not None:
                self._look_at(self.instance, looks)

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


class _Troubled:
    """An agent that a fault befalls when its turn comes while the fault is on."""

    __slots__ = ("_agent", "_fault", "name")

    def __init__(self, agent: Agent, fault: AgentFault) -> None:
        self.name = agent.name
        self._agent = agent
        self._fault = fault

    async def run(self, session: AgentSession) -> object:
        if self._fault.is_active(asyncio.get_running_loop().time()):
            await self._fault.disturb(session)
        return await self._agent.run(session)

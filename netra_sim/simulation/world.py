"""One simulation: its servers, users and faults, from the start of the server to its shutdown, and their record."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

import msgspec

from netra_sim.bridge import AgentWebSocketBridge, BridgeLimits, IntegrationPolicy
from netra_sim.factory import EngineLimits, ExecutionEngineFactory, UserExecutionEngine, answer_to
from netra_sim.history import CPU_BUSY, LOOP_STEPS, STEPS_READY, environment
from netra_sim.randomness import key, uniform
from netra_sim.recording import (
    ENGINES_PER_COMPARISON,
    EngineWatch,
    marked_question,
    record_gauges,
    record_left_overs,
)
from netra_sim.simulation.agents import simulated_pipeline
from netra_sim.simulation.broker import Broker, BrokeredBridge
from netra_sim.simulation.diagnosis import blaming
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import (
    AgentFault,
    BackendFault,
    BrokerBlip,
    Deploy,
    Fault,
    LimitsFault,
    PaceFault,
    RateLimited,
)
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.pools import ResourcePools
from netra_sim.simulation.scenario import SELECT_LIMIT, Scenario
from netra_sim.simulation.stage import Stage
from netra_sim.simulation.tab import Tab
from netra_sim.simulation.turns import TURN, TurnsLoop
from netra_sim.simulation.user import SimulatedUser
from netra_sim.simulation.virtual_time import EPOCH
from netra_sim.version import __version__

PROBE_INTERVAL = 1.0
"""Virtual seconds between two samples of what the server holds and what its engines share."""


def first_to_look_at(seed: int, samples: int, engines: int) -> int:
    """Which of so many live engines is the first of those that are compared at a sample of this number."""
    return int(uniform(key(seed, "probe"), samples) * engines)


class World(Stage):
    """Everything that takes part in one simulation; a `ClientEnvironment` and a `FaultTarget`.

    Args:
        scenario: what happens.
        seed: determines what the scenario leaves open.
        loop: the loop that everything runs on.
        on_answer: called at the end of every request.
        factory_class: makes the engines.

    Attributes:
        bridge_class: makes the bridges.
    """

    bridge_class = BrokeredBridge
    users: Sequence[SimulatedUser] = ()

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        loop: VirtualTimeLoop,
        on_answer: Callable[[], None],
        factory_class: type[ExecutionEngineFactory],
    ) -> None:
        super().__init__(scenario, seed, loop, on_answer)
        limits = self.faults.of(RateLimited)
        self.pools = ResourcePools(scenario.resources, seed, self.recorder, loop.exact_time, limits)
        self._broker = Broker(self.faults) if self.faults.of(BrokerBlip) else None
        self._factory_class = factory_class
        self._instances: list[Instance] = []
        self._current: Instance | None = None
        self._other: Instance | None = None
        self._is_deployed = False

    async def play(self) -> None:
        """See `Stage`."""
        self.begin_first_faults(also=LimitsFault)
        self._is_deployed = True
        self.adapt()
        self.spawn(self._sample(), "the probe")
        self.schedule_faults(besides=LimitsFault)
        self.users = [self.new_user(number) for number in self.numbers]
        if self.users:
            await asyncio.wait([self._begin_user(user) for user in self.users])
        await self.all_users_ended()
        await self.end_background()
        for instance in self._instances:
            await instance.stop()
        for instance in self._instances:
            record_left_overs(self.recorder, instance.bridge, instance.factory, instance.watch)

    def meta(self) -> dict[str, Any]:
        """See `Stage`."""
        return {
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

    def wall_clock(self) -> float:
        """The time of the servers' wall clock, in seconds since 1970."""
        return EPOCH + self.loop.time() + self.faults.clock_offset

    def right_answer(self, user_id: str, run_id: str) -> object:
        """The right answer to the question of a run; None for a variant of the factory, which may answer otherwise."""
        is_known = self._factory_class is ExecutionEngineFactory
        return answer_to(marked_question(user_id, run_id)) if is_known else None

    def server(self, *, is_elsewhere: bool) -> Instance | None:
        """The server that clients reach now, None while it is down; or the other one, started at its first use."""
        if not is_elsewhere:
            return self._current
        if self._other is None:
            self._other = self._new_instance()
            self.spawn(self._other.start(), "start of another server")
        return self._other

    def reset_connections(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        self._act_on_tabs(fault, lambda tab: tab.cut())

    def end_tokens(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        self._act_on_tabs(fault, lambda tab: tab.end_token())

    def _act_on_tabs(self, fault: Fault, act: Callable[[Tab], bool]) -> None:
        """Act on all tabs of the users whom the fault is for; it hits those with a tab for which `act` returns true."""

        def act_on(user: SimulatedUser, injection: Injection[Fault]) -> None:
            if sum(act(tab) for tab in user.tabs):
                injection.hit.add(user.user_id)

        for injection in self.faults.injections_of(fault):
            for user in self._present:
                if injection.is_for(user.user_id):
                    self._in_turn(user, act_on, user, injection)

    def repair_broker(self) -> None:
        """See `FaultTarget`."""
        if self._broker is not None:
            self._broker.repair()

    def reset_before_accept(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        for injection in self.faults.injections_of(fault):
            injection.hit.add("an unknown client")
        if self._current is not None and self.scenario.platform.loop == "proactor":
            self._current.is_listening = False

    def has_room(self, instance: Instance) -> bool:
        """Whether a server accepts one more connection, given the event loop of the scenario's platform."""
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

    @property
    def _present(self) -> list[SimulatedUser]:
        return [user for user in self.users if user.is_present]

    def _new_instance(self) -> Instance:
        """Make one more server, with an empty memory."""
        scenario, number = self.scenario, len(self._instances)
        limits = BridgeLimits()
        for fault in self.faults.on_for_all(LimitsFault):
            with blaming(f"fault {fault.name}"):
                limits = fault.adjust(limits)
        limits = self.bridge_limits(limits)
        bridge = self.bridge_class(
            limits=limits,
            policy=IntegrationPolicy(check_interval=scenario.limits.check_interval),
            backends={"model service": self._answer_probe},
            wall_clock=self.wall_clock,
            epoch=f"{key(self.seed, 'epoch', number):016x}",
            observer=self.recorder,
        )
        bridge.broker = self._broker
        watch = self.new_watch()
        slow = self.faults.of(PaceFault)
        factory = self._factory_class(
            websocket_bridge=bridge,
            pipeline=simulated_pipeline(scenario.agents, self.faults.of(AgentFault), slow, self.pools, self.seed),
            limits=EngineLimits(
                engines_per_user=scenario.limits.engines_per_user,
                agent_seconds=scenario.limits.agent_seconds,
                engine_seconds=scenario.limits.engine_seconds,
            ),
            observer=watch,
        )
        watch.watch(factory)
        instance = self.new_instance(number, bridge, factory, watch)
        self._instances.append(instance)
        return instance

    async def _answer_probe(self) -> None:
        if self.faults.on_for_all(BackendFault):
            raise ConnectionError("the model service does not answer")

    def adapt(self) -> None:
        """Apply the active faults to the server and to the users who are present."""
        deploys = self.faults.on_for_all(Deploy)
        if deploys and self._current is not None:
            stopping, self._current = self._current, None
            self.spawn(stopping.stop(deploys[-1].drain), "stop of a server")
        elif not deploys and self._current is None and self._is_deployed:
            self._current = self._new_instance()
            self.spawn(self._current.start(), "start of a server")
        for user in self._present:
            self.adapt_user(user)

    def adapt_user(self, user: SimulatedUser) -> None:
        """See `Stage`."""
        self._in_turn(user, user.adapt)

    def _begin_user(self, user: SimulatedUser) -> asyncio.Task[None]:
        """Start a user, in the context that tells the loop whose turn a step belongs to."""
        context = copy_context()
        context.run(TURN.set, user.number)
        return context.run(self.spawn, self._live(user), user.user_id)

    async def _live(self, user: SimulatedUser) -> None:
        if isinstance(self.loop, TurnsLoop):
            await self.loop.next_turn()
        await user.run()

    @property
    def numbers(self) -> Sequence[int]:
        """The users that are simulated here: all who take part."""
        return self.scenario.present_users

    async def all_users_ended(self) -> None:
        """Called when no user is left, before the servers are stopped."""

    def new_user(self, number: int) -> SimulatedUser:
        """Make a user."""
        return SimulatedUser(number, self)

    def new_instance(
        self, number: int, bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory, watch: EngineWatch
    ) -> Instance:
        """Make a server from its parts."""
        return Instance(number, bridge, factory, watch)

    def bridge_limits(self, limits: BridgeLimits) -> BridgeLimits:
        """The limits of a new bridge, from those of the scenario."""
        return limits

    def new_watch(self) -> EngineWatch:
        """What looks for shared state among the engines of a new server."""
        return EngineWatch(self.recorder)

    def engines_to_look_at(self, instance: Instance, samples: int) -> Sequence[UserExecutionEngine]:
        """The engines to compare at a sample of this number."""
        engines = instance.factory.engines
        first = first_to_look_at(self.seed, samples, len(engines))
        return engines[first : first + ENGINES_PER_COMPARISON]

    def _in_turn(self, user: SimulatedUser, act: Callable[..., object], *args: object) -> None:
        """Act on a user: at once, or where users take turns, in the user's turn of this instant."""
        if isinstance(self.loop, TurnsLoop):
            self.loop.call_in_turn(user.number, act, *args)
        else:
            act(*args)

    async def _sample(self) -> None:
        samples = 0
        # The timers of this loop and of the bridges' monitors would hide a deadlock: stop when nothing else is scheduled.
        while self.loop.has_plans(ignoring=self._monitors):
            await self.loop.sleep_exactly(PROBE_INTERVAL)
            samples += 1
            if self._current is not None:
                self._sample_instance(self._current, samples)
        for instance in self._instances:
            await instance.stop_monitor()

    @property
    def _monitors(self) -> list[asyncio.Task[None]]:
        return [instance.monitor for instance in self._instances if instance.monitor is not None]

    def _sample_instance(self, instance: Instance, samples: int) -> None:
        record_gauges(self.recorder, instance.bridge)
        self.recorder.sample(LOOP_STEPS, self.loop.steps - self.loop.kernel_steps)
        if self.scenario.resources is not msgspec.UNSET and self.scenario.resources.cpu is not msgspec.UNSET:
            self.recorder.sample(CPU_BUSY, self.loop.busy)
            self.recorder.sample(STEPS_READY, self.loop.steps_ready)
        instance.watch.look(self.engines_to_look_at(instance, samples))

"""`simulate`: the real factory, bridge and Windows-safe layer, driven by simulated users in virtual time."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import (
    EngineLimits,
    ExecutionEngineFactory,
    UserExecutionContext,
    default_pipeline,
)
from netra_sim.history import History, Recorder, environment, record_left_overs, record_shared_state
from netra_sim.runtime import run
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Agents, Scenario
from netra_sim.simulation.user import SimulatedUser
from netra_sim.version import __version__

EPOCH = 1_700_000_000.0
"""What the wall clock shows when a simulation begins, in seconds since 1970."""

PROBE_INTERVAL = 1.0
"""Virtual seconds between two looks for state that users share."""

PROBED_ENGINES = 8
"""Engines that are compared at each look."""


def simulate(scenario: Scenario, seed: int = 1, *, on_answer: Callable[[], None] = lambda: None) -> History:
    """Run a scenario to its end and return what was recorded.

    The same scenario and seed give the same History, on every platform and in every process.

    Args:
        scenario: what happens.
        seed: decides everything that the scenario leaves open.
        on_answer: called at the end of every request, for a progress display; it must not touch the simulation.

    Raises:
        DeadlockError: tasks are left that wait for each other; the error says which, where, on what.
        VirtualTimeLimitError: the scenario had not ended at its ``time_limit``.
    """
    settings = scenario.platform
    loop = VirtualTimeLoop(
        seed=key(seed, "order"),
        order=settings.order,
        tick=settings.tick,
        step_cost=settings.step_cost,
        time_limit=scenario.time_limit,
    )
    with _rare_collections():
        return run(_World(scenario, seed, loop, on_answer).live(), loop_factory=lambda: loop)


class DrawnTiming(msgspec.Struct, frozen=True):
    """How long the agents' steps take: drawn for each run and step by name, so that no other draw moves them."""

    agents: Agents
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """See `netra_sim.factory.Timing`."""
        distribution = self.agents.think if step.endswith(".think") else self.agents.tool
        return distribution.draw(uniform(key(self.seed, context.run_id, step)))


class _World:
    """The server, its users and the record of what they do."""

    def __init__(self, scenario: Scenario, seed: int, loop: VirtualTimeLoop, on_answer: Callable[[], None]) -> None:
        self._scenario = scenario
        self._seed = seed
        self._on_answer = on_answer
        self._recorder = Recorder(loop.time)
        self._bridge = AgentWebSocketBridge(
            wall_clock=lambda: EPOCH + loop.time(), epoch=f"{key(seed, 'epoch'):016x}", observer=self._recorder
        )
        limits = scenario.limits
        self._factory = ExecutionEngineFactory(
            websocket_bridge=self._bridge,
            pipeline=default_pipeline(DrawnTiming(scenario.agents, key(seed, "timing"))),
            limits=EngineLimits(
                engines_per_user=limits.engines_per_user,
                agent_seconds=limits.agent_seconds,
                engine_seconds=limits.engine_seconds,
            ),
            observer=self._recorder,
        )

    async def live(self) -> History:
        scenario, seed = self._scenario, self._seed
        await self._bridge.ensure_integration()
        probing = asyncio.create_task(self._probe_for_shared_state(), name="probe for shared state")
        async with asyncio.TaskGroup() as group:
            for number in range(scenario.users):
                user = SimulatedUser(
                    number, scenario, seed, self._bridge, self._factory, self._recorder, self._on_answer
                )
                group.create_task(user.live(), name=user.user_id)
        probing.cancel()
        await asyncio.wait([probing])
        await self._factory.shutdown()
        await self._bridge.shutdown()
        record_left_overs(self._recorder, self._bridge, self._factory)
        return self._recorder.finish(
            {
                "source": "simulation",
                "scenario": msgspec.to_builtins(scenario),
                "seed": seed,
                "version": __version__,
                "environment": environment(),
            }
        )

    async def _probe_for_shared_state(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            engines = self._factory.engines
            first = int(uniform(key(self._seed, "probe"), looks) * len(engines))
            probed = engines[first : first + PROBED_ENGINES]
            looks += 1
            record_shared_state(self._recorder, probed)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the cyclic collector run rarely: a simulation makes many objects and almost no cycles."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)

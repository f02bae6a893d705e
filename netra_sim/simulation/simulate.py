"""`simulate`: the real factory, bridge and Windows-safe layer, driven by simulated users in virtual time."""

import asyncio
import itertools
import platform
from collections.abc import Iterator

import msgspec

from netra_sim import __version__
from netra_sim.bridge import AgentWebSocketBridge, Refused
from netra_sim.exceptions import MessageError, NetraSimError
from netra_sim.factory import (
    EngineLimits,
    ExecutionEngineFactory,
    UserExecutionContext,
    default_pipeline,
    route_websocket_message_to_agent,
)
from netra_sim.history import History, Recorder
from netra_sim.simulation.client import CANARY, SimulatedClient
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Agents, Closed, Scenario
from netra_sim.simulation.workload import due_times

EPOCH = 1_700_000_000.0
"""What the wall clock shows when a simulation begins, in seconds since 1970."""


def simulate(scenario: Scenario, seed: int = 1) -> History:
    """Run a scenario to its end and return what was recorded.

    The same scenario and seed give the same History, on every platform and in every process.

    Raises:
        DeadlockError: tasks are left that wait for each other; the error says which, where, on what.
        VirtualTimeLimitError: the scenario had not ended at its ``time_limit``.
    """
    settings = scenario.platform
    loop = VirtualTimeLoop(
        seed=seed,
        order=settings.order,
        tick=settings.tick,
        step_cost=settings.step_cost,
        time_limit=scenario.time_limit,
    )
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_World(scenario, seed, loop).live())

"""`simulate_wire`: the real server and the real clients under simulated users, in virtual time."""

from collections.abc import Callable

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.randomness import key
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.running import run_world
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.wire.world import WireWorld


def simulate_wire(
    scenario: Scenario,
    seed: int,
    on_answer: Callable[[], None],
    factory_class: type[ExecutionEngineFactory],
    log: ScheduleLog | None = None,
) -> History:
    """Run a scenario on the wire to its end; see `netra_sim.simulation.simulate`."""
    platform = scenario.platform
    loop = NetworkLoop(
        seed=key(seed, "order"),
        order=platform.order,
        step_cost=platform.step_cost / scenario.processes,
        time_limit=scenario.time_limit,
        log=log,
    )
    world = WireWorld(scenario, seed, loop, on_answer, factory_class)
    try:
        return run_world(world)
    except (DeadlockError, VirtualTimeLimitError):
        return world.partial_history

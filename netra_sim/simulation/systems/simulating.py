"""`simulate_system`: a system under test under simulated users, in virtual time."""

from collections.abc import Callable

from netra_sim.history import History
from netra_sim.randomness import key
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.running import run_world
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.systems.endless import ending_endless_steps
from netra_sim.simulation.systems.world import SystemWorld


def simulate_system(
    scenario: Scenario, seed: int, on_answer: Callable[[], None], log: ScheduleLog | None = None
) -> History:
    """Run a scenario with a system under test to its end; see `netra_sim.simulation.simulate`.

    Raises:
        SystemFailedError: the system cannot be imported, does not start, or computes without end.
    """
    platform = scenario.platform
    loop = NetworkLoop(
        seed=key(seed, "order"),
        order=platform.order,
        step_cost=platform.step_cost,
        time_limit=scenario.time_limit,
        log=log,
    )
    world = SystemWorld(scenario, seed, loop, on_answer)
    try:
        with ending_endless_steps(loop, world.cancel):
            return run_world(world)
    except (DeadlockError, VirtualTimeLimitError):
        return world.partial_history

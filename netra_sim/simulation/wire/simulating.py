"""`simulate_wire`: the real server and the real clients under simulated users, in virtual time."""

from collections.abc import Callable
from typing import Any

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.randomness import key
from netra_sim.simulation.coarse_loop import CoarseClockLoop
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.hosts.kernel_timer import KernelTimer
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.running import run_world
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.wire.world import WireWorld


class _CoarseNetworkLoop(CoarseClockLoop, NetworkLoop):
    """A `NetworkLoop` whose clock moves in ticks, for the clients too; packets travel by the exact time."""

    def _add_timer(self, when: float, timer: Any) -> None:
        if isinstance(timer, KernelTimer):
            self._add_elsewhere(when, timer)
        else:
            super()._add_timer(when, timer)


def simulate_wire(
    scenario: Scenario,
    seed: int,
    on_answer: Callable[[], None],
    factory_class: type[ExecutionEngineFactory],
    log: ScheduleLog | None = None,
) -> History:
    """Run a scenario on the wire to its end; see `netra_sim.simulation.simulate`."""
    platform = scenario.platform
    options: dict[str, Any] = {
        "seed": key(seed, "order"),
        "order": platform.order,
        "step_cost": platform.step_cost / scenario.processes,
        "time_limit": scenario.time_limit,
        "log": log,
    }
    loop = _CoarseNetworkLoop(tick=platform.tick, **options) if platform.tick else NetworkLoop(**options)
    world = WireWorld(scenario, seed, loop, on_answer, factory_class)
    try:
        return run_world(world)
    except (DeadlockError, VirtualTimeLimitError):
        return world.partial_history

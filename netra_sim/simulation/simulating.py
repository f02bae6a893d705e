"""`simulate`: simulated users drive the real factory, bridge and Windows-safe layer in virtual time."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.runtime import run
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.randomness import key
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.virtual_time import new_virtual_loop
from netra_sim.simulation.world import World


def simulate(
    scenario: Scenario,
    seed: int = 1,
    *,
    on_answer: Callable[[], None] = lambda: None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    log: ScheduleLog | None = None,
) -> History:
    """Run a scenario to its end and return its History.

    The same scenario and seed give the same History, on every platform and in every process.

    A deadlock, the ``time_limit`` or a spinning task ends the simulation early; the History then records which task waits on
    what, and where. The History also records errors that no code handled.

    Args:
        scenario: what happens.
        seed: determines everything that the scenario leaves open.
        on_answer: called at the end of every request, for a progress display; it must not touch the simulation.
        factory_class: makes the engines; pass a variant of the factory to test it.
        log: is told of every step of the loop.

    Raises:
        HarnessError: a part of the simulation itself failed, such as a fault or a probe.
    """
    settings = scenario.platform
    loop = new_virtual_loop(
        seed=key(seed, "order"),
        order=settings.order,
        tick=settings.tick,
        step_cost=settings.step_cost,
        time_limit=scenario.time_limit,
        log=log,
    )
    world = World(scenario, seed, loop, on_answer, factory_class)
    with _rare_collections():
        try:
            return run(world.run(), loop_factory=lambda: loop)
        except (DeadlockError, VirtualTimeLimitError):
            if world.failure is not None:
                raise world.failure from None
            return world.partial_history


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Run the cyclic garbage collector rarely: a simulation makes many objects and almost no cycles."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    gc.freeze()  # collections skip all objects from before the simulation
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)

"""`simulate`: the real factory, bridge and Windows-safe layer, driven by simulated users in virtual time."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.runtime import run
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.randomness import key
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.virtual_time import new_virtual_loop
from netra_sim.simulation.world import World


def simulate(
    scenario: Scenario,
    seed: int = 1,
    *,
    on_answer: Callable[[], None] = lambda: None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
) -> History:
    """Run a scenario to its end and return what was recorded.

    The same scenario and seed give the same History, on every platform and in every process.

    Args:
        scenario: what happens.
        seed: decides everything that the scenario leaves open.
        on_answer: called at the end of every request, for a progress display; it must not touch the simulation.
        factory_class: makes the engines; a variant of the factory may be put to the test.

    A simulation that does not come to rest, because its tasks wait for each other, because its ``time_limit`` was reached
    or because a task spins, ends there: its History says so, and who waits on what, where. An error that no code of the
    runtime or of an agent handled is recorded, too.

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
    )
    world = World(scenario, seed, loop, on_answer, factory_class)
    with _rare_collections():
        try:
            return run(world.live(), loop_factory=lambda: loop)
        except (DeadlockError, VirtualTimeLimitError):
            if world.failure is not None:
                raise world.failure from None
            return world.story_until_stuck


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the cyclic collector run rarely: a simulation makes many objects and almost no cycles."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    gc.freeze()  # No collection looks at what was there before.
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)

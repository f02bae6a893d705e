"""`simulate`: simulated users drive the real factory, bridge and Windows-safe layer in virtual time."""

from collections.abc import Callable
from typing import Literal

import msgspec

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.simulation.diagnosis import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.running import frozen_heap, new_scenario_loop, run_world
from netra_sim.simulation.scenario import Scenario, ScenarioError
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.shards import ShardsError, shards_for, simulate_in_shards
from netra_sim.simulation.world import World


@frozen_heap()  # around all of it: the world, whose objects refer to each other, is garbage when this returns
def simulate(
    scenario: Scenario,
    seed: int = 1,
    *,
    on_answer: Callable[[], None] = lambda: None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    shards: int | Literal["auto"] = 1,
    on_one_process: Callable[[str], None] = lambda reason: None,
    log: ScheduleLog | None = None,
) -> History:
    """Run a scenario to its end and return its History.

    The same scenario and seed give the same History, on every platform and in every process.

    A deadlock, the ``time_limit`` or a spinning task ends the simulation early; the History then records which task waits on
    what, and where. The History also records errors that no code handled.

    With ``shards``, several processes simulate the users, and the merged History is that of one process, with the same
    digest, or there is none. This needs users who do not act on each other; a simulation that shows that they do is given
    up. What the caller has patched in this process does not reach the others.

    Args:
        scenario: what happens.
        seed: determines everything that the scenario leaves open.
        on_answer: called at the end of every request, for a progress display; it must not touch the simulation.
        factory_class: makes the engines; pass a variant of the factory to test it, or name it in the scenario.
        shards: the number of processes; "auto" for one for each core where that gives the same History and is faster.
        on_one_process: called with the reason if ``shards`` is "auto" and one process simulates all users.
        log: is told of every step of the loop; with one process only.

    Raises:
        HarnessError: a part of the simulation itself failed, such as a fault or a probe.
        ShardsError: so many processes cannot give the History of one process.
        SystemFailedError: the system under test cannot be imported, or does not start.
    """
    if scenario.system is msgspec.UNSET and scenario.client is not msgspec.UNSET:
        raise ScenarioError(
            "the scenario has clients, and no system; name it in the table [system], or load one by its URL"
        )
    if scenario.factory is not msgspec.UNSET:
        if factory_class not in (ExecutionEngineFactory, scenario.factory_class()):
            raise ScenarioError(
                f"the scenario has the factory {scenario.factory}, and another one is given; leave one out"
            )
        factory_class = scenario.factory_class()
    if scenario.system is not msgspec.UNSET:
        return _simulate_system(scenario, seed, on_answer, factory_class, shards, on_one_process, log)
    if scenario.fidelity == "wire":
        from netra_sim.simulation.wire.simulating import simulate_wire  # needs websockets, which the rest does not

        _refuse_shards(shards, on_one_process, "the users of a simulation on the wire share a server")
        return simulate_wire(scenario, seed, on_answer, factory_class, log)
    if shards == "auto":
        count, reason = shards_for(scenario, seed)
        if count > 1:
            try:
                return simulate_in_shards(scenario, seed, count, on_answer=on_answer, factory_class=factory_class)
            except ShardsError as error:
                reason, on_answer = str(error), lambda: None  # the requests were counted once already
        on_one_process(reason)
    elif shards != 1:
        return simulate_in_shards(scenario, seed, shards, on_answer=on_answer, factory_class=factory_class)
    world = World(scenario, seed, new_scenario_loop(scenario, seed, log), on_answer, factory_class)
    try:
        return run_world(world)
    except (DeadlockError, VirtualTimeLimitError):
        return world.partial_history


def _simulate_system(
    scenario: Scenario,
    seed: int,
    on_answer: Callable[[], None],
    factory_class: type[ExecutionEngineFactory],
    shards: int | Literal["auto"],
    on_one_process: Callable[[str], None],
    log: ScheduleLog | None,
) -> History:
    from netra_sim.simulation.systems.simulating import simulate_system  # needs uvicorn, which the rest does not

    if factory_class is not ExecutionEngineFactory:
        raise ScenarioError("a system under test does not use a factory of this package; leave it out")
    _refuse_shards(shards, on_one_process, "the users of a system under test share its processes")
    return simulate_system(scenario, seed, on_answer, log)


def _refuse_shards(shards: int | Literal["auto"], on_one_process: Callable[[str], None], reason: str) -> None:
    if shards == "auto":
        on_one_process(reason)
    elif shards != 1:
        raise ShardsError(f"{reason}; leave shards out")

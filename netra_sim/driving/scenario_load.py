"""`load_scenario`: one scenario file, whose users drive a real system on real sockets instead of a simulated one."""

from collections.abc import Callable

import msgspec

from netra_sim.clients.protocol import ClientProtocol, SystemAddress
from netra_sim.driving.plans import local_system, plan_of, refuse_unreal_faults
from netra_sim.history import History, Kind, foreign_meta
from netra_sim.loading.load_system import load_system
from netra_sim.loading.local_system import LocalSystem
from netra_sim.loading.targets import target_of
from netra_sim.simulation import Scenario
from netra_sim.version import __version__


async def load_scenario(
    scenario: Scenario,
    seed: int = 1,
    *,
    url: str = "",
    allow: tuple[str, ...] = (),
    on_answer: Callable[[], None] = lambda: None,
) -> History:
    """Let the users of a scenario drive a real system, and return the History that their clients record.

    The users send the same requests at the same times as in a simulation with this seed, and the same faults hit the same
    users. What the system answers, and when, depends on it and on the machine.

    Args:
        scenario: the workload, the client protocol and the faults; without ``url`` also the system and its services, which
            are started on this machine and stopped at the end. Clocks and randomness of the system are then real, whatever
            ``system.seeded`` says.
        seed: determines the due times and the draws of the clients.
        url: a system that runs already; its path stands before the path of every request.
        allow: the hosts that may be connected to, besides this machine.
        on_answer: called at the end of every request, for a progress display.

    Raises:
        ScenarioError: the scenario cannot be run on real sockets; the message names the fault or the setting.
        TargetError: the URL is not valid, or its host is not allowed.
        SystemFailedError: the system does not start.
        RuntimeError: see `netra_sim.loading.load_system`.
    """
    refuse_unreal_faults(scenario, is_ours=not url)
    plan = plan_of(scenario, seed)
    system = target_of(url, allow) if url else local_system(scenario, seed)
    return await load_system(plan, system, _meta(scenario, seed, url, system), allowed=allow, on_answer=on_answer)


def _meta(scenario: Scenario, seed: int, url: str, system: SystemAddress | LocalSystem) -> dict[str, object]:
    protocol, also = scenario.client, []
    assert isinstance(protocol, ClientProtocol)  # noqa: S101 - `plan_of` has looked
    if isinstance(system, LocalSystem):
        also = [Kind.LOOP_ERROR, Kind.LEFT_OVER, *([Kind.WORKED] if system.services else [])]
    return foreign_meta(
        *protocol.kinds,
        *also,
        isolated_by=protocol.isolated_by,
        names_runs=protocol.names_runs,
        objectives=scenario.objectives,
        scenario=msgspec.to_builtins(scenario),
        tools_required=False,
        url=url,
        seed=seed,
        version=__version__,
    )

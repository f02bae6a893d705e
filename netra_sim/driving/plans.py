"""Turns a scenario and a seed into the plan of a load run: who asks when, and whom which fault hits, as in a simulation."""

import math

import msgspec

from netra_sim.clients.protocol import ClientProtocol
from netra_sim.loading.local_system import LocalSystem
from netra_sim.loading.plan import MOST_USERS
from netra_sim.loading.program import ProgramSettings
from netra_sim.loading.system_plan import PlannedSystemUser, RealLineFault, SystemPlan
from netra_sim.randomness import key, uniform
from netra_sim.simulation import Closed, Scenario, ScenarioError
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import (
    FAULTS,
    DisconnectStorm,
    Fault,
    Flood,
    Garbage,
    HalfClose,
    Line,
    LineFault,
    RawFault,
    SystemFault,
)
from netra_sim.simulation.requesting import PAGE_LEAD
from netra_sim.simulation.system import System
from netra_sim.simulation.workload import due_times


def plan_of(scenario: Scenario, seed: int) -> SystemPlan:
    """What the users of a scenario do, drawn from the seed as `netra_sim.simulation.simulate` draws it.

    Raises:
        ScenarioError: the scenario has no client protocol, too many users, or a fault that real sockets do not know.
    """
    client = scenario.client
    if not isinstance(client, ClientProtocol):
        raise ScenarioError('a load run needs to know how users talk to the system, such as [client] kind = "ag-ui"')
    if len(scenario.present_users) > MOST_USERS:
        raise ScenarioError(
            f"one process drives at most {MOST_USERS:,} real clients, and the scenario has {scenario.users:,}"
        )
    workload = scenario.workload
    return SystemPlan(
        users=tuple(_user(scenario, seed, number) for number in scenario.present_users),
        all_users=scenario.users,
        client=msgspec.to_builtins(client),
        patience=workload.patience,
        page_lead=PAGE_LEAD,
        seed=seed,
        secrets={name: service.secret for name, service in scenario.stand_ins.items() if service.secret},
        faults=tuple(_line_fault(fault, scenario, seed) for fault in scenario.faults if _is_of_lines(fault)),
        receive_buffer=max(1, scenario.network.send_buffer),
    )


def refuse_unreal_faults(scenario: Scenario, *, is_ours: bool) -> None:
    """Refuse the faults that a load run cannot cause.

    Args:
        scenario: with the faults.
        is_ours: whether the load run starts the system and its services itself, and so can harm them.

    Raises:
        ScenarioError: naming the first such fault.
    """
    for fault in scenario.faults:
        if fault.works_on_sockets and (is_ours or not isinstance(fault, SystemFault)):
            continue
        if fault.works_on_sockets:
            raise ScenarioError(
                f"the fault {fault.name} needs a system that the load run starts itself; leave the URL out"
            )
        possible = ", ".join(name for name, kind in FAULTS.items() if kind.works_on_sockets)
        raise ScenarioError(f"the fault {fault.name} cannot be caused on real sockets; those that can are {possible}")


def local_system(scenario: Scenario, seed: int) -> LocalSystem:
    """The system of a scenario, with its services, as real servers on this machine.

    Raises:
        ScenarioError: the scenario names no system, or several processes of it.
    """
    system = scenario.system
    if not isinstance(system, System):
        raise ScenarioError("the scenario names no system to start, in the table [system]; name one, or give a URL")
    if system.processes > 1:
        raise ScenarioError(
            f"a load run starts one process of the system, and system.processes is {system.processes}; set it to 1, "
            "or start the processes with their balancer yourself and give its URL"
        )
    names = ProgramSettings.__struct_fields__
    return LocalSystem(
        ProgramSettings(**{name: getattr(system, name) for name in names}),
        path=system.path,
        environment=system.environment_for,
        services=scenario.stand_ins,
        faults=[fault for fault in scenario.faults if isinstance(fault, SystemFault)],
        seed=seed,
    )


def _is_of_lines(fault: Fault) -> bool:
    return fault.works_on_sockets and isinstance(fault, LineFault | DisconnectStorm | RawFault | HalfClose)


def _user(scenario: Scenario, seed: int, number: int) -> PlannedSystemUser:
    workload = scenario.workload
    if isinstance(workload.arrivals, Closed):
        think, stream = workload.arrivals.think, key(seed, "think", number)
        pauses = tuple(think.draw(uniform(stream, index)) for index in range(workload.runs_per_user))
        return PlannedSystemUser(number=number, pauses=pauses)
    return PlannedSystemUser(number=number, due=tuple(due_times(workload, seed, number, scenario.users)))


def _line_fault(fault: Fault, scenario: Scenario, seed: int) -> RealLineFault:
    injection, line = Injection(fault, seed), Line()
    if isinstance(fault, LineFault):
        fault.affect(line)
    users = frozenset(filter(injection.is_for, (f"user-{number}" for number in scenario.present_users)))
    return RealLineFault(
        name=fault.name,
        at=fault.at,
        lasts=fault.lasts,
        users=users,
        is_stalled=line.is_stalled,
        is_offline=line.is_offline,
        bandwidth=0.0 if line.bandwidth == math.inf else line.bandwidth,
        resets_every=fault.every if isinstance(fault, DisconnectStorm) else 0.0,
        noise=fault.size if isinstance(fault, Garbage) else 0,
        frames=fault.data(0) if isinstance(fault, Flood) else b"",
        sends_every=fault.pause if isinstance(fault, RawFault) else 0.0,
        is_half_closed=isinstance(fault, HalfClose),
        times={name: injection.times_of(name) for name in sorted(users)} if fault.has_own_times else {},
    )

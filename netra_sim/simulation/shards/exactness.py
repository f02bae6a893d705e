"""Whether several processes can simulate a scenario and give the History of one process."""

import os

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.processes import can_start_workers
from netra_sim.simulation.faults import (
    AgentFault,
    AnotherInstance,
    Cancellation,
    ClockJump,
    DisconnectStorm,
    Fault,
    HandshakeRace,
    LateAuthentication,
    LimitsFault,
    LineFault,
    Logout,
    MessageFault,
    PaceFault,
    TabMultiplication,
    TokenExpiry,
)
from netra_sim.simulation.scenario import Closed, Scenario, ScenarioError
from netra_sim.simulation.workload import due_times

WORTHWHILE_USERS = 2_000
"""Users from which on several processes are faster than one: the comparison of engines takes a share of small numbers."""

REPLAY_SECONDS = BridgeLimits().replay_seconds
"""Virtual seconds for which a simulation in several processes may last: then the bridge begins to forget runs by age."""

_ACT_ON_EACH_USER = (
    AgentFault, Cancellation, ClockJump, DisconnectStorm, HandshakeRace, LateAuthentication, LimitsFault, LineFault, Logout,
    MessageFault, PaceFault, TabMultiplication, TokenExpiry,
)  # fmt: skip
"""Faults that act on each user, run or message by itself, or change a setting for all alike."""


class ShardsError(ScenarioError):
    """Several processes cannot give the History that one process gives; the message says why, and what to do."""


def shards_for(scenario: Scenario, seed: int) -> tuple[int, str]:
    """The number of processes to simulate a scenario with, and, if it is 1, the reason."""
    cores = os.cpu_count() or 1
    if reason := why_not(scenario, seed, cores):
        return 1, reason
    if cores == 1:
        return 1, "this machine has one core"
    if (users := len(scenario.present_users)) < WORTHWHILE_USERS:
        return (
            1,
            f"{users} users are simulated faster by one process; several pay from {WORTHWHILE_USERS:,} on",
        )
    return cores, ""


def why_not(scenario: Scenario, seed: int, shards: int) -> str:
    """Why so many processes cannot give the History of one process, and what to do; "" if nothing is known against it."""
    platform = scenario.platform
    if not can_start_workers():
        return "this process is a worker of another one and cannot start processes; simulate with one"
    if shards > (users := len(scenario.present_users)):
        return f"{users} users cannot be split over {shards} processes; use fewer"
    if platform.order != "fifo":
        return (
            "in random order one stream of draws decides whose task runs next, among all users; "
            'set platform.order to "fifo", in which users take turns, or use one process'
        )
    if platform.step_cost:
        return "with platform.step_cost every step delays all users; set it to 0, or use one process"
    if platform.tick:
        return "with platform.tick the timers of all users fire in common turns of the loop; set it to 0, or use one process"
    if platform.loop == "selector":
        return "the selector loop limits the connections of all users together; choose another loop, or use one process"
    if scenario.resources is not msgspec.UNSET:
        return "users wait for each other at the [resources]; leave them out, or use one process"
    for fault in scenario.faults:
        if not _acts_on_each_user(fault):
            return f"the fault {fault.name} acts on the server, and so on all users together; use one process"
    if (last := _last_due(scenario, seed)) >= REPLAY_SECONDS:
        return (
            f"a request is due at {last:g} s, and from {REPLAY_SECONDS:g} s on the bridge forgets runs by age, for all "
            "users together; shorten the workload, or use one process"
        )
    return ""


def _acts_on_each_user(fault: Fault) -> bool:
    kind = type(fault)
    acts_at_its_bounds = kind.begin is not Fault.begin or kind.end is not Fault.end
    is_known = isinstance(fault, _ACT_ON_EACH_USER) and not isinstance(fault, AnotherInstance)
    return is_known and (kind in (DisconnectStorm, TokenExpiry) or not acts_at_its_bounds)


def _last_due(scenario: Scenario, seed: int) -> float:
    """When the last request of an open-loop workload is due, in seconds; 0 for a closed loop, which is not known before."""
    if isinstance(scenario.workload.arrivals, Closed):
        return 0.0
    due = (due_times(scenario.workload, seed, user, scenario.users) for user in scenario.present_users)
    return max((time for times in due for time in times), default=0.0)

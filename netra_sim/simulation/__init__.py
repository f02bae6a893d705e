"""The simulator: thousands of users over the real runtime, in virtual time, from a seed."""

from typing import TYPE_CHECKING

from netra_sim.distributions import Constant, Distribution, Empirical, Exponential, LogNormal, Pareto, Uniform
from netra_sim.lazy import on_first_use
from netra_sim.simulation.coarse_loop import CoarseClockLoop
from netra_sim.simulation.diagnosis import DeadlockError, HarnessError, VirtualTimeLimitError
from netra_sim.simulation.faults import FAULTS, Fault
from netra_sim.simulation.library import find_scenario, scenario_names, scenario_path
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.marks import mark
from netra_sim.simulation.resources import Cpu, Database, Resource, Resources
from netra_sim.simulation.scenario import (
    WINDOWS_TICK,
    Agents,
    Burst,
    Closed,
    Limits,
    Network,
    Platform,
    Poisson,
    Ramp,
    Replay,
    Scenario,
    ScenarioError,
    Workload,
    parse_setting,
)
from netra_sim.simulation.virtual_time import run_virtual

if TYPE_CHECKING:
    from netra_sim.simulation.pools import ResourceBusyError
    from netra_sim.simulation.shards import ShardsError
    from netra_sim.simulation.simulating import simulate

__all__ = [
    "FAULTS",
    "WINDOWS_TICK",
    "Agents",
    "Burst",
    "Closed",
    "CoarseClockLoop",
    "Constant",
    "Cpu",
    "Database",
    "DeadlockError",
    "Distribution",
    "Empirical",
    "Exponential",
    "Fault",
    "HarnessError",
    "Limits",
    "LogNormal",
    "Network",
    "Pareto",
    "Platform",
    "Poisson",
    "Ramp",
    "Replay",
    "Resource",
    "ResourceBusyError",
    "Resources",
    "Scenario",
    "ScenarioError",
    "ShardsError",
    "Uniform",
    "VirtualTimeLimitError",
    "VirtualTimeLoop",
    "Workload",
    "find_scenario",
    "mark",
    "parse_setting",
    "run_virtual",
    "scenario_names",
    "scenario_path",
    "simulate",
]

__getattr__ = on_first_use(
    __name__,
    {
        "ResourceBusyError": "pools",
        "ShardsError": "shards",
        "simulate": "simulating",
    },
)

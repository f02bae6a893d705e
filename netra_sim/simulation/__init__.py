"""The simulator: thousands of users over the real runtime, in virtual time, from a seed."""

from netra_sim.simulation.coarse_loop import CoarseClockLoop
from netra_sim.simulation.diagnosis import DeadlockError, HarnessError, VirtualTimeLimitError
from netra_sim.simulation.distributions import Constant, Distribution, Exponential, LogNormal, Pareto, Uniform
from netra_sim.simulation.faults import FAULTS, Fault
from netra_sim.simulation.library import find_scenario, scenario_names, scenario_path
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.marks import mark
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
from netra_sim.simulation.simulating import simulate
from netra_sim.simulation.virtual_time import run_virtual

__all__ = [
    "FAULTS",
    "WINDOWS_TICK",
    "Agents",
    "Burst",
    "Closed",
    "CoarseClockLoop",
    "Constant",
    "DeadlockError",
    "Distribution",
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
    "Scenario",
    "ScenarioError",
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

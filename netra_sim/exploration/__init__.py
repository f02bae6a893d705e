"""Many runs: a search until a scenario or a program fails, the reduction of a failure, sweeps over a grid, and capacity."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.exploration.bounds import Bound, BoundError, Figure
    from netra_sim.exploration.calibration import Calibration, CalibrationError, calibrate, cpu_sentence
    from netra_sim.exploration.capacity import Capacity, Point, find_capacity, with_cpu
    from netra_sim.exploration.coverage import Coverage
    from netra_sim.exploration.plans import Plan, plan_of
    from netra_sim.exploration.pool import in_order
    from netra_sim.exploration.program_search import Failure
    from netra_sim.exploration.programs import Program, ProgramError
    from netra_sim.exploration.search import Exploration, explore
    from netra_sim.exploration.shrinking import shrink
    from netra_sim.exploration.sweeps import Cell, SweepError, cells, sweep
    from netra_sim.exploration.trial import Trial, checked, replay_line, run_trial

__all__ = [
    "Bound",
    "BoundError",
    "Calibration",
    "CalibrationError",
    "Capacity",
    "Cell",
    "Coverage",
    "Exploration",
    "Failure",
    "Figure",
    "Plan",
    "Point",
    "Program",
    "ProgramError",
    "SweepError",
    "Trial",
    "calibrate",
    "cells",
    "checked",
    "cpu_sentence",
    "explore",
    "find_capacity",
    "in_order",
    "plan_of",
    "replay_line",
    "run_trial",
    "shrink",
    "sweep",
    "with_cpu",
]

__getattr__ = on_first_use(
    __name__,
    {
        "Bound": "bounds",
        "BoundError": "bounds",
        "Calibration": "calibration",
        "CalibrationError": "calibration",
        "Capacity": "capacity",
        "Cell": "sweeps",
        "Coverage": "coverage",
        "Exploration": "search",
        "Failure": "program_search",
        "Figure": "bounds",
        "Plan": "plans",
        "Point": "capacity",
        "Program": "programs",
        "ProgramError": "programs",
        "SweepError": "sweeps",
        "Trial": "trial",
        "checked": "trial",
        "calibrate": "calibration",
        "find_capacity": "capacity",
        "cells": "sweeps",
        "cpu_sentence": "calibration",
        "explore": "search",
        "in_order": "pool",
        "plan_of": "plans",
        "replay_line": "trial",
        "run_trial": "trial",
        "shrink": "shrinking",
        "sweep": "sweeps",
        "with_cpu": "capacity",
    },
)

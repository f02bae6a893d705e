"""Many runs: a search over seeds until a scenario or a program fails, the reduction of a failure, and sweeps over a grid."""

from netra_sim.exploration.coverage import Coverage
from netra_sim.exploration.plans import Plan, plan_of
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.program_search import Failure
from netra_sim.exploration.programs import Program, ProgramError
from netra_sim.exploration.search import Exploration, explore
from netra_sim.exploration.shrinking import shrink
from netra_sim.exploration.sweeps import Cell, cells, sweep
from netra_sim.exploration.trial import Trial, replay_line, run_trial

__all__ = [
    "Cell",
    "Coverage",
    "Exploration",
    "Failure",
    "Plan",
    "Program",
    "ProgramError",
    "Trial",
    "cells",
    "explore",
    "in_order",
    "plan_of",
    "replay_line",
    "run_trial",
    "shrink",
    "sweep",
]

"""Many simulations: a search over seeds until one fails, the reduction of a failure, and sweeps over a grid."""

from netra_sim.exploration.pool import in_order
from netra_sim.exploration.search import explore, shrink
from netra_sim.exploration.sweeps import Cell, cells, sweep
from netra_sim.exploration.trial import Trial, replay_line, run_trial

__all__ = [
    "Cell",
    "Trial",
    "cells",
    "explore",
    "in_order",
    "replay_line",
    "run_trial",
    "shrink",
    "sweep",
]

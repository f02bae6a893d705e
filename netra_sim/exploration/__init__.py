"""Many simulations: a search over seeds until one fails, the reduction of a failure, and sweeps over a grid."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
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

__getattr__ = on_first_use(
    __name__,
    {
        "Cell": "sweeps",
        "Trial": "trial",
        "cells": "sweeps",
        "explore": "search",
        "in_order": "pool",
        "replay_line": "trial",
        "run_trial": "trial",
        "shrink": "search",
        "sweep": "sweeps",
    },
)

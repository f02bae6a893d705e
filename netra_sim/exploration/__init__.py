"""Many simulations: a search over seeds until one fails, the reduction of a failure, sweeps over a grid, and capacity."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.exploration.bounds import Bound, BoundError, Figure
    from netra_sim.exploration.calibration import Calibration, CalibrationError, calibrate, cpu_sentence
    from netra_sim.exploration.capacity_search import Capacity, Point, capacity
    from netra_sim.exploration.pool import in_order
    from netra_sim.exploration.search import explore, shrink
    from netra_sim.exploration.sweeps import Cell, cells, sweep
    from netra_sim.exploration.trial import Trial, replay_line, run_trial

__all__ = [
    "Bound",
    "BoundError",
    "Calibration",
    "CalibrationError",
    "Capacity",
    "Cell",
    "Figure",
    "Point",
    "Trial",
    "calibrate",
    "capacity",
    "cells",
    "cpu_sentence",
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
        "Bound": "bounds",
        "BoundError": "bounds",
        "Calibration": "calibration",
        "CalibrationError": "calibration",
        "Capacity": "capacity_search",
        "Cell": "sweeps",
        "Figure": "bounds",
        "Point": "capacity_search",
        "Trial": "trial",
        "calibrate": "calibration",
        "capacity": "capacity_search",
        "cells": "sweeps",
        "cpu_sentence": "calibration",
        "explore": "search",
        "in_order": "pool",
        "replay_line": "trial",
        "run_trial": "trial",
        "shrink": "search",
        "sweep": "sweeps",
    },
)

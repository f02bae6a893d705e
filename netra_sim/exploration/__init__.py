"""Many simulations: seeds explored until one fails, failures shrunk, grids swept, checks tried against defects."""

from netra_sim.exploration.calibration import runtime_as_certified
from netra_sim.exploration.detection import Detected, Detection, detect
from netra_sim.exploration.experiments import experiments
from netra_sim.exploration.explore import explore, shrink
from netra_sim.exploration.hazards import WAITS, Hazard, measure_hazards, time_waits
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.self_proof import SelfProof, seen_to_detect, self_proofs
from netra_sim.exploration.sweep import Cell, cells, sweep
from netra_sim.exploration.trial import Trial, replay_line, run_trial
from netra_sim.exploration.windows_record import (
    WindowsRun,
    code_spoken_of,
    keep_windows_runs,
    read_windows_runs,
    recorded_on_windows,
)

__all__ = [
    "WAITS",
    "Cell",
    "Detected",
    "Detection",
    "Hazard",
    "SelfProof",
    "Trial",
    "WindowsRun",
    "cells",
    "code_spoken_of",
    "detect",
    "experiments",
    "explore",
    "in_order",
    "keep_windows_runs",
    "measure_hazards",
    "read_windows_runs",
    "recorded_on_windows",
    "replay_line",
    "run_trial",
    "runtime_as_certified",
    "seen_to_detect",
    "self_proofs",
    "shrink",
    "sweep",
    "time_waits",
]

"""Many simulations: seeds explored until one fails, failures shrunk, grids swept, checks tried against defects."""

from netra_sim.exploration.calibration import runtime_as_certified
from netra_sim.exploration.detection import Detected, Detection, detect
from netra_sim.exploration.experiments import experiments
from netra_sim.exploration.explore import explore, shrink
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.self_proof import SelfProof, seen_to_detect, self_proofs
from netra_sim.exploration.sweep import Cell, cells, sweep
from netra_sim.exploration.trial import Trial, replay_line, run_trial

__all__ = [
    "Cell",
    "Detected",
    "Detection",
    "SelfProof",
    "Trial",
    "cells",
    "detect",
    "experiments",
    "explore",
    "in_order",
    "replay_line",
    "run_trial",
    "runtime_as_certified",
    "seen_to_detect",
    "self_proofs",
    "shrink",
    "sweep",
]

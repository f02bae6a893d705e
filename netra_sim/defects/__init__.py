"""Seeded defects, the proofs that each check detects defects, and conformance checks of the runtime."""

from netra_sim.defects.certificate import runtime_as_certified
from netra_sim.defects.conformance import conformance_checks
from netra_sim.defects.detection import Detected, Detection, detect
from netra_sim.defects.hazards import WAITS, Hazard, measure_hazards, time_waits
from netra_sim.defects.seeded import DEFECTS, Defect, Patches, seeded_defect, silenced
from netra_sim.defects.self_proof import SelfProof, seen_to_detect, self_proofs
from netra_sim.defects.windows_record import (
    WindowsRun,
    keep_windows_runs,
    read_windows_runs,
    recorded_code,
    recorded_on_windows,
)

__all__ = [
    "DEFECTS",
    "WAITS",
    "Defect",
    "Detected",
    "Detection",
    "Hazard",
    "Patches",
    "SelfProof",
    "WindowsRun",
    "conformance_checks",
    "detect",
    "keep_windows_runs",
    "measure_hazards",
    "read_windows_runs",
    "recorded_code",
    "recorded_on_windows",
    "runtime_as_certified",
    "seeded_defect",
    "seen_to_detect",
    "self_proofs",
    "silenced",
    "time_waits",
]

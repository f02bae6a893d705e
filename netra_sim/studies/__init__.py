"""The functions that the notebooks call: each returns one table, picture or result."""

from netra_sim.studies.concurrency import ConcurrencyParameters, LoadCurve, load_curve
from netra_sim.studies.controls import Controls
from netra_sim.studies.explorer import (
    Comparison,
    Explored,
    ExplorerParameters,
    compare,
    side_by_side,
)
from netra_sim.studies.fidelity import BOUNDS, Fidelity, RealityParameters, try_reality
from netra_sim.studies.isolation import IsolationParameters, Leak, Leaks, leaks, simulate_clean
from netra_sim.studies.reality import compare_with_reality, measured_step_cost
from netra_sim.studies.systems import (
    SystemParameters,
    SystemTrial,
    SystemTrials,
    allowed_after_leaving,
    example_systems,
    try_system,
)
from netra_sim.studies.validation import detection_picture
from netra_sim.studies.windows import (
    WindowsParameters,
    detect_windows_defects,
    recorded_hazards,
    simulate_both_clocks,
    wait_errors,
)

__all__ = [
    "BOUNDS",
    "Comparison",
    "ConcurrencyParameters",
    "Controls",
    "Explored",
    "ExplorerParameters",
    "Fidelity",
    "IsolationParameters",
    "Leak",
    "Leaks",
    "LoadCurve",
    "RealityParameters",
    "SystemParameters",
    "SystemTrial",
    "SystemTrials",
    "WindowsParameters",
    "allowed_after_leaving",
    "compare",
    "compare_with_reality",
    "detect_windows_defects",
    "detection_picture",
    "example_systems",
    "leaks",
    "load_curve",
    "measured_step_cost",
    "recorded_hazards",
    "side_by_side",
    "simulate_both_clocks",
    "simulate_clean",
    "try_reality",
    "try_system",
    "wait_errors",
]

"""The defects of the original system, each as a small change of the runtime that can be switched on.

The runtime does not know them. A defect works in the process in which it is switched on, and only there.
"""

from netra_sim.defects.seeded import bridge, delivery, factory, harness, mixups, replay, windows
from netra_sim.defects.seeded.defect import DEFECTS, Defect, Patches, seeded_defect, silenced

__all__ = [
    "DEFECTS",
    "Defect",
    "Patches",
    "bridge",
    "delivery",
    "factory",
    "harness",
    "mixups",
    "replay",
    "seeded_defect",
    "silenced",
    "windows",
]

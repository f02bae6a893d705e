"""The defects of the original system, each as a small change of the runtime that can be switched on.

The runtime does not know them. A defect works in the process in which it is switched on, and only there.
"""

from netra_sim.defects.seeded import bridge, delivery, factory, harness, mixups, replay, windows
from netra_sim.defects.seeded.defect import Defect, Patches, seeded_defect, silenced
from netra_sim.registry import Registry

DEFECTS: Registry[Defect] = Registry(
    "netra_sim.defects",
    (
        one
        for module in (bridge, delivery, factory, harness, mixups, replay, windows)
        for one in vars(module).values()
        if isinstance(one, Defect)
    ),
    kind=Defect,
)
"""All seeded defects by name, those of other packages included."""

__all__ = ["DEFECTS", "Defect", "Patches", "seeded_defect", "silenced"]

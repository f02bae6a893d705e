"""The seeded defects: defects of the original system, each as a small patch of the runtime that can be switched on.

The runtime contains no code for them. A defect acts only in the process that switches it on.
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
"""All seeded defects by name, including those of other packages."""

__all__ = ["DEFECTS", "Defect", "Patches", "seeded_defect", "silenced"]

"""The original system's defects, each as a small variant that can be switched on: what the checks must be able to catch.

Nothing in the runtime knows of them. A violation works in the process in which it is switched on, and nowhere else.
"""

from netra_sim.violations import bridge, delivery, factory, harness, mixups, replay, windows
from netra_sim.violations.violation import VIOLATIONS, Swaps, Violation, unheard, violation

__all__ = [
    "VIOLATIONS",
    "Swaps",
    "Violation",
    "bridge",
    "delivery",
    "factory",
    "harness",
    "mixups",
    "replay",
    "unheard",
    "violation",
    "windows",
]

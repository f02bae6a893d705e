"""Real systems under the users of a scenario: what `simulation` does in virtual time, `loading` does on real sockets."""

from netra_sim.driving.load_scenario import load_scenario

__all__ = [
    "load_scenario",
]

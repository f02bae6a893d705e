"""Real systems under the users of a scenario: what `simulation` does in virtual time, `loading` does on real sockets."""

from netra_sim.driving.scenario_load import load_scenario

__all__ = [
    "load_scenario",
]

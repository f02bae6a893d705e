"""What a delivered event costs at the fidelity "wire", against "bridge": 40 users of `steady-load`, in turn."""

from collections.abc import Sequence

from measure import Measure, Measured, main, per_operation, ratio

from netra_sim import simulate
from netra_sim.history import Kind
from netra_sim.simulation import Scenario, find_scenario

REPETITIONS = 5


def cost(scenario: Scenario) -> Measure:
    """CPU seconds of a simulation for each event that a client received."""
    events = len(simulate(scenario).frame(Kind.RECEIVED))
    return per_operation(lambda: simulate(scenario), events)


def measure_all() -> Sequence[Measured]:
    """Measure both."""
    bridge = find_scenario("steady-load").with_settings({"users": 40})
    wire = bridge.with_settings({"fidelity": "wire"})
    return [ratio("wire : bridge", cost(wire), cost(bridge), goal=3.0, repetitions=REPETITIONS)]


if __name__ == "__main__":
    main("wire_cost", measure_all)

"""Simulation against reality: both run the same requests, and their latencies stand side by side."""

import sys
from pathlib import Path

import pytest
from small_server import SSE

from netra_sim.loading import local_system
from netra_sim.simulation import Scenario
from netra_sim.studies import compare_with_reality, measured_step_cost

HERE = str(Path(__file__).parent)


def test_each_figure_of_each_number_of_users_is_compared(monkeypatch):
    monkeypatch.setattr(local_system, "LINGER", 0.0)
    workload = {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.1}}
    system = {"app": "their_app:app", "folder": HERE}
    client = SSE | {"path": "/long"}
    one = Scenario.from_mapping({"users": 9, "client": client, "workload": workload, "system": system})
    table = compare_with_reality(one, [1, 2]).set_index(["users", "figure", "quantile"])
    assert len(table) == 2 * 2 * 3
    assert table["simulated requests"].tolist() == table["real requests"].tolist() == [1] * 6 + [2] * 6
    # The answer has 51 events, one every 0.02 s: neither a simulation nor a machine is faster.
    ends = table.xs("end", level="figure")
    assert ends["simulated"].between(1.0, 1.1).all()
    assert (ends["real"] >= 1.0).all()
    assert (table["error"] == (table["simulated"] - table["real"]) / table["real"]).all()
    assert (table[["machine", "lateness"]] > 0).all().all()


def test_a_scenario_without_a_system_cannot_be_compared():
    with pytest.raises(ValueError, match="no system"):
        compare_with_reality(Scenario.from_mapping({"client": SSE}), [1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU time of a process in /proc")
def test_the_step_cost_is_the_cpu_time_of_the_real_system_spread_over_the_simulated_steps(monkeypatch):
    monkeypatch.setattr(local_system, "LINGER", 0.0)
    workload = {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.1}}
    system = {"app": "their_app:app", "folder": HERE}
    idle, busy = (
        Scenario.from_mapping({"users": 9, "client": SSE | {"path": path}, "workload": workload, "system": system})
        for path in ("/chat", "/busy")
    )
    few = (1, 4)
    assert 0 <= 5 * measured_step_cost(idle, users=few) < measured_step_cost(busy, users=few) < 1.0

"""Simulation against reality: one scenario simulated, and on real sockets, with the same requests at the same times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from netra_sim.checks import request_latencies
from netra_sim.driving import load_scenario
from netra_sim.history import CONTROL_LATENCY, DRIVER_LATENESS, SYSTEM_CPU, History, Kind
from netra_sim.runtime import run
from netra_sim.simulation import Scenario, simulate
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.studies.objectives import quantile

if TYPE_CHECKING:
    import pandas as pd

_FIGURES: dict[str, Literal["content", "last"]] = {"first content": "content", "end": "last"}
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_ON_LOOPBACK = {
    "network.latency": {"kind": "constant", "seconds": 0.0},
    "network.jitter": {"kind": "constant", "seconds": 0.0},
}


def measured_step_cost(scenario: Scenario, users: tuple[int, int] = (10, 40), seed: int = 1) -> float:
    """The CPU time of a step of the event loop, in seconds, so that the simulated system takes as much as the real one.

    Two short runs of the real system tell its CPU time, simulations of the same requests the numbers of steps. The cost is
    the CPU time that the second run takes more, divided by the steps that it takes more: what a system needs to start and
    while it waits is in both. The steps include those of the clients and the services: the CPU time of the system is spread
    over all of them.

    Args:
        scenario: as for `compare_with_reality`.
        users: of the two runs, the smaller number first, and few enough that the system keeps up.
        seed: of both.

    Raises:
        ScenarioError: real sockets cannot carry the scenario out.
        SystemFailedError: the system does not start.
        RuntimeError: this machine does not tell the CPU time of a process.
    """
    (few, few_steps), (many, many_steps) = (_work(scenario, count, seed) for count in users)
    return max(0.0, many - few) / (many_steps - few_steps)


def _work(scenario: Scenario, users: int, seed: int) -> tuple[float, int]:
    """The CPU time of the real system in seconds, and the steps of the simulated event loop, for the same requests."""
    one, log = scenario.with_settings({"users": users, **_ON_LOOPBACK}), ScheduleLog()
    simulate(one, seed, log=log)
    rows = run(load_scenario(one, seed)).frame(Kind.SAMPLE)
    spent = rows["value"][rows["detail"] == SYSTEM_CPU]
    if not len(spent):
        raise RuntimeError(
            "this machine does not tell the CPU time of a process (proc(5)); set platform.step_cost yourself"
        )
    return float(spent.max() - spent.min()), len(log.steps)


def compare_with_reality(scenario: Scenario, users: Sequence[int], seed: int = 1) -> "pd.DataFrame":
    """Simulate a scenario and run it for real, for each number of users, and compare how long its requests take.

    The scenario's own system and services are started on this machine. The network between a user and the system is then
    the loopback interface, so the simulated network is set to one without delay. A simulated step takes no time, unless the
    scenario says how much: see `measured_step_cost`.

    Args:
        scenario: with a system, its clients and its services; of its faults those that real sockets know.
        users: the numbers of users.
        seed: of both.

    Returns:
        One row for each number of users, figure (first content, end) and quantile, with the simulated and the real seconds
        from when requests were due, ``error`` as the simulated less the real ones, divided by the real ones, and the
        requests that have this figure in the simulation and in reality. ``machine`` is the p95 of a bare echo meanwhile,
        and ``lateness`` the p95 of how late real requests were sent, both in seconds: what lies below them is noise.

    Raises:
        ScenarioError: real sockets cannot carry the scenario out.
        SystemFailedError: the system does not start.
    """
    import pandas as pd

    rows = []
    for count in users:
        one = scenario.with_settings({"users": count, **_ON_LOOPBACK})
        simulated, real = simulate(one, seed), run(load_scenario(one, seed))
        noise = {"machine": _p95(real, CONTROL_LATENCY), "lateness": _p95(real, DRIVER_LATENESS)}
        for figure, keep in _FIGURES.items():
            ours, theirs = (
                request_latencies(history, keep=keep)["latency"].to_numpy() for history in (simulated, real)
            )
            counts = {"simulated requests": len(ours), "real requests": len(theirs)}
            for name, share in _QUANTILES.items():
                model, fact = quantile(ours, share), quantile(theirs, share)
                values = {"simulated": model, "real": fact, "error": (model - fact) / fact}
                rows.append({"users": count, "figure": figure, "quantile": name} | values | counts | noise)
    return pd.DataFrame(rows)


def _p95(history: History, gauge: str) -> float:
    rows = history.frame(Kind.SAMPLE)
    return quantile(rows["value"][rows["detail"] == gauge].to_numpy(), _QUANTILES["p95"])

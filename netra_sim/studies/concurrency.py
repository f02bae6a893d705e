"""How latency grows with the number of users on one event loop, and where the knee is."""

import shlex
from typing import Annotated

import msgspec
import pandas as pd
from msgspec import Meta

from netra_sim.checks import delivery_latencies, request_latencies
from netra_sim.exploration import calibrate, in_order, with_cpu
from netra_sim.history import History, Kind
from netra_sim.parameters import DeliveryP95, NotebookParameters
from netra_sim.simulation import Poisson, Ramp, Scenario, Workload, find_scenario, simulate
from netra_sim.studies.objectives import p95_result, quantile, save_results
from netra_sim.tables import Html, table

KNEE = 2.0
"""At the knee, p95 (median over the seeds) first exceeds this multiple of the lightest load's p95."""


class ConcurrencyParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the notebook on concurrent users."""

    scenario: Annotated[str, Meta(description="library scenario, or a TOML file")] = "steady-load"
    most_users: Annotated[int, Meta(description="users of the heaviest load", ge=2, le=100_000)] = 2560
    loads: Annotated[int, Meta(description="loads, each half of the next", ge=2, le=12)] = 5
    seeds: Annotated[int, Meta(description="seeds of each load", ge=1, le=100)] = 2
    step_cost: Annotated[
        float, Meta(description="seconds of CPU that every step of the event loop takes", ge=0, le=1)
    ] = 0.0005
    delivery_p95: DeliveryP95 = 0.1

    def __post_init__(self) -> None:
        """Refuse a scenario that does not exist or is invalid."""
        find_scenario(self.scenario)


class LoadCurve(msgspec.Struct, frozen=True):
    """Latency at each load.

    Attributes:
        table: a row for each load and seed: users, seed, p50, p95, p99 of the delivery of events, first_p95 from due to
            first event, response_p95 from due to last event, in seconds, and completed, the share of answered requests.
        lightest: the history of the lightest load, with the first seed.
        heaviest: the history of the heaviest load, with the first seed.
        knee: the number of users at the knee, or None.
        across: what the number of users counts.
        step_cost: the seconds of CPU that a step takes in the simulation.
        command: the command that sweeps the same grid, with seeds 1 to the last one.
    """

    table: pd.DataFrame
    lightest: History
    heaviest: History
    knee: int | None
    across: str
    step_cost: float
    command: str

    @property
    def extremes(self) -> dict[str, History]:
        """The histories of the lightest and the heaviest load, by number of users."""
        loads = self.table["users"]
        return {f"{loads.min():,.0f} users": self.lightest, f"{loads.max():,.0f} users": self.heaviest}

    def summary(self) -> Html:
        """A row for each load: medians over the seeds."""
        medians = self.table.groupby("users").median()
        rows = [
            (
                f"{users:,.0f}",
                *(f"{row[name] * 1000:,.0f} ms" for name in ("p50", "p95", "p99", "first_p95", "response_p95")),
                f"{row['completed']:.2%}",
            )
            for users, row in medians.iterrows()
        ]
        header = ("Users", "p50", "p95", "p99", "First event, p95", "Last event, p95", "Answered")
        return table("From publishing to client, and from due to first and last event", header, rows)

    def step_costs(self) -> Html:
        """The assumed cost of a step beside the one of the runtime alone, which is measured now, on this machine."""
        measured = calibrate(seconds=1.0)
        rows = [
            ("assumed in this notebook", f"{self.step_cost * 1000:g} ms", "the parameter step_cost"),
            (
                "the runtime alone, measured",
                f"{measured.step_cost * 1000:g} ms",
                f"{measured.machine}, {measured.python}",
            ),
        ]
        return table("CPU time that a step of the event loop takes", ("Cost", "A step", "From"), rows)


def load_curve(parameters: ConcurrencyParameters) -> LoadCurve:
    """Simulate every load with every seed, on all cores.

    Raises:
        ScenarioError: there is no such scenario.
    """
    base = with_cpu(find_scenario(parameters.scenario).with_settings({"platform.step_cost": parameters.step_cost}))
    loads = sorted({max(1, parameters.most_users >> halving) for halving in range(parameters.loads)})
    seeds = range(parameters.seed, parameters.seed + parameters.seeds)
    cells = [(base.with_settings({"users": users}), seed) for users in loads for seed in seeds]
    rows: list[dict[str, float]] = []
    kept: dict[int, History] = {}
    for (scenario, seed), history in zip(cells, in_order(simulate, cells), strict=True):
        rows.append(_figures(scenario, seed, history))
        if seed == parameters.seed and scenario.users in (loads[0], loads[-1]):
            kept[scenario.users] = history
    measured = pd.DataFrame(rows)
    medians = measured.groupby("users")["p95"].median()
    results = [p95_result(f"{users:,} users", float(p95), parameters.delivery_p95) for users, p95 in medians.items()]
    save_results(parameters.output, results)
    command = (
        f"netra-sim sweep {shlex.quote(parameters.scenario)} --seeds {seeds[-1]} "
        f"--set 'users={loads}' --set platform.step_cost=[{parameters.step_cost}]"
    )
    return LoadCurve(
        measured,
        kept[loads[0]],
        kept[loads[-1]],
        _knee(measured),
        _across(base.workload),
        parameters.step_cost,
        command,
    )


def _across(workload: Workload) -> str:
    if not isinstance(workload.arrivals, Poisson | Ramp):
        return "users"
    asks = "asks once" if workload.runs_per_user == 1 else f"asks {workload.runs_per_user:,} times"
    return f"users; each {asks} within {workload.window:g} s"


def _figures(scenario: Scenario, seed: int, history: History) -> dict[str, float]:
    delivery = delivery_latencies(history)["latency"].to_numpy(float)
    first = request_latencies(history, keep="first")["latency"].to_numpy(float)
    last = request_latencies(history, keep="last")
    answered = int((last["event"] == "agent_completed").sum())
    requested = history.frame(Kind.REQUESTED)["run"].nunique()
    return {
        "users": scenario.users,
        "seed": seed,
        "p50": quantile(delivery, 0.5),
        "p95": quantile(delivery),
        "p99": quantile(delivery, 0.99),
        "first_p95": quantile(first),
        "response_p95": quantile(last["latency"].to_numpy(float)),
        "completed": answered / requested if requested else 1.0,
    }


def _knee(table: pd.DataFrame) -> int | None:
    medians = table.groupby("users")["p95"].median()
    beyond = medians[medians > KNEE * medians.iloc[0]]
    return None if beyond.empty else int(beyond.index[0])

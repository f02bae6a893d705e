"""The notebook about simulation and reality: its parameters, its run, and a table with the errors and their bounds."""

from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd
from msgspec import Meta

from netra_sim.parameters import NotebookParameters, ParameterError
from netra_sim.studies.reality import compare_with_reality, measured_step_cost
from netra_sim.studies.systems import SystemParameters, chosen_system, folder_of
from netra_sim.tables import Html, badge, table

BOUNDS = {"p50": 0.25, "p95": 0.25, "p99": 0.5}
"""The error, as a share of the real time, within which the simulation is taken for right."""

_MOST_LOADS = 6


class RealityParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the notebook about simulation and reality."""

    scenario: Annotated[
        str, Meta(description="a TOML file with a system under test that can run here, or the name of an example")
    ] = "fastapi-agents"
    loads: Annotated[str, Meta(description=f"numbers of users, at most {_MOST_LOADS}, separated by commas")] = (
        "10, 50, 200"
    )

    def __post_init__(self) -> None:
        """Refuse a scenario without a system under test, and loads that are no numbers of users."""
        chosen_system(SystemParameters(scenario=self.scenario))
        if not 1 <= len(self.users) <= _MOST_LOADS:
            raise ParameterError(f"loads takes 1 to {_MOST_LOADS} numbers of users, and had {self.loads!r}")

    @property
    def users(self) -> list[int]:
        """The numbers of users, the smallest first.

        Raises:
            ParameterError: the text is not a list of numbers from 1 to 2,000.
        """
        words = [word.strip() for word in self.loads.split(",")]
        if not all(word.isdecimal() and 1 <= int(word) <= 2000 for word in words):
            raise ParameterError(
                f"loads takes numbers of users from 1 to 2000, separated by commas, and had {self.loads!r}"
            )
        return sorted(set(map(int, words)))


class Fidelity(msgspec.Struct, frozen=True):
    """Simulated and real times beside each other; a notebook shows them as a table.

    Attributes:
        table: see `netra_sim.studies.reality.compare_with_reality`.
        step_cost: seconds of CPU time of a simulated step, from two short measurements on this machine.
    """

    table: pd.DataFrame
    step_cost: float

    def _repr_html_(self) -> Html:
        caption = f"Simulated and real times; a step of the simulated event loop takes {self.step_cost * 1e6:,.0f} µs"
        header = ("Users", "Until", "Quantile", "Simulated", "Real", "Error", "Bound", "Of")
        return table(caption, header, [_row(row) for _, row in self.table.iterrows()])


def try_reality(parameters: RealityParameters) -> Fidelity:
    """Measure the cost of a step, then simulate the scenario and run it for real with each number of users.

    The real runs take as long as the scenario says, on this machine's loopback interface.

    Raises:
        ScenarioError: real sockets cannot carry the scenario out.
        SystemFailedError: the system cannot be imported, or does not start.
    """
    path, scenario = chosen_system(SystemParameters(scenario=parameters.scenario))
    with chdir(folder_of(Path(path), scenario)):
        cost = measured_step_cost(scenario, seed=parameters.seed)
        costly = scenario.with_settings({"platform.step_cost": cost})
        return Fidelity(compare_with_reality(costly, parameters.users, parameters.seed), cost)


def _row(row: "pd.Series[Any]") -> tuple[str, ...]:
    simulated, real, error = (float(str(row[name])) for name in ("simulated", "real", "error"))
    bound = BOUNDS[str(row["quantile"])]
    return (
        f"{row['users']:,}",
        str(row["figure"]),
        str(row["quantile"]),
        f"{simulated * 1000:,.0f} ms",
        f"{real * 1000:,.0f} ms",
        f"{error:+.0%}",
        badge("passed" if abs(error) <= bound else "failed") + f" {bound:.0%}",
        f"{row['real requests']:,} real requests",
    )

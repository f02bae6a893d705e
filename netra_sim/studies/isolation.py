"""How much data each isolation defect leaks to other users."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from netra_sim.checks import CHECKS, check
from netra_sim.defects import DEFECTS, silenced
from netra_sim.exploration import in_order
from netra_sim.history import History, Kind
from netra_sim.parameters import DeliveryP95, NotebookParameters
from netra_sim.simulation import Scenario, find_scenario, simulate
from netra_sim.studies.objectives import save_p95_results
from netra_sim.tables import table

ISOLATION_CHECKS = (
    "cross-user-isolation",
    "connection-isolation",
    "content-isolation",
    "context-isolation",
    "shared-state",
)


class IsolationParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the notebook on isolation."""

    scenario: Annotated[str, Meta(description="library scenario, or a TOML file")] = "steady-load"
    users: Annotated[int, Meta(description="simulated users", ge=1, le=100_000)] = 500
    delivery_p95: DeliveryP95 = 0.1

    def __post_init__(self) -> None:
        """Refuse a scenario that does not exist or is invalid."""
        find_scenario(self.scenario)


class Leak(msgspec.Struct, frozen=True):
    """What one defect leaked.

    Attributes:
        defect: the name of the defect.
        incidents: the incidents that it brings back.
        symptom: what it does.
        foreign: received frames with another user's data.
        frames: received events and control frames with any user's data.
        readers: users who received another user's data.
        caught_by: the isolation checks that failed.
        history: the record of the simulation.
    """

    defect: str
    incidents: tuple[str, ...]
    symptom: str
    foreign: int
    frames: int
    readers: int
    caught_by: tuple[str, ...]
    history: History


class Leaks(msgspec.Struct, frozen=True):
    """The defects that break isolation, the worst first; a notebook shows them as a table."""

    leaks: tuple[Leak, ...]

    @property
    def worst(self) -> Leak:
        """The defect that leaked the most frames."""
        return self.leaks[0]

    def _repr_html_(self) -> str:
        rows = [
            (
                one.defect,
                ", ".join(one.incidents),
                one.symptom,
                f"{one.foreign:,} of {one.frames:,}",
                f"{one.readers:,}",
                ", ".join(one.caught_by),
            )
            for one in self.leaks
        ]
        header = ("Defect", "Incident", "What it does", "Frames to other users", "Users who got them", "Caught by")
        return table("What each defect would have leaked", header, rows)


def simulate_clean(parameters: IsolationParameters) -> History:
    """Simulate the scenario without defects."""
    scenario = find_scenario(parameters.scenario).with_settings({"users": parameters.users})
    history = simulate(scenario, parameters.seed)
    save_p95_results(parameters.output, {scenario.name: history}, parameters.delivery_p95)
    return history


def leaks(parameters: IsolationParameters) -> Leaks:
    """Simulate the scenario with each defect that an isolation check catches in the defect's own scenario, on all cores."""
    scenario = find_scenario(parameters.scenario).with_settings({"users": parameters.users})
    found = in_order(_leak, [(name, scenario, parameters.seed) for name in DEFECTS])
    return Leaks(tuple(sorted(filter(None, found), key=lambda one: (-one.foreign, one.defect))))


def _leak(name: str, scenario: Scenario, seed: int) -> Leak | None:
    defect = DEFECTS[name]
    with defect.switched_on(), silenced():
        if not _failed(simulate(defect.scenario, seed)):
            return None
        history = simulate(scenario, seed)
    received = history.frame(Kind.RECEIVED, Kind.CONTROL_RECEIVED)
    received = received[received["subject"].astype(str) != ""]
    is_foreign = (received["user"].astype(str) != received["subject"].astype(str)).to_numpy()
    return Leak(
        defect=name,
        incidents=defect.incidents,
        symptom=defect.symptom,
        foreign=int(np.count_nonzero(is_foreign)),
        frames=len(received),
        readers=int(received["user"][is_foreign].nunique()),
        caught_by=_failed(history),
        history=history,
    )


def _failed(history: History) -> tuple[str, ...]:
    """The isolation checks that fail."""
    return tuple(
        result.check
        for result in check(history, checks=map(CHECKS.__getitem__, ISOLATION_CHECKS))
        if result.state == "failed"
    )

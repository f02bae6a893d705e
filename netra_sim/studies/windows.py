"""What Windows' clock does to waits, with the stock functions and with the Windows-safe ones."""

from typing import Annotated

import msgspec
import pandas as pd
from msgspec import Meta

from netra_sim.defects import (
    DEFECTS,
    WAITS,
    Detection,
    WindowsRun,
    code_spoken_of,
    detect,
    read_windows_runs,
    time_waits,
)
from netra_sim.history import History
from netra_sim.parameters import DeliveryP95, NotebookParameters
from netra_sim.runtime import new_event_loop
from netra_sim.simulation import WINDOWS_TICK, VirtualTimeLoop, find_scenario, simulate
from netra_sim.studies.objectives import save_p95_results
from netra_sim.tables import Html, table

DETECTION_SEEDS = 5

_SIDES = ("stock", "Windows-safe")
_LIVE_WAITS = 20
"""Waits of each kind that are timed on this machine, in real time."""

_TURN = 2e-5
"""Seconds that a step of the simulated loop takes: what a busy neighbour's turn does."""


class WindowsParameters(NotebookParameters, frozen=True, kw_only=True):
    """What the notebook on the Windows runtime takes."""

    users: Annotated[int, Meta(description="simulated users", ge=1, le=100_000)] = 200
    sleeps: Annotated[
        int, Meta(description="waits of each kind that are timed on a simulated clock", ge=1, le=10_000)
    ] = 100
    delivery_p95: DeliveryP95 = 0.1


def simulate_both_clocks(parameters: WindowsParameters) -> dict[str, History]:
    """The same users on an exact clock and on one that ticks as Windows' does."""
    scenario = find_scenario("steady-load").with_settings({"users": parameters.users})
    coarse = scenario.with_settings({"platform.tick": WINDOWS_TICK})
    histories = {
        "exact clock": simulate(scenario, parameters.seed),
        "Windows clock": simulate(coarse, parameters.seed),
    }
    save_p95_results(parameters.output, histories, parameters.delivery_p95)
    return histories


def detect_windows_defects(parameters: WindowsParameters) -> Detection:
    """Try every check against the defects of the Windows-safe layer."""
    names = [one.name for one in DEFECTS.values() if any(incident.startswith("W") for incident in one.incidents)]
    return detect(range(parameters.seed, parameters.seed + DETECTION_SEEDS), defects=names)


class RecordedHazards(msgspec.Struct, frozen=True):
    """What was tried on Windows, and how often each side got it wrong; a notebook shows it as tables."""

    runs: tuple[WindowsRun, ...]

    def _repr_html_(self) -> str:
        if not self.runs:
            return "<p>Nothing was recorded on Windows.</p>"
        return Html().join(map(_hazards_table, self.runs))


def _hazards_table(run: WindowsRun) -> Html:
    rows = [
        (one.question, f"{one.tried:,}", "has none" if one.stock is None else f"{one.stock:,}", f"{one.safe:,}")
        for one in run.hazards
    ]
    of_other_code = "" if run.code == code_spoken_of() else ", of other code than this"
    header = ("What may go wrong", "tried", "stock asyncio: wrong", "Windows-safe: wrong")
    return table(f"{run.label}{of_other_code}", header, rows)


def recorded_hazards() -> RecordedHazards:
    """What was recorded on Windows CPython."""
    return RecordedHazards(read_windows_runs())


def wait_errors(parameters: WindowsParameters) -> pd.DataFrame:
    """How much longer than asked waits take, on this machine, on a simulated Windows clock, and as recorded on Windows.

    Returns:
        `platform`, `wait`, `side` ("stock" or "Windows-safe") and `error` in seconds, less than 0 for a wait that ended
        early.
    """

    def coarse() -> VirtualTimeLoop:
        return VirtualTimeLoop(tick=WINDOWS_TICK, step_cost=_TURN)

    live = {
        "this machine": (min(parameters.sleeps, _LIVE_WAITS), new_event_loop),
        "simulated Windows clock": (parameters.sleeps, coarse),
    }
    rows = []
    for wait, functions in WAITS.items():
        for side, function in zip(_SIDES, functions, strict=True):
            for platform, (count, loop_factory) in live.items():
                errors = time_waits(function, count, parameters.seed, loop_factory)
                rows += [(platform, wait, side, error) for error in errors]
    for run in read_windows_runs()[:1]:
        for hazard in run.hazards:
            wait = hazard.name.removeprefix("early ")
            if wait in WAITS:
                recorded = zip(_SIDES, (hazard.stock_errors, hazard.safe_errors), strict=True)
                rows += [
                    (f"Windows CPython {run.python}", wait, side, error)
                    for side, errors in recorded
                    for error in errors
                ]
    return pd.DataFrame(rows, columns=["platform", "wait", "side", "error"])

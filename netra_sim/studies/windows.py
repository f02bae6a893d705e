"""The effect of Windows' clock on waits, with stock asyncio and with the Windows-safe functions."""

from typing import Annotated

import msgspec
import pandas as pd
from msgspec import Meta

from netra_sim.defects import (
    DEFECTS,
    WAITS,
    Detection,
    WindowsRun,
    detect,
    read_windows_runs,
    recorded_code,
    time_waits,
)
from netra_sim.history import History
from netra_sim.parameters import DeliveryP95, NotebookParameters
from netra_sim.runtime import new_event_loop
from netra_sim.simulation import WINDOWS_TICK, CoarseClockLoop, find_scenario, simulate
from netra_sim.studies.objectives import save_p95_results
from netra_sim.tables import Html, table
from netra_sim.user_cache import cache_folder

DETECTION_SEEDS = 5

_SIDES = ("stock", "Windows-safe")
_LIVE_WAITS = 20
"""How many waits of each kind run on this machine, in real time."""

_TURN = 2e-5
"""Seconds that a step of the simulated loop takes, like a busy task's turn."""


class WindowsParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the notebook on the Windows runtime."""

    users: Annotated[int, Meta(description="simulated users", ge=1, le=100_000)] = 200
    sleeps: Annotated[
        int, Meta(description="waits of each kind that are timed on a simulated clock", ge=1, le=10_000)
    ] = 100
    delivery_p95: DeliveryP95 = 0.1


def simulate_both_clocks(parameters: WindowsParameters) -> dict[str, History]:
    """Simulate the same users on an exact clock and on a clock that ticks like Windows'."""
    scenario = find_scenario("steady-load").with_settings({"users": parameters.users})
    coarse = scenario.with_settings({"platform.tick": WINDOWS_TICK})
    histories = {
        "exact clock": simulate(scenario, parameters.seed),
        "Windows clock": simulate(coarse, parameters.seed),
    }
    save_p95_results(parameters.output, histories, parameters.delivery_p95)
    return histories


def detect_windows_defects(parameters: WindowsParameters) -> Detection:
    """Run every check against the defects of the Windows-safe layer."""
    names = [one.name for one in DEFECTS.values() if any(incident.startswith("W") for incident in one.incidents)]
    return detect(range(parameters.seed, parameters.seed + DETECTION_SEEDS), defects=names, cache=cache_folder())


class RecordedHazards(msgspec.Struct, frozen=True):
    """Hazards tried on Windows, and how often each side failed; a notebook shows them as tables."""

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
    of_other_code = "" if run.code == recorded_code() else ", with other code than this"
    header = ("What can go wrong", "Tried", "Stock asyncio: wrong", "Windows-safe: wrong")
    return table(f"{run.label}{of_other_code}", header, rows)


def recorded_hazards() -> RecordedHazards:
    """The hazards recorded on Windows CPython."""
    return RecordedHazards(read_windows_runs())


def wait_errors(parameters: WindowsParameters) -> pd.DataFrame:
    """By how much waits exceed the requested time: on this machine, on a simulated Windows clock, and recorded on Windows.

    Returns:
        `platform`, `wait`, `side` ("stock" or "Windows-safe") and `error` in seconds, negative for a wait that ended
        early.
    """

    def coarse() -> CoarseClockLoop:
        return CoarseClockLoop(tick=WINDOWS_TICK, step_cost=_TURN)

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

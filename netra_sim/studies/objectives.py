"""Whether notebooks other than the validation meet their objectives: a study saves the results, the report reads them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from netra_sim.checks import delivery_latencies
from netra_sim.checks.statistics import QUANTILE, nearest_rank
from netra_sim.files import save_json
from netra_sim.history import History

OBJECTIVES_FILE = "objectives.json"


class ObjectiveResult(msgspec.Struct, frozen=True, kw_only=True):
    """An objective, compared with what a study measured.

    Attributes:
        parameter: the name of the notebook parameter that sets the objective.
        where: the measured load or scenario.
        measured: the measured value and the objective, in words.
        state: whether the objective was met; "not judged" if too little was measured.
    """

    parameter: str
    where: str
    measured: str
    state: Literal["met", "missed", "not judged"]


def quantile(seconds: np.ndarray, share: float = QUANTILE) -> float:
    """The quantile at ``share`` by nearest rank, as in the checks; NaN if there are no values."""
    return nearest_rank(seconds, share) if len(seconds) else float("nan")


def p95_result(where: str, measured: float, objective: float) -> ObjectiveResult:
    """Compare a measured p95 with the objective ``delivery_p95``, both in seconds. NaN, if no event arrived, is a miss."""
    if measured != measured:
        return ObjectiveResult(parameter="delivery_p95", where=where, measured="no event arrived", state="missed")
    words = f"95 of 100 events arrive within {measured * 1000:,.1f} ms, and should within {objective * 1000:,.1f} ms"
    state: Literal["met", "missed"] = "met" if measured <= objective else "missed"
    return ObjectiveResult(parameter="delivery_p95", where=where, measured=words, state=state)


def save_p95_results(output: str, histories: Mapping[str, History], objective: float) -> None:
    """Compare the p95 of each history with the objective ``delivery_p95``, in seconds, and save the results."""
    p95s = {where: quantile(delivery_latencies(one)["latency"].to_numpy(float)) for where, one in histories.items()}
    save_results(output, [p95_result(where, measured, objective) for where, measured in p95s.items()])


def save_results(output: str, results: Iterable[ObjectiveResult]) -> None:
    """Save results where the report reads them: in ``output``, the notebook's folder; "" saves nothing.

    Raises:
        OSError: the folder cannot be made, or the file cannot be written.
    """
    if output:
        Path(output).mkdir(parents=True, exist_ok=True)
        save_json(Path(output) / OBJECTIVES_FILE, list(results))


def read_results(folder: Path) -> list[ObjectiveResult]:
    """The results that a notebook saved in a folder; empty if it saved none."""
    try:
        return msgspec.json.decode((folder / OBJECTIVES_FILE).read_bytes(), type=list[ObjectiveResult])
    except FileNotFoundError:
        return []

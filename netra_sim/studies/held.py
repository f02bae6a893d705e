"""Objectives that a notebook other than the validation is given: kept by the study that measures, judged by the report."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from netra_sim.checks import delivery_latencies
from netra_sim.files import save_json
from netra_sim.history import History

HELD_FILE = "objectives.json"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An objective, held against what a study has measured.

    Attributes:
        parameter: by which the notebook takes it.
        where: the load or the scenario that was measured.
        measured: in words, with what was promised.
        state: whether it was met; "not judged" where too little was measured.
    """

    parameter: str
    where: str
    measured: str
    state: Literal["met", "missed", "not judged"]


def held_p95(where: str, measured: float, objective: float) -> Held:
    """The objective ``delivery_p95`` against a measured time, in seconds; NaN where nothing arrived."""
    if measured != measured:
        return Held(parameter="delivery_p95", where=where, measured="no event arrived", state="missed")
    words = f"95 of 100 events arrive within {measured * 1000:,.1f} ms, and should within {objective * 1000:,.1f} ms"
    state: Literal["met", "missed"] = "met" if measured <= objective else "missed"
    return Held(parameter="delivery_p95", where=where, measured=words, state=state)


def keep_p95(output: str, histories: Mapping[str, History], objective: float) -> None:
    """Keep how histories, by their names, meet the objective ``delivery_p95``."""
    p95 = {where: float(delivery_latencies(one)["latency"].quantile(0.95)) for where, one in histories.items()}
    keep(output, [held_p95(where, measured, objective) for where, measured in p95.items()])


def keep(output: str, held: Iterable[Held]) -> None:
    """Leave the outcome for the report in a notebook's folder; "" keeps nothing.

    Raises:
        OSError: the folder cannot be written to.
    """
    if output:
        Path(output).mkdir(parents=True, exist_ok=True)
        save_json(Path(output) / HELD_FILE, list(held))


def read_held(folder: Path) -> list[Held]:
    """What a notebook has left there; nothing if it holds no objective."""
    try:
        return msgspec.json.decode((folder / HELD_FILE).read_bytes(), type=list[Held])
    except FileNotFoundError:
        return []

"""`sweep`: simulates a grid of settings and seeds, on all cores or on a Dask cluster, and keeps finished cells."""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from netra_sim.exceptions import NetraSimError
from netra_sim.exploration.pool import in_order
from netra_sim.exploration.trial import run_trial
from netra_sim.files import make_folder, replacing
from netra_sim.fingerprint import fingerprint
from netra_sim.own_code import code_digest
from netra_sim.simulation import Scenario, ScenarioError

TABLE_FILE = "sweep.parquet"
_POINTS = b"netra_sim_points"
"""The key of the metadata of a table that says which cells it has."""


class Cell(msgspec.Struct, frozen=True):
    """One point of the grid.

    Attributes:
        scenario: the scenario with the settings applied.
        settings: the values by path.
        seed: of the simulation.
    """

    scenario: Scenario
    settings: dict[str, Any]
    seed: int

    @property
    def name(self) -> str:
        """A digest of the cell and of the code that simulates it, code of one's own included."""
        own = code_digest(self.scenario.places, self.scenario.code_folders)
        return _digest(fingerprint().package, own, *self._described)

    @property
    def point(self) -> str:
        """A digest of the cell alone, the same for every version of the code."""
        return _digest(*self._described)

    @property
    def _described(self) -> list[Any]:
        return [msgspec.to_builtins(self.scenario), self.settings, self.seed]


class SweepError(NetraSimError, ValueError):
    """The folder holds the table of another sweep, or no scheduler answers; nothing was simulated."""


def cells(scenario: Scenario, grid: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[Cell]:
    """Every combination of the grid's values with every seed, the seed changing fastest.

    Raises:
        ScenarioError: a path does not exist, has no values, or has a wrong value.
    """
    if empty := [path for path, values in grid.items() if not values]:
        raise ScenarioError(f"{empty[0]} has no values to try; name one at least")
    return [
        Cell(scenario.with_settings(settings), settings, seed)
        for values in product(*grid.values())
        for settings in [dict(zip(grid, values, strict=True))]
        for seed in seeds
    ]


def sweep(
    planned: Sequence[Cell],
    folder: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_cell: Callable[[], None] = lambda: None,
    on_next: Callable[[Cell], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate and check all cells that are not finished yet, and write the table of all cells.

    Each finished cell is written to a separate file at once, so that an interrupted sweep can resume. The table is the same,
    byte for byte, for any number of processes, machines and interruptions. It replaces an earlier table only if it has all
    cells of that one, as with more seeds or more values.

    Args:
        planned: the cells, in the order of the table's rows.
        folder: for the cells and the table.
        jobs: local processes; all cores by default.
        scheduler: the address of a Dask scheduler to use instead.
        on_cell: called for every finished cell, including those of earlier sweeps.
        on_next: called with the first cell that is not finished, again and again.

    Returns:
        One row per cell: its settings, seed and digest, the state of each check, and the figures of each check.

    Raises:
        SweepError: the folder holds the table of another sweep, or no scheduler answers; nothing was simulated.
        ImportError: a scheduler is named, and Dask's ``distributed`` is not installed.
        OSError: the folder cannot be written, or the scheduler is lost.
    """
    table_path = Path(folder) / TABLE_FILE
    points = [cell.point for cell in planned]
    _refuse_other_sweep(table_path, points)
    kept = Path(folder) / "cells"
    make_folder(Path(folder))
    kept.mkdir(exist_ok=True)
    paths = [kept / f"{cell.name}.parquet" for cell in planned]
    done = {path: table for path in paths if (table := _read(path)) is not None}
    left = {path: cell for cell, path in zip(planned, paths, strict=True) if path not in done}
    for _ in range(len(planned) - len(left)):
        on_cell()
    calls = [(cell,) for cell in left.values()]
    rows = _on_cluster(list(left.values()), scheduler) if scheduler else in_order(run_cell, calls, jobs)
    with closing(rows):
        for path, cell in left.items():
            on_next(cell)
            row = next(rows)
            _write(pd.DataFrame([row]), path, [cell.point])
            done[path] = pd.read_parquet(path)  # as a later sweep will read it
            on_cell()
    table = pd.concat([done[path] for path in paths], ignore_index=True) if paths else pd.DataFrame()
    _write(table, table_path, points)
    return table


def run_cell(cell: Cell) -> dict[str, Any]:
    """Simulate and check one cell, and return its row of the table."""
    trial = run_trial(cell.scenario, cell.seed)
    row: dict[str, Any] = {"scenario": cell.scenario.name}
    row |= {
        path: value if isinstance(value, int | float | str) else json.dumps(value)
        for path, value in cell.settings.items()
    }
    row |= {"seed": cell.seed, "digest": trial.digest, "as_expected": trial.is_as_expected}
    for result in trial.results:
        row[result.check] = result.state
        row |= {f"{result.check}: {name}": figure.value for name, figure in result.measured.items()}
    return row


def _on_cluster(planned: Sequence[Cell], scheduler: str) -> Generator[dict[str, Any], None, None]:
    from distributed import Client  # an optional dependency: most sweeps need no cluster

    try:
        connected = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SweepError(
            f"no Dask scheduler answers at {scheduler}; start one with `dask scheduler`, or leave the scheduler out"
        ) from error
    with connected as client:
        futures = client.map(run_cell, planned, pure=False)
        try:
            for future in futures:
                yield future.result()
        finally:
            client.cancel(futures)


def _read(path: Path) -> pd.DataFrame | None:
    """A finished cell, or None if the file does not exist or is damaged, for example by a power cut."""
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid):
        return None


def _write(table: pd.DataFrame, path: Path, points: Sequence[str]) -> None:
    own = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(own.schema.metadata or {}), _POINTS: json.dumps(points)}
    with replacing(path) as temporary:
        pq.write_table(own.replace_schema_metadata(metadata), temporary)


def _refuse_other_sweep(path: Path, points: Sequence[str]) -> None:
    """Refuse a table with cells that are not planned: it would be lost."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        return
    except (pa.ArrowInvalid, OSError):
        metadata = {}
    if _POINTS not in metadata:
        raise SweepError(f"{path} cannot be read as the table of a sweep; name another folder, or move it away")
    if not set(json.loads(metadata[_POINTS])) <= set(points):
        raise SweepError(
            f"{path} is the table of another sweep, with other settings or more seeds; name another folder, or move it away"
        )


def _digest(*described: object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]

"""`sweep`: a grid of settings and seeds, on all cores or on a Dask cluster; what is done is kept, and never done again."""

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

from netra_sim.exploration.pool import in_order
from netra_sim.exploration.trial import run_trial
from netra_sim.files import replacing
from netra_sim.simulation import Scenario, ScenarioError
from netra_sim.version import fingerprint

TABLE_FILE = "sweep.parquet"


class Cell(msgspec.Struct, frozen=True):
    """One point of the grid.

    Attributes:
        scenario: with the settings applied.
        settings: what was set, by path.
        seed: of the simulation.
    """

    scenario: Scenario
    settings: dict[str, Any]
    seed: int

    @property
    def name(self) -> str:
        """Tells the cell from any other, and from the same one that other code has simulated."""
        described = [fingerprint().package, msgspec.to_builtins(self.scenario), self.settings, self.seed]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]


def cells(scenario: Scenario, grid: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[Cell]:
    """Every combination of the grid's values with every seed, the seed changing fastest.

    Raises:
        ScenarioError: a path does not exist, has no values, or one that it does not take; nothing has run.
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
) -> pd.DataFrame:
    """Simulate and check all cells that are not done yet, and write the table of all of them.

    Each finished cell is kept in a file of its own at once, so that an interrupted sweep goes on where it was. The table
    is the same, byte for byte, however many processes or machines took part, and however often it was interrupted.

    Args:
        planned: the cells, in the order of the table's rows.
        folder: where the cells and the table are kept.
        jobs: local processes; all cores by default.
        scheduler: the address of a Dask scheduler to use instead.
        on_cell: called for every cell that is done, those from before included.

    Returns:
        One row a cell: its settings, seed, digest, the state of each check and each figure that it measured.

    Raises:
        ImportError: a scheduler is named, and Dask's ``distributed`` is not installed.
        OSError: the folder cannot be written to, or the scheduler cannot be reached.
    """
    kept = Path(folder) / "cells"
    kept.mkdir(parents=True, exist_ok=True)
    paths = [kept / f"{cell.name}.parquet" for cell in planned]
    done = {path: table for path in paths if (table := _read(path)) is not None}
    to_do = [(cell, path) for cell, path in zip(planned, paths, strict=True) if path not in done]
    for _ in range(len(planned) - len(to_do)):
        on_cell()
    todo_cells = [cell for cell, _ in to_do]
    rows = (
        _on_cluster(todo_cells, scheduler) if scheduler else in_order(run_cell, ((cell,) for cell in todo_cells), jobs)
    )
    with closing(rows):
        for (_, path), row in zip(to_do, rows, strict=True):
            _write(pd.DataFrame([row]), path)
            done[path] = pd.read_parquet(path)  # as a later sweep will have it
            on_cell()
    table = pd.concat([done[path] for path in paths], ignore_index=True) if paths else pd.DataFrame()
    _write(table, Path(folder) / TABLE_FILE)
    return table


def run_cell(cell: Cell) -> dict[str, Any]:
    """Simulate and check one cell."""
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


def _on_cluster(todo: Sequence[Cell], scheduler: str) -> Generator[dict[str, Any], None, None]:
    from distributed import Client  # an optional dependency: most sweeps need no cluster

    with Client(scheduler) as client:  # type: ignore[no-untyped-call]
        futures = client.map(run_cell, todo, pure=False)
        try:
            for future in futures:
                yield future.result()
        finally:
            client.cancel(futures)


def _read(path: Path) -> pd.DataFrame | None:
    """A cell that is done, or None: a power cut can leave a file that nobody can read."""
    try:
        return pd.read_parquet(path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)

"""Recorded times and durations: replaces the files that a scenario names by their values."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netra_sim.near_names import did_you_mean

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_LATEST = 1e9
"""The longest time in seconds that a scenario takes."""

_FILE_FIELDS = ("file", "column", "unit")
_TAKES = {"replay": "times", "empirical": "values"}
"""The kinds of tables that may name a file, each with the field that takes its values."""

_COUNTED = {
    "times": "times count from the beginning, and not from 1970",
    "values": "a duration is never negative, and is measured in the unit of the file",
}
"""What to think of when a value is out of bounds, by the field that takes it."""


def with_recorded_values(fields: Any, folder: Path, path: str = "") -> Any:
    """The fields of a scenario with the values of each file in its place.

    Args:
        fields: plain values, as from TOML; tables that name no file are left as they are.
        folder: what the paths of files are relative to.
        path: of the fields in their scenario.

    Raises:
        ValueError: a file or its column cannot be used; the message begins with the path of the field.
    """
    if isinstance(fields, list | tuple):
        return [with_recorded_values(one, folder, f"{path}[{index}]") for index, one in enumerate(fields)]
    if not isinstance(fields, Mapping):
        return fields
    takes = _TAKES.get(str(fields.get("kind")))
    if takes is None or "file" not in fields:
        return {name: with_recorded_values(one, folder, f"{path}.{name}".lstrip(".")) for name, one in fields.items()}
    try:
        values = _recorded(fields, takes, folder)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return {name: one for name, one in fields.items() if name not in _FILE_FIELDS} | {takes: values}


def _recorded(table: Mapping[str, Any], takes: str, folder: Path) -> list[float]:
    file, column, unit = table["file"], table.get("column"), table.get("unit", "s")
    for name in table:
        if name not in ("kind", takes, *_FILE_FIELDS):
            hint = did_you_mean(name, _FILE_FIELDS, f"with a file it takes {', '.join(_FILE_FIELDS)}")
            raise ValueError(f"there is no field `{name}`; {hint}")
    if takes in table:
        raise ValueError(f"{takes} and file are given; give one of them")
    if not isinstance(file, str) or not isinstance(column, str):
        raise ValueError('a file has a column, such as file = "recorded.csv", column = "seconds"')
    if unit not in _UNITS:
        raise ValueError(f"unit is one of {', '.join(_UNITS)}, and is {unit!r}")
    path = folder / file
    read = {".csv": _of_csv, ".parquet": _of_parquet}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{file} ends neither with .csv nor with .parquet")
    if not path.is_file():
        raise ValueError(f"there is no file {path}; a path is relative to the folder of the scenario's file")
    try:
        recorded = read(path, file, column)
        values = [_seconds(value, _UNITS[unit], f"{file}, {place}", takes) for place, value in recorded]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if not values:
        raise ValueError(f"the column {column} of {file} has no values; one at least is needed")
    return values


def _of_csv(path: Path, file: str, column: str) -> Iterator[tuple[str, Any]]:
    """Each value of a column with its place."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        _require_column(file, column, list(rows.fieldnames or ()))
        for row in rows:
            yield f"line {rows.line_num}", row[column]


def _of_parquet(path: Path, file: str, column: str) -> Iterator[tuple[str, Any]]:
    """See `_of_csv`."""
    import pyarrow  # reading a scenario does without it otherwise
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(path)
        _require_column(file, column, table.schema_arrow.names)
        values = table.read(columns=[column]).column(0).to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(f"{file} is not a Parquet file: {error}") from error
    yield from ((f"row {number}", value) for number, value in enumerate(values, 1))


def _require_column(file: str, column: str, names: list[str]) -> None:
    if names.count(column) > 1:
        raise ValueError(f"{file} has {names.count(column)} columns {column}; give each column a name of its own")
    if column not in names:
        hint = did_you_mean(column, names, f"it has {', '.join(names) or 'none at all'}")
        raise ValueError(f"{file} has no column {column}; {hint}")


def _seconds(value: Any, unit: float, place: str, takes: str) -> float:
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"{place}: {'nothing' if value is None else repr(value)} is not a number")
    seconds = round(number * unit, 6)
    if not 0 <= seconds <= _LATEST:
        raise ValueError(f"{place}: {value} is not between 0 and {_LATEST / unit:,.0f}; {_COUNTED[takes]}")
    return seconds

"""`read_log`: reads the event log of any system, as JSON lines or Parquet, into a History.

A log has one record per line or row. A check that lacks records is not applicable. docs/event-log.md describes the fields
of a record, which `LogMapping` may rename; other fields are ignored.
"""

import codecs
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from netra_sim.history.history import History, HistoryError
from netra_sim.history.log_columns import read_columns
from netra_sim.history.log_mapping import FIELDS, LogMapping

MALFORMED_SHOWN = 20
"""The most malformed lines that are kept with their reasons; all are counted."""


class Malformed(NamedTuple):
    """A line that cannot be read: its number, from 1, and the reason."""

    line: int
    reason: str


class Log(NamedTuple):
    """A log as read.

    Attributes:
        history: of the usable records.
        lines: for each row of the history the number, from 1, of its line or Parquet row.
        malformed: the first lines that cannot be read, at most `MALFORMED_SHOWN`.
        malformed_lines: how many lines cannot be read.
        other_kinds: for each kind that is not a `Kind` the number of its records.
    """

    history: History
    lines: np.ndarray
    malformed: tuple[Malformed, ...]
    malformed_lines: int
    other_kinds: Mapping[str, int]


def is_event_log(path: str | Path) -> bool:
    """Whether a file is for `read_log`: any file that `History.save` did not write."""
    try:
        return b"netra_sim" not in (pq.read_schema(path).metadata or {})
    except pa.ArrowInvalid:
        return True


def read_log(path: str | Path, mapping: LogMapping | None = None) -> Log:
    """Read another system's event log.

    Args:
        path: of a file of JSON lines or Parquet.
        mapping: the names and words of the log; by default those of docs/event-log.md.

    Raises:
        HistoryError: no record can be used.
        OSError: the file cannot be read.
    """
    mapping, path = mapping or LogMapping(), Path(path)
    names = {field: mapping.fields.get(field, field) for field in FIELDS}
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    columns, lines, malformed = (_parquet if is_parquet else _json_lines)(path, names)
    rows, history, wrong, other_kinds = read_columns(columns, mapping)
    malformed += [Malformed(int(lines[record]), reason) for record, reason in wrong.items()]
    malformed.sort()
    if not len(history):
        why = f"; line {malformed[0].line} {malformed[0].reason}" if malformed else ""
        others = ", ".join(sorted(other_kinds)[:5])
        why += f"; it has records of other kinds: {others}" if others else ""
        raise HistoryError(f"{path} is no event log: no record in it can be used{why}")
    return Log(history, lines[rows], tuple(malformed[:MALFORMED_SHOWN]), len(malformed), other_kinds)


_Columns = dict[str, list[Any]]
_Read = tuple[_Columns, np.ndarray, list[Malformed]]


def _json_lines(path: Path, names: Mapping[str, str]) -> _Read:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    getters = [_getter(name) for name in names.values()]
    values: list[tuple[Any, ...]] = []
    lines: list[int] = []
    malformed: list[Malformed] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = decode(line if number > 1 else line.removeprefix(codecs.BOM_UTF8))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if line.strip():
                    malformed.append(Malformed(number, f"is no JSON object: {error}"))
                continue
            values.append(tuple([get(record) for get in getters]))
            lines.append(number)
    columns = dict(zip(names, map(list, zip(*values, strict=True)), strict=True)) if values else {}
    return columns, np.array(lines, np.int64), malformed


def _getter(name: str) -> Callable[[dict[str, Any]], Any]:
    """A function that reads a field of a record. Dots in the name lead into nested objects, or are part of a key."""
    if not name:
        return lambda record: None
    key, dot, rest = name.partition(".")
    if not dot:
        return lambda record: record.get(name)
    inner = _getter(rest)

    def get(record: dict[str, Any]) -> Any:
        if name in record:
            return record[name]
        nested = record.get(key)
        return inner(nested) if isinstance(nested, dict) else None

    return get


def _parquet(path: Path, names: Mapping[str, str]) -> _Read:
    try:
        present = pq.read_schema(path).names
        wanted = [name for name in present if any(f"{one}.".startswith(f"{name}.") for one in names.values())]
        table = pq.read_table(path, columns=wanted)
    except pa.ArrowInvalid as error:
        raise HistoryError(f"{path} is no Parquet file: {error}") from error
    columns = {field: _values(table, name) for field, name in names.items()}
    return columns, np.arange(1, len(table) + 1), []


def _values(table: pa.Table | pa.StructArray, name: str) -> list[Any]:
    """The values of a column; the name counts as for `_getter`."""
    fields = table.schema.names if isinstance(table, pa.Table) else [field.name for field in table.type]
    key, _, rest = name.partition(".")
    if name not in fields:
        inner = table.column(key).combine_chunks() if isinstance(table, pa.Table) and key in fields else None
        if inner is None and key in fields:
            inner = pc.struct_field(table, key)
        return _values(inner, rest) if inner is not None and pa.types.is_struct(inner.type) else [None] * len(table)
    column = table.column(name) if isinstance(table, pa.Table) else pc.struct_field(table, name)
    if pa.types.is_timestamp(column.type):
        # A History does not keep fractions of a microsecond.
        column = pc.strftime(column.cast(pa.timestamp("us", "UTC"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
    values: list[Any] = column.to_pylist()
    return values

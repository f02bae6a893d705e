"""Turns the columns of another system's log into a History."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isinf, nan
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS, History, Kind
from netra_sim.history.log_mapping import FIELDS, KINDS, LogMapping

Columns = dict[str, list[Any]]
"""For each field the values of all records, None where a record lacks it."""

_Converters = Mapping[type, Callable[[Any], Any]]

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

_NGINX = "%d/%b/%Y:%H:%M:%S %z"
"""The format of $time_local in nginx and %t in Apache."""

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_EXACT = 2**53
"""The largest integer up to which all integers are exact as floating-point numbers."""

_NEEDS_NO_USER = (Kind.LEFT_OVER, Kind.FAULT_BEGAN, Kind.FAULT_ENDED, Kind.SAMPLE, Kind.STUCK)
_OF_EVENTS = (Kind.SENT, Kind.RECEIVED)


def read_columns(
    columns: Columns, mapping: LogMapping
) -> tuple[np.ndarray, History, dict[int, str], Mapping[str, int]]:
    """Make a History of the usable records.

    Returns:
        For each row of the history the index of its record; the history; for each malformed record the reason; for each kind
        that is not a `Kind` the number of its records.
    """
    if not columns:
        columns = {name: [] for name in FIELDS}
    wrong: dict[int, str] = {}
    texts = {name: _texts(columns[name], name, mapping, wrong) for name in ("kind", "owner", "client", *TEXT_COLUMNS)}
    kind, other_kinds = _kinds(*texts.pop("kind"))
    codes = {name: code for name, (code, _) in texts.items()}
    tables = {name: table for name, (_, table) in texts.items()}
    numbers = {"time": _times(columns["time"], "time", mapping, wrong), "kind": kind}
    numbers["due"] = _times(columns["due"], "due", mapping, wrong)
    numbers["duration"] = _durations(columns["duration"], mapping, wrong)
    numbers["seq"] = _numbers(columns["seq"], "seq", "a whole number", _whole, wrong)
    numbers["value"] = _values(columns["value"], kind == Kind.RECEIVED, mapping, wrong)
    _fill_in(numbers, codes, tables, mapping)
    lacks_user = (codes["user"] == tables["user"].index("")) & ~np.isin(kind, _NEEDS_NO_USER) & (kind > 0)
    for record in np.flatnonzero(lacks_user).tolist():
        wrong.setdefault(record, "does not say which user")
    is_usable = kind > 0
    is_usable[list(wrong)] = False
    rows = np.flatnonzero(is_usable)
    if not np.isnan(numbers["time"][rows]).any():
        rows = rows[np.argsort(numbers["time"][rows], kind="stable")]
    return rows, _history(rows, numbers, codes, tables, mapping), wrong, other_kinds


def _history(
    rows: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    codes: Mapping[str, np.ndarray],
    tables: Mapping[str, list[str]],
    mapping: LogMapping,
) -> History:
    """The History of some records: times count from the first one, and tables hold only texts that occur."""
    chosen = {name: numbers[name][rows] for name in NUMBER_COLUMNS}
    began = chosen["time"][0] if len(rows) and not np.isnan(chosen["time"][0]) else 0.0
    for name in ("time", "due"):
        chosen[name] = chosen[name] - began
    own_codes, own_tables = {}, {}
    for name in TEXT_COLUMNS:
        own_codes[name], used = pd.factorize(codes[name][rows])
        own_tables[name] = [tables[name][code] for code in used.tolist()]
    recorded = {Kind(kind).name.lower() for kind in np.unique(chosen["kind"]).tolist()} | set(mapping.recorded)
    limits = {
        "engines_per_user": mapping.engines_per_user,
        "connections_per_user": mapping.connections_per_user,
        "tools_required": mapping.tools_required,
    }
    meta = {
        "source": "log",
        "began": began,
        "recorded": sorted(recorded),
        "objectives": msgspec.to_builtins(mapping.objectives),
    }
    return History(
        chosen, own_codes, own_tables, meta | {name: limit for name, limit in limits.items() if limit is not None}
    )


def _fill_in(
    numbers: dict[str, np.ndarray], codes: dict[str, np.ndarray], tables: dict[str, list[str]], mapping: LogMapping
) -> None:
    """Fill in what a record may leave out: the user from the owner, the due time, and -1 for no sequence number."""
    kind = numbers["kind"]
    is_event = np.isin(kind, _OF_EVENTS)
    # "detail" holds the owner of a sent or received event, and the client of a connection; elsewhere the owner is the user.
    codes["detail"] = np.where(is_event, tables["detail"].index(""), codes["detail"])
    is_userless = codes["user"] == tables["user"].index("")
    for source, column, where in (
        ("owner", "detail", is_event),
        ("owner", "user", ~is_event & is_userless),
        ("client", "detail", kind == Kind.CONNECTED),
    ):
        where = where & (codes[source] != tables[source].index(""))
        known = {text: code for code, text in enumerate(tables[column])}
        translated = np.array([known.setdefault(text, len(known)) for text in tables[source]], np.int64)
        tables[column] = list(known)
        codes[column] = np.where(where, translated[codes[source]], codes[column])
    seq = numbers["seq"]
    has_run = codes["run"] != tables["run"].index("")
    numbers["seq"] = np.where(np.isnan(seq) | ~has_run, -1, seq - mapping.first_seq).astype(np.int64)
    numbers["value"] = np.where(kind == Kind.GAP, numbers["value"] - mapping.first_seq, numbers["value"])
    is_due = (kind == Kind.REQUESTED) & np.isnan(numbers["due"])
    numbers["due"] = np.where(is_due, numbers["time"], np.where(kind == Kind.REQUESTED, numbers["due"], np.nan))


def _kinds(codes: np.ndarray, table: list[str]) -> tuple[np.ndarray, dict[str, int]]:
    """For each record its `Kind`, or 0; and for each other kind the number of its records."""
    kinds = [KINDS.get(text.lower().replace("-", "_"), 0) if text else Kind.RECEIVED for text in table]
    counts = np.bincount(codes, minlength=len(table)).tolist()
    others = {text: count for text, kind, count in zip(table, kinds, counts, strict=True) if not kind and count}
    return np.array(kinds, np.int64)[codes], others


def _texts(values: list[Any], name: str, mapping: LogMapping, wrong: dict[int, str]) -> tuple[np.ndarray, list[str]]:
    """The codes of a column of texts, and their table; "" stands for a missing value."""
    if set(map(type, values)) != {str}:
        kinds: _Converters = {str: str, int: str, type(None): lambda _: ""}
        values = _converted(values, name, "a text or a whole number", kinds, wrong, "")
    codes, found = pd.factorize(np.array([*values, ""], object))
    meanings = mapping.values.get(name, {})
    again, table = pd.factorize(np.array([meanings.get(text, text) if text else "" for text in found.tolist()], object))
    return again[codes[:-1]], table.tolist()


def _numbers(
    values: list[Any], name: str, expected: str, number: Callable[[Any], float], wrong: dict[int, str]
) -> np.ndarray:
    """A column of numbers, NaN for a missing value."""
    if set(map(type, values)) <= {type(None)}:
        return np.full(len(values), np.nan)
    kinds: _Converters = dict.fromkeys((int, float, str, Decimal), number) | {type(None): lambda _: np.nan}
    return np.array(_converted(values, name, expected, kinds, wrong, np.nan), np.float64)


def _values(values: list[Any], is_time: np.ndarray, mapping: LogMapping, wrong: dict[int, str]) -> np.ndarray:
    """The column "value": timestamps of received events, plain numbers of all other records."""
    timed = is_time.tolist()
    stamps = [value if is_stamp else None for value, is_stamp in zip(values, timed, strict=True)]
    figures = [None if is_stamp else value for value, is_stamp in zip(values, timed, strict=True)]
    read = _numbers(figures, "value", "a number", _finite, wrong)
    return np.where(is_time, _times(stamps, "value", mapping, wrong), read)


def _durations(values: list[Any], mapping: LogMapping, wrong: dict[int, str]) -> np.ndarray:
    """The column "duration" in seconds."""
    return _numbers(values, "duration", "a number", _finite, wrong) / _PER_SECOND[mapping.time_unit]


def _times(values: list[Any], name: str, mapping: LogMapping, wrong: dict[int, str]) -> np.ndarray:
    """Seconds since 1970 for texts in ISO 8601 or in the format of nginx; numbers count from wherever the log does."""
    expected = "a number or a time in ISO 8601"
    values = [_number_in(value) if type(value) is str else value for value in values]
    at = [record for record, value in enumerate(values) if type(value) is str]
    if not at:
        return _numbers(values, name, expected, _finite, wrong) / _PER_SECOND[mapping.time_unit]
    # Python logging writes a comma before the fraction of a second.
    texts = pd.Series([values[record].replace(",", ".") for record in at])
    seconds = _numbers([None if type(value) is str else value for value in values], name, expected, _finite, wrong)
    seconds /= _PER_SECOND[mapping.time_unit]
    moments = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    if moments.isna().any():
        moments = moments.fillna(pd.to_datetime(texts, format=_NGINX, utc=True, errors="coerce"))
    seconds[at] = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64)
    for record in np.array(at)[moments.isna().to_numpy()].tolist():
        wrong.setdefault(record, f"{name} is {_short(values[record])}; expected {expected}")
    return seconds


def _number_in(text: str) -> Any:
    """The number in a text that is one, such as a 64-bit integer in quotes; else the text."""
    return float(text) if _NUMBER.fullmatch(text) else text


def _finite(value: Any) -> float:
    number = float(value)
    if isinf(number):
        raise ValueError(value)
    return number


def _whole(value: Any) -> float:
    if value != value:  # pandas writes NaN for a missing value
        return nan
    number = int(value)
    if number != float(value) or abs(number) > _EXACT:
        raise ValueError(value)
    return float(number)


def _converted(
    values: list[Any], name: str, expected: str, kinds: _Converters, wrong: dict[int, str], instead: object
) -> list[Any]:
    """The converted values; one that cannot be converted is replaced by ``instead``, with the reason in ``wrong``."""
    read = []
    for record, value in enumerate(values):
        convert = kinds.get(type(value))
        try:
            if convert is None:
                raise ValueError(value)
            read.append(convert(value))
        except (ValueError, OverflowError):
            wrong.setdefault(record, f"{name} is {_short(value)}; expected {expected}")
            read.append(instead)
    return read


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

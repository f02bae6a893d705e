"""Converts numpy and pandas values to plain Python values, without importing numpy or pandas."""

import contextlib
import datetime
from typing import Any


def is_numpy(value: object) -> bool:
    """Whether the value is a numpy array or scalar."""
    return any(base.__module__ == "numpy" for base in type(value).__mro__)


def is_missing(value: object) -> bool:
    """Whether the value is pandas' NaT or NA, which mean "no value" as NaN does."""
    kind = type(value)
    return kind.__name__ in ("NaTType", "NAType") and kind.__module__.startswith("pandas.")


def numpy_values(value: Any) -> Any:
    """Convert a numpy array to lists, and a numpy scalar to one plain Python value.

    A time becomes ISO 8601 text with all digits of its unit, because a number of nanoseconds is too large for most JSON
    parsers to keep exactly. A duration becomes seconds, NaT becomes None, and a record becomes a dict by field name.
    """
    kind = value.dtype.kind
    if kind == "M":
        return _each(value.astype(str).tolist(), _moment)
    if kind == "m":
        return (value / value.dtype.type(1, "s")).tolist()
    if value.dtype.names is not None:
        if value.shape:
            return list(value)
        return {name: value[name] for name in value.dtype.names}
    return value.tolist()


def _each(values: Any, convert: Any) -> Any:
    return [_each(item, convert) for item in values] if isinstance(values, list) else convert(values)


def _moment(text: str) -> str | None:
    """The time as `datetime.datetime.isoformat` writes it, with more digits if it needs them; None for NaT."""
    if text == "NaT":
        return None
    whole, _, fraction = text.partition(".")
    if "T" in whole:
        with contextlib.suppress(ValueError):  # a year that Python's dates do not have
            whole = datetime.datetime.fromisoformat(whole).isoformat()
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction:0<6}" if fraction else whole

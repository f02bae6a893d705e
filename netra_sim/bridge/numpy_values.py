"""Values of numpy and pandas as plain ones, without importing either."""

import contextlib
import datetime
from typing import Any


def is_numpy(value: object) -> bool:
    """Whether it is an array or a scalar of numpy's."""
    return any(base.__module__ == "numpy" for base in type(value).__mro__)


def is_missing(value: object) -> bool:
    """Whether it is pandas' NaT or NA, which stand for no value at all as NaN does."""
    kind = type(value)
    return kind.__name__ in ("NaTType", "NAType") and kind.__module__.startswith("pandas.")


def numpy_values(value: Any) -> Any:
    """An array as lists and a scalar as one value of Python's own types.

    Times are text in ISO 8601, with as many digits as their unit needs, as numbers of nanoseconds would exceed what JSON's
    readers hold exactly; durations are seconds; NaT is None; a record is a dict by its fields.
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
    """As `datetime.datetime.isoformat` has it where that can, else with as many digits as it takes."""
    if text == "NaT":
        return None
    whole, _, fraction = text.partition(".")
    if "T" in whole:
        with contextlib.suppress(ValueError):  # a year that Python's dates do not have
            whole = datetime.datetime.fromisoformat(whole).isoformat()
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction:0<6}" if fraction else whole

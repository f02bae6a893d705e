"""The bounds of every field of a limits or policy class."""

from math import isfinite

import msgspec

MOST_COUNT = 10**12
"""The largest value of a whole-number limit: more than any memory holds."""

MOST_SECONDS = 1e9
"""The largest value of a limit in seconds: over thirty years."""


def check_bounds(settings: msgspec.Struct) -> None:
    """Check that every field is above 0 and within its bound, and is a whole number if its type is `int`.

    Raises:
        ValueError: a field is not; the message names the field, its bounds and its value.
    """
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if field.type is int:
            is_good, bound, kind = (
                type(value) is int and 0 < value <= MOST_COUNT,
                f"{MOST_COUNT:,}",
                "a whole number that",
            )
        else:
            is_good = type(value) in (int, float) and isfinite(value) and 0 < value <= MOST_SECONDS
            bound, kind = f"{MOST_SECONDS:,.0f} s", "a number that"
        if not is_good:
            raise ValueError(
                f"{field.name} must be more than 0 and at most {bound}, and is {value!r}; give {kind} lies between"
            )

"""What the fields of limits and policies may be."""

from math import isfinite

import msgspec

MOST = 10**12
"""The largest whole number that a limit may be: more than any memory holds."""

LONGEST = 1e9
"""The most seconds that a limit may be: over thirty years. Infinity and NaN are none."""


def check_bounds(settings: msgspec.Struct) -> None:
    """Check that every field is more than 0, is finite, and is a whole number where its type is `int`.

    Raises:
        ValueError: one is not; the error names the field, its bounds and its value.
    """
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if field.type is int:
            is_good, bound, kind = type(value) is int and 0 < value <= MOST, f"{MOST:,}", "a whole number that"
        else:
            is_good = type(value) in (int, float) and isfinite(value) and 0 < value <= LONGEST
            bound, kind = f"{LONGEST:,.0f} s", "a number that"
        if not is_good:
            raise ValueError(
                f"{field.name} must be more than 0 and at most {bound}, and is {value!r}; give {kind} lies between"
            )

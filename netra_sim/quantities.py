"""Figures as people read them: three significant digits, and a unit that keeps the number short."""

from collections.abc import Mapping, Sequence
from math import inf, isnan
from typing import Literal

Unit = Literal["s", "share", "bytes", "count", "ratio"]
"""Seconds, a fraction of 1, bytes, a number of things, a quotient."""

_SCALES: Mapping[Literal["s", "bytes"], Sequence[tuple[float, str]]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
}
"""For each unit with several names the names, the largest first, each with what one of it is."""

_MOST_DIGITS = 9


def quantity(value: float, unit: Unit, digits: int = 3) -> str:
    """A figure in words: `73.5 ms`, `67.1 MB`, `99.5%`, `1,366`.

    Args:
        value: the figure, in its unit.
        unit: its unit.
        digits: significant digits; digits before the decimal point are never cut.
    """
    if isnan(value):
        return "none"
    if value == inf:
        return "never" if unit == "s" else "unlimited"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "ratio":
        return _rounded(value, digits)
    if unit == "share":
        return f"{_percent(value, digits)}%"
    scales = _SCALES[unit]
    smallest = scales[-1 if unit == "bytes" or value else 0]
    scale, name = next((one for one in scales if abs(_round(value, digits)) >= one[0]), smallest)
    return f"{_rounded(value / scale, digits)} {name}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number of things: `1 user`, `2,000 users`; the plural is the noun with an s if it is not given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def compared(value: float, unit: Unit, better: Literal["lower", "higher", "neither"], bound: float) -> str:
    """A figure beside its bound, as `73.5 ms <= 100 ms`, with as many digits as tell the two apart."""
    if isnan(value):
        return f"none, of {quantity(bound, unit)}"
    sign, broken = (">=", "<") if better == "higher" else ("<=", ">")
    keeps = value >= bound if better == "higher" else value <= bound
    for digits in range(3, _MOST_DIGITS + 1):
        words, allowed = quantity(value, unit, digits), quantity(bound, unit)
        if keeps or words != allowed:
            break
    return f"{words} {sign if keeps else broken} {allowed}"


def _percent(share: float, digits: int) -> str:
    """The share in percent; one that is nearly all is not said to be all."""
    text = _rounded(share * 100, digits)
    return text if text != "100" or share >= 1 or digits == _MOST_DIGITS else _percent(share, digits + 1)


def _round(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _rounded(value: float, digits: int) -> str:
    """The number with so many significant digits, without needless zeros."""
    number = _round(value, digits) if abs(value) < 10**digits else float(round(value))
    text = f"{number:,.{max(0, digits + 2)}f}"
    return text.rstrip("0").rstrip(".")

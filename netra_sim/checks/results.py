"""The results of checks: findings, figures and states."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, SupportsFloat

import msgspec

from netra_sim.quantities import Unit, compared, quantity

FINDINGS_SHOWN = 50
"""The most findings that the result of one check keeps; `Observation.found` counts all of them."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and its place in the history.

    Attributes:
        message: what is wrong, in a sentence.
        user: the user it concerns, or "".
        run: the run, or "".
        event: the type of the event, or "".
        seq: the sequence number of the event in its run, or -1.
        time: in seconds since the history's beginning; None if unknown.
        row: the row of the history, counted from 0, or -1.
    """

    message: str
    user: str = ""
    run: str = ""
    event: str = ""
    seq: int = -1
    time: float | None = None
    row: int = -1


class Measurement(msgspec.Struct, frozen=True):
    """A figure that a check has measured.

    Attributes:
        value: the figure, in its unit.
        unit: "s" for seconds, "share" for a fraction of 1, "bytes", "count" for a number of things, "ratio" for a quotient.
        better: which value is better, the lower or the higher; "neither" if the figure only describes what was examined.
        bound: the objective, or another bound, that it was compared with, in the same unit; None without one. The figure may
            be equal to it.
    """

    value: float
    unit: Unit
    better: Literal["lower", "higher", "neither"] = "neither"
    bound: float | None = None

    @property
    def is_judged(self) -> bool:
        """Whether it says how good something is, and not only how much was examined."""
        return self.better != "neither" or self.bound is not None or self.unit == "s"

    def __str__(self) -> str:
        """The figure with its unit, beside its bound if it has one, such as `73.5 ms <= 100 ms`."""
        if self.bound is None:
            return quantity(self.value, self.unit)
        return compared(self.value, self.unit, self.better, self.bound)


def counted(number: SupportsFloat) -> Measurement:
    """A count of what was examined, of which neither the lower nor the higher is better."""
    return Measurement(float(number), "count")


State = Literal["passed", "failed", "not applicable", "inconclusive"]


class Observation(NamedTuple):
    """What a check function returns; a `CheckResult` adds the description of the check.

    Attributes:
        looked_at: how many things it examined; a check that examined nothing has not passed.
        found: how many findings there are.
        findings: the first findings, at most `FINDINGS_SHOWN`.
        measured: figures, by name.
        inconclusive: why the evidence allows no conclusion, such as too few connections for a quantile; "" if it does.
    """

    looked_at: int
    found: int = 0
    findings: tuple[Finding, ...] = ()
    measured: Mapping[str, Measurement] = {}
    inconclusive: str = ""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check.

    Attributes:
        check: its name.
        question: what it asks.
        looked_at: how many things it examined; a check that examined nothing has not passed.
        unit: what those things are.
        found: how many findings there are.
        findings: the first findings, at most `FINDINGS_SHOWN`.
        measured: figures, by name.
        minimum: the least evidence that it needs to pass, in words; "" if one examined thing is enough.
        inconclusive: why the evidence allows no conclusion, such as too few connections for a quantile; "" if it does.
    """

    check: str
    question: str
    looked_at: Annotated[int, msgspec.Meta(ge=0)]
    unit: str
    found: Annotated[int, msgspec.Meta(ge=0)] = 0
    findings: tuple[Finding, ...] = ()
    measured: dict[str, Measurement] = {}
    minimum: str = ""
    inconclusive: str = ""

    @property
    def state(self) -> State:
        """The outcome: "failed" with any finding; without one, "not applicable" if nothing was examined."""
        if self.found:
            return "failed"
        if not self.looked_at:
            return "not applicable"
        return "inconclusive" if self.inconclusive else "passed"

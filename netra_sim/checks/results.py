"""The results of checks: findings, figures and states."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, SupportsFloat

import msgspec

FINDINGS_SHOWN = 50
"""The most findings of one check that are kept; all are counted."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and its place in the history.

    Attributes:
        message: what is wrong, in a sentence.
        user: the user it concerns, or "".
        run: the run, or "".
        event: the type of the event, or "".
        seq: the event's number, or -1.
        time: in seconds since the history's beginning; None if unknown.
        row: the number of the history's row, or -1.
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
        better: the direction of an improvement; "neither" for a figure that only describes what was examined.
    """

    value: float
    unit: Literal["s", "share", "bytes", "count", "ratio"]
    better: Literal["lower", "higher", "neither"] = "neither"


def counted(number: SupportsFloat) -> Measurement:
    """A number of things that only describes what was examined."""
    return Measurement(float(number), "count")


State = Literal["passed", "failed", "not applicable", "inconclusive"]


class Observation(NamedTuple):
    """What the function of a check returns.

    Attributes:
        looked_at: how many things it examined; a check that examined nothing has not passed.
        found: how many findings there are.
        findings: the first of them, at most `FINDINGS_SHOWN`.
        measured: figures, by name.
        inconclusive: why the evidence proves nothing, such as too few connections for a quantile; "" if it suffices.
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
        findings: the first of them, at most `FINDINGS_SHOWN`.
        measured: figures, by name.
        minimum: the least evidence from which it concludes anything, in words; "" if one thing to examine is enough.
        inconclusive: why the evidence proves nothing, such as too few connections for a quantile; "" if it suffices.
    """

    check: str
    question: str
    looked_at: int
    unit: str
    found: int = 0
    findings: tuple[Finding, ...] = ()
    measured: dict[str, Measurement] = {}
    minimum: str = ""
    inconclusive: str = ""

    @property
    def state(self) -> State:
        """The outcome: any finding fails. Without one, a check that examined nothing is "not applicable"."""
        if self.found:
            return "failed"
        if not self.looked_at:
            return "not applicable"
        return "inconclusive" if self.inconclusive else "passed"

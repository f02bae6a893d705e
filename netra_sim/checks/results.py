"""What a check finds."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, SupportsFloat

import msgspec

FINDINGS_SHOWN = 50
"""Findings of one check that are kept in full; all are counted."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, with where to look for it in the history.

    Attributes:
        message: what is wrong, in a sentence.
        user: whom it happened to.
        run: in which run, or "".
        event: at which event, or "".
        seq: the event's number, or -1.
        time: when, in seconds; None if it did not happen when it should have.
        row: the number of the history's row that tells of it, or -1.
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
        unit: "s" for seconds, "share" for a part of 1, "bytes", "count" for numbers of things, "ratio" for a quotient.
        better: which direction is an improvement; "neither" for a figure that describes the size of what was looked at.
    """

    value: float
    unit: Literal["s", "share", "bytes", "count", "ratio"]
    better: Literal["lower", "higher", "neither"] = "neither"


def counted(number: SupportsFloat) -> Measurement:
    """A number of things that describes what was looked at."""
    return Measurement(float(number), "count")


State = Literal["passed", "failed", "not applicable", "inconclusive"]


class Observation(NamedTuple):
    """What a check has seen in a history.

    Attributes:
        looked_at: how many things it has examined; a check that examined nothing has not passed.
        found: how many findings there are.
        findings: the first of them, `FINDINGS_SHOWN` at most.
        measured: figures, by name.
        inconclusive: why what was looked at proves nothing, such as too few connections for a quantile; "" if it does.
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
        looked_at: how many things it has examined; a check that examined nothing has not passed.
        unit: what those things are.
        found: how many findings there are.
        findings: the first of them, `FINDINGS_SHOWN` at most.
        measured: figures, by name.
        minimum: the least evidence from which it concludes anything, in words; "" where one thing to look at is enough.
        inconclusive: why what was looked at proves nothing, such as too few connections for a quantile; "" if it does.
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
        """The outcome: a check that had nothing to look at is "not applicable", and has not passed.

        A finding always counts; without one, evidence that proves nothing is "inconclusive".
        """
        if self.found:
            return "failed"
        if not self.looked_at:
            return "not applicable"
        return "inconclusive" if self.inconclusive else "passed"

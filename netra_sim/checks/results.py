"""What a check finds."""

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


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check.

    Attributes:
        check: its name.
        question: what it asks.
        looked_at: how many things it has examined; a check that examined nothing has not passed.
        unit: what those things are.
        found: how many findings there are.
        findings: the first of them, `FINDINGS_SHOWN` at most.
        measured: figures, by name; seconds, shares or counts.
    """

    check: str
    question: str
    looked_at: int
    unit: str
    found: int = 0
    findings: tuple[Finding, ...] = ()
    measured: dict[str, float] = {}

    @property
    def state(self) -> str:
        """Whether it "passed", "failed", or had nothing to look at: "not applicable"."""
        if self.found:
            return "failed"
        return "passed" if self.looked_at else "not applicable"

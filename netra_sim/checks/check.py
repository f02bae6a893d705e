"""What a check is: its name, its question, its unit, and the function that looks at a history."""

from collections.abc import Callable

import msgspec

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Observation
from netra_sim.history import Objectives

Observe = Callable[[Records, Objectives], Observation]
"""Looks at a history's records, and holds them against objectives where the check has some."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check; called with records and objectives it gives its result.

    Attributes:
        name: as results, scenarios and claims spell it.
        question: what it asks of a history; "yes" is what it hopes for.
        unit: what it looks at.
        observe: does the looking.
        minimum: the least evidence from which it concludes anything, in words; "" where one thing to look at is enough.
    """

    name: str
    question: str
    unit: str
    observe: Observe
    minimum: str = ""

    def __call__(self, records: Records, objectives: Objectives) -> CheckResult:
        """The result over a history."""
        seen = self.observe(records, objectives)
        return CheckResult(
            check=self.name,
            question=self.question,
            looked_at=seen.looked_at,
            unit=self.unit,
            found=seen.found,
            findings=seen.findings,
            measured=dict(seen.measured),
            minimum=self.minimum,
            inconclusive=seen.inconclusive,
        )


def define(name: str, *, question: str, unit: str, minimum: str = "") -> Callable[[Observe], Check]:
    """Make a check of the decorated function; the arguments are those of `Check`."""

    def make(observe: Observe) -> Check:
        return Check(name=name, question=question, unit=unit, observe=observe, minimum=minimum)

    return make

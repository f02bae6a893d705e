"""`Check`: a name, a question, a unit, and the function that examines a history."""

from collections.abc import Callable

import msgspec

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Observation
from netra_sim.history import Objectives

Observe = Callable[[Records, Objectives], Observation]
"""Examines the records of a history; checks of objectives compare them with these."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check. Called with records and objectives, it returns its result.

    Attributes:
        name: as results, scenarios and claims spell it.
        question: what it asks about a history; "yes" is the good answer.
        unit: the things that it examines, in the plural.
        observe: the function that examines a history.
        minimum: the least evidence from which it concludes anything, in words; "" if one thing to examine is enough.
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
    """Make a check of the decorated function; the arguments are those of `Check`, and its docstring specifies the rule."""

    def make(observe: Observe) -> Check:
        return Check(name=name, question=question, unit=unit, observe=observe, minimum=minimum)

    return make

"""`Check`: a name, a question, a unit, and the function that examines a history."""

import os
import reprlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Observation
from netra_sim.exceptions import NetraSimError
from netra_sim.history import Objectives
from netra_sim.type_words import in_everyday_words

Observe = Callable[[Records, Objectives], Observation]
"""Examines the records of a history; checks of objectives compare them with these."""


class CheckError(NetraSimError, RuntimeError):
    """Checks broke: each raised an error, or returned what is no observation.

    Attributes:
        broken: the reason for each check that broke, by its name.
        results: of the checks that did not break.
    """

    def __init__(self, broken: Mapping[str, str], results: Sequence[CheckResult] = ()) -> None:
        super().__init__(broken, results)
        self.broken = broken
        self.results = results

    def __str__(self) -> str:
        return "; ".join(f"the check {name} {reason}" for name, reason in self.broken.items())


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
        """The result over a history.

        Raises:
            CheckError: the function raises an error, or returns what is no observation.
        """
        try:
            seen = self.observe(records, objectives)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(line.filename)}:{line.lineno}"
            said = " ".join("".join(traceback.format_exception_only(error)).split())  # also if str(error) raises
            raise CheckError({self.name: f"raised {said} ({place})"}) from error
        if not isinstance(seen, Observation):
            raise CheckError({self.name: f"returned {reprlib.repr(seen)}; it returns an Observation"})
        try:
            result = self._result(seen)
        except (TypeError, ValueError) as error:
            reason, _, path = str(error).partition(" - at `$.")
            what = path.rstrip("`") or "Observation"
            raise CheckError({self.name: f"returned a wrong {what}: {in_everyday_words(reason)}"}) from error
        if result.found < len(result.findings):
            reason = (
                f"returned found={result.found} beside {len(result.findings)} in findings; found counts all of them"
            )
            raise CheckError({self.name: reason})
        return result

    def _result(self, seen: Observation) -> CheckResult:
        result = CheckResult(
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
        return msgspec.convert(msgspec.to_builtins(result, enc_hook=_of_numpy), CheckResult)  # refuses wrong values


def _of_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Expected a plain value, got {value!r}")


def define(name: str, *, question: str, unit: str, minimum: str = "") -> Callable[[Observe], Check]:
    """Make a check of the decorated function; the arguments are those of `Check`, and its docstring specifies the rule."""

    def make(observe: Observe) -> Check:
        return Check(name=name, question=question, unit=unit, observe=observe, minimum=minimum)

    return make

"""`Case`: one thing that passed, failed or was not judged, as every format for other programs tells it."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from netra_sim.checks import CheckResult, Finding


CaseOutcome = Literal["passed", "failure", "error", "skipped"]
"""What became of a case, in the words of JUnit."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was judged.

    Attributes:
        group: what it belongs to, such as a scenario.
        name: what was judged, such as a check.
        outcome: "failure" if it failed, "error" if it could not be judged although it should have been, "skipped" if there
            was nothing to judge.
        message: why it did not pass, in a sentence.
        text: details, a line each.
        file: the file in which the reason stands, or "".
        line: the line of the file, from 1; 0 if it is not known.
        seconds: how long it took.
    """

    group: str
    name: str
    outcome: CaseOutcome = "passed"
    message: str = ""
    text: str = ""
    file: str = ""
    line: int = 0
    seconds: float = 0.0


def check_case(group: str, result: "CheckResult", file: str = "", lines: Sequence[int] = ()) -> Case:
    """The result of a check.

    Args:
        group: what was checked.
        result: of the check.
        file: the log that was checked, if it is one.
        lines: the line of each row of that log.
    """
    case = Case(group=group, name=result.check)
    replace = msgspec.structs.replace
    match result.state:
        case "failed":
            found = [in_a_line(finding) for finding in result.findings]
            more = [f"and {result.found - len(found):,} more"] if result.found > len(found) else []
            message = f"{result.question} {result.found:,} found"
            rows = [finding.row for finding in result.findings if finding.row >= 0] if lines else []
            line = lines[rows[0]] if rows else 0
            return replace(case, outcome="failure", message=message, text="\n".join(found + more), file=file, line=line)
        case "not applicable":
            return replace(case, outcome="skipped", message=result.inconclusive or "nothing was looked at")
        case "inconclusive":
            return replace(case, outcome="skipped", message=f"not judged: {result.inconclusive}")
        case "passed":
            return case


def defect_case(defect: str, caught: Collection[str]) -> Case:
    """Whether a seeded defect was caught.

    Args:
        defect: its name.
        caught: the checks that caught it.
    """
    case = Case(group="defects", name=defect)
    return case if caught else msgspec.structs.replace(case, outcome="failure", message="no check caught this defect")


def in_a_line(finding: "Finding") -> str:
    """A finding with its place, in one line."""
    where = [finding.user, finding.run, finding.event]
    where += [f"at {finding.time:.3f} s"] if finding.time is not None else []
    place = ", ".join(part for part in where if part)
    return f"{finding.message} ({place})" if place else finding.message

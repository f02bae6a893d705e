"""What an audit says: findings, and how much each rule has looked at."""

import msgspec

from netra_sim.audit.rules import RULES
from netra_sim.checks import CheckResult, Finding
from netra_sim.checks.results import FINDINGS_SHOWN, counted


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that is wrong, with its place.

    Attributes:
        file: as it was found, with ``/``.
        line: counted from 1.
        column: in characters, counted from 1.
        rule: the rule's id.
        name: the rule's name.
        symbol: the function, class or name that it is about, with its module in front.
        message: what is wrong, why that matters, and what to do.
    """

    file: str
    line: int
    column: int
    rule: str
    name: str
    symbol: str
    message: str


class RuleCount(msgspec.Struct, frozen=True, kw_only=True):
    """How much a rule has looked at.

    Attributes:
        rule: its id.
        looked_at: how many places of its kind the tree has.
        unit: what those are.
        found: how many of them are findings.
        allowed: how many more are allowed by the configuration.
    """

    rule: str
    looked_at: int
    unit: str
    found: int
    allowed: int = 0


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit; equal trees with equal configurations have equal ones.

    Attributes:
        findings: in order of file and line.
        files: how many were read.
        lines: how many they have.
        functions: how many functions and methods.
        counts: of each rule.
    """

    findings: tuple[AuditFinding, ...]
    files: int
    lines: int
    functions: int
    counts: tuple[RuleCount, ...]


def as_results(report: AuditReport) -> list[CheckResult]:
    """Each rule as a check, so that claims can rest on it; a rule that had nothing to look at has not passed.

    Files that could not be read, and allowances that allow nothing, count against every rule: no rule has seen the
    whole tree then.
    """
    own = {rule.id for rule in RULES.values()}
    at_large = [finding for finding in report.findings if finding.rule not in own]
    results = []
    for rule, count in zip(RULES.values(), report.counts, strict=True):
        findings = [*at_large, *(finding for finding in report.findings if finding.rule == rule.id)]
        shown = tuple(Finding(message=f"{one.file}:{one.line}: {one.message}") for one in findings[:FINDINGS_SHOWN])
        results.append(
            CheckResult(
                check=rule.name,
                question=rule.question,
                looked_at=count.looked_at,
                unit=rule.unit,
                found=len(findings),
                findings=shown,
                measured={"allowed": counted(count.allowed)},
            )
        )
    return results

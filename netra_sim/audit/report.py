"""The report of an audit: its findings, and how much each rule has looked at."""

import msgspec

from netra_sim.audit.rules import RULES
from netra_sim.checks import CheckResult, Finding
from netra_sim.checks.results import FINDINGS_SHOWN, counted


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One problem, with its position.

    Attributes:
        file: path of the file as the audit found it, with ``/``.
        line: counted from 1.
        column: in characters, counted from 1.
        rule: the rule's id.
        name: the rule's name.
        symbol: the function, class or name with the problem, with its module in front.
        message: what is wrong, why that matters, and how to mend it.
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
        rule: the id of the rule.
        looked_at: the number of locations that the rule is about.
        unit: what it looks at, in the plural.
        found: the number of findings.
        allowed: the number of further findings that the configuration allows.
    """

    rule: str
    looked_at: int
    unit: str
    found: int
    allowed: int = 0


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit; equal trees with equal configurations have equal reports.

    Attributes:
        findings: in order of file and line.
        files: number of files, unreadable ones included.
        lines: number of lines in these files.
        functions: number of functions, methods and lambdas.
        counts: one for each rule.
    """

    findings: tuple[AuditFinding, ...]
    files: int
    lines: int
    functions: int
    counts: tuple[RuleCount, ...]


def as_results(report: AuditReport) -> list[CheckResult]:
    """Each rule as a check, so that claims can rest on it; a rule without a location to look at has not passed.

    Unreadable files and stale allowances count against every rule, because then no rule has seen the whole tree.
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

"""An audit's report as text, JSON, SARIF 2.1.0, or annotations for GitHub."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from netra_sim.audit.report import AuditReport
from netra_sim.audit.rules import NOTICES, RULES
from netra_sim.formats import SarifResult, SarifRule, annotation, sarif
from netra_sim.quantities import counted


def as_text(report: AuditReport) -> str:
    """A line for each finding and for each rule."""
    lines = [
        f"{one.file}:{one.line}:{one.column}: {one.rule} {one.name}: {one.message}{f' [{one.symbol}]' if one.symbol else ''}"
        for one in report.findings
    ]
    names = {rule.id: rule.name for rule in RULES.values()}
    lines += [
        f"{f'{one.found} found' if one.found else 'clean':>12}  {one.rule} {names[one.rule]}: {one.looked_at:,} {one.unit}"
        + (f", {one.allowed} allowed" if one.allowed else "")
        for one in report.counts
    ]
    total = len(report.findings)
    findings = counted(total, "finding") if total else "no finding"
    read = {"file": report.files, "line": report.lines, "function": report.functions}
    lines.append(f"{findings} in {', '.join(counted(count, noun) for noun, count in read.items())}")
    return "\n".join(lines) + "\n"


def as_json(report: AuditReport) -> str:
    """The fields of the report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def as_sarif(report: AuditReport, occasion: str = "") -> str:
    """SARIF for code scanning: the rules, and the findings as results.

    Args:
        report: the report of an audit.
        occasion: a sentence that viewers show with the run, such as what started the audit.
    """
    return sarif(sarif_rules(), sarif_results(report), occasion=occasion)


def sarif_rules() -> list[SarifRule]:
    """All rules as SARIF has them."""
    rules = (*NOTICES, *RULES.values())
    return [SarifRule(id=one.id, name=one.name, question=one.question, why=one.why, fix=one.fix) for one in rules]


def sarif_results(report: AuditReport, level: Literal["error", "warning"] = "error") -> list[SarifResult]:
    """The findings as SARIF has them."""
    return [
        SarifResult(
            rule=one.rule,
            message=one.message,
            file=one.file,
            line=one.line,
            column=one.column,
            symbol=one.symbol,
            level=level,
        )
        for one in report.findings
    ]


def as_annotations(report: AuditReport) -> str:
    """Workflow commands; GitHub shows each one at its line."""
    return "".join(
        annotation("error", one.message, file=one.file, line=one.line, col=one.column, title=f"{one.rule} {one.name}")
        for one in report.findings
    )


FORMATS: Mapping[str, Callable[[AuditReport], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_annotations,
}
"""The formats of a report, by name."""


def describe_rules() -> str:
    """The text that lists all rules: their question, reason and fix."""
    lines: list[str] = []
    for rule in (*NOTICES, *RULES.values()):
        lines.append(f"{rule.id} {rule.name}: {rule.question}")
        lines += textwrap.wrap(f"{rule.why} {rule.fix}", 110, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"

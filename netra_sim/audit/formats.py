"""An audit's report as text, JSON, SARIF 2.1.0, or annotations for GitHub."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from netra_sim.audit.report import AuditReport
from netra_sim.audit.rules import NOTICES, RULES
from netra_sim.formats.github import annotation
from netra_sim.version import __version__

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


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
    findings = "no finding" if not total else "1 finding" if total == 1 else f"{total:,} findings"
    read = {"file": report.files, "line": report.lines, "function": report.functions}
    counted = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in read.items())
    lines.append(f"{findings} in {counted}")
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
    rules = (*NOTICES, *RULES.values())
    index = {rule.id: number for number, rule in enumerate(rules)}
    described = [
        {
            "id": rule.id,
            "name": rule.name,
            "shortDescription": {"text": rule.question},
            "fullDescription": {"text": rule.why},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": "error"},
        }
        for rule in rules
    ]
    results: list[dict[str, Any]] = [
        {
            "ruleId": one.rule,
            "ruleIndex": index[one.rule],
            "level": "error",
            "message": {"text": one.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(one.file)},
                        "region": {"startLine": one.line, "startColumn": one.column},
                    },
                    "logicalLocations": [{"fullyQualifiedName": one.symbol}],
                }
            ],
        }
        for one in report.findings
    ]
    driver = {"name": "netra-sim", "semanticVersion": __version__, "rules": described}
    run: dict[str, Any] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if occasion:
        run["automationDetails"] = {"description": {"text": occasion}}
    document = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


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

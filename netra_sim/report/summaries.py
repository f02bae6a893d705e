"""The verdict for other programs: Markdown for a pull request, JUnit XML, SARIF."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as Xml

from netra_sim.report.claims import CLAIMS, State
from netra_sim.report.notebooks import NotebookRun
from netra_sim.report.tables import SCORE_DEFINITION

LINES_SHOWN = 20
"""Reasons, changes and regressions that the summary lists; beyond, it counts them."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~]|^[-+])")


def markdown(
    verdict: Mapping[str, Any],
    *,
    decision: str,
    reasons: Sequence[str],
    since_base: Sequence[str] | None = None,
    worse_than_base: Sequence[str] = (),
) -> str:
    """The summary for a pull request.

    Args:
        verdict: the contents of ``verdict.json``; empty if there is none.
        decision: of the whole report.
        reasons: why it is not GO.
        since_base: what is different from the base's verdict; None if there was none to compare with.
        worse_than_base: what of it is worse.
    """
    claims = verdict.get("claims", [])
    parts = [f"# Validation: {_plain(decision)}", _plain(f"{counted(claims)}.") if claims else ""]
    parts += _listed("Why", reasons)
    parts += _listed("Worse than the base", worse_than_base)
    if since_base is not None:
        parts += _listed("Changed since the base", since_base)
    parts += _listed("Worse than the last run in this folder", verdict.get("regressions", []))
    parts += _listed("Changed since the last run in this folder", verdict.get("changes", []))
    parts += _listed("What is not proven, and why", not_proven(claims))
    if claims:
        parts += ["## Claims of the plan", _claims_by_heading(claims), "## Scores"]
        parts += ["\n".join(f"- {_plain(name)}: {score:.1f} of 10" for name, score in verdict["scores"].items())]
        parts += [SCORE_DEFINITION]
    return "\n\n".join(part for part in parts if part) + "\n"


def counted(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many claims are in which state, in words."""
    states = Counter(claim["state"] for claim in claims)
    told = [f"{states[state]:,} {state}" for state in (State.REFUTED, State.UNPROVEN, State.GIVEN)]
    return f"{states[State.PROVEN]:,} of {len(claims):,} claims of the plan are proven; {', '.join(told)}"


def not_proven(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the verdict does not vouch for, and why; a given figure is named once, however many claims name it."""
    unproven = [claim for claim in claims if claim["state"] == State.UNPROVEN]
    given = {claim["evidence"]: claim for claim in reversed(claims) if claim["state"] == State.GIVEN}
    return [f"{claim['claim']}. {claim['evidence']}" for claim in (*unproven, *given.values())]


def by_heading(claims: Sequence[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """For each heading of the plan how many of its claims are in which state."""
    headings: dict[str, Counter[str]] = {}
    for claim in claims:
        headings.setdefault(claim["heading"], Counter())[claim["state"]] += 1
    return headings


def junit(verdict: Mapping[str, Any], runs: Sequence[NotebookRun]) -> str:
    """JUnit XML: a test case for each notebook, each claim, each check of each source and each violation."""
    root = Xml.Element("testsuites", name="netra_sim")
    _suite(root, "notebooks", (_notebook_case(run) for run in runs))
    _suite(root, "claims", (_claim_case(claim) for claim in verdict.get("claims", [])))
    for source, results in verdict.get("evidence", {}).items():
        _suite(root, source, (_check_case(source, result) for result in results))
    _suite(root, "violations", (_violation_case(*row) for row in verdict.get("caught", {}).items()))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _listed(heading: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"- and {len(lines) - LINES_SHOWN:,} more"] if len(lines) > LINES_SHOWN else []
    return [f"## {heading}", "\n".join([f"- {_plain(line)}" for line in lines[:LINES_SHOWN]] + more)]


def _claims_by_heading(claims: Sequence[Mapping[str, Any]]) -> str:
    rows = ["| The plan's heading | " + " | ".join(State) + " |", "| --- |" + " ---: |" * len(State)]
    for heading, states in by_heading(claims).items():
        rows.append(f"| {_plain(heading)} | " + " | ".join(f"{states[state]:,}" for state in State) + " |")
    return "\n".join(rows)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, nobody mentioned and no issue referred to."""
    one_line = " ".join(text.split())
    quoted = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(@|\\#)(?=\w)", "\\1\u200b", _MARKDOWN.sub(r"\\\1", quoted))


def _suite(root: Xml.Element, name: str, cases: Iterator[Xml.Element]) -> None:
    own = list(cases)
    if not own:
        return
    suite = Xml.SubElement(root, "testsuite", name=_xml(name), tests=str(len(own)))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(kind) is not None for case in own)))
    suite.extend(own)


def _case(group: str, name: str, seconds: float = 0.0) -> Xml.Element:
    return Xml.Element("testcase", classname=_xml(group), name=_xml(name), time=f"{seconds:.3f}")


def _outcome(case: Xml.Element, kind: str, message: str, text: str = "") -> Xml.Element:
    Xml.SubElement(case, kind, message=_xml(message)).text = _xml(text) or None
    return case


def _notebook_case(run: NotebookRun) -> Xml.Element:
    case = _case("notebooks", run.task.notebook.name, run.seconds)
    return _outcome(case, "error", run.problem) if run.problem else case


def _claim_case(claim: Mapping[str, Any]) -> Xml.Element:
    case = _case(claim["heading"], claim["claim"])
    if claim["state"] == State.REFUTED:
        return _outcome(case, "failure", "refuted", claim["evidence"])
    if claim["state"] == State.UNPROVEN:
        # What cannot be proven here, on no fault of the code's, is left out, and not held against it.
        return _outcome(case, "failure" if _can_be_proven(claim) else "skipped", f"unproven: {claim['evidence']}")
    return _outcome(case, "skipped", claim["evidence"]) if claim["state"] == State.GIVEN else case


def _can_be_proven(claim: Mapping[str, Any]) -> bool:
    return any(
        (one.heading, one.says) == (claim["heading"], claim["claim"]) and one.can_be_proven_here for one in CLAIMS
    )


def _check_case(source: str, result: Mapping[str, Any]) -> Xml.Element:
    case = _case(source, result["check"])
    if result["state"] == "failed":
        found = [told(finding) for finding in result["findings"]]
        more = [f"and {result['found'] - len(found):,} more"] if result["found"] > len(found) else []
        message = f"{result['question']} {result['found']:,} found"
        return _outcome(case, "failure", message, "\n".join(found + more))
    if result["state"] == "not applicable":
        return _outcome(case, "skipped", "nothing was looked at")
    return case


def told(finding: Mapping[str, Any]) -> str:
    """A finding in a line, with where to look for it."""
    where = [finding.get("user") or "", finding.get("run") or "", finding.get("event") or ""]
    if finding.get("time") is not None:
        where.append(f"at {finding['time']:.3f} s")
    place = ", ".join(part for part in where if part)
    return f"{finding['message']} ({place})" if place else str(finding["message"])


def _violation_case(violation: str, caught: Mapping[str, int]) -> Xml.Element:
    case = _case("violations", violation)
    return case if caught else _outcome(case, "failure", "no check caught this violation")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

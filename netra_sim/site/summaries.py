"""The outcome of a report for other programs: Markdown for a pull request, and JUnit XML."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as Xml

from netra_sim.checks import CheckResult, Finding
from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.studies.objectives import ObjectiveResult
from netra_sim.verdict.claim_tables import SCORE_DEFINITION, claim_anchor
from netra_sim.verdict.claims import JudgedClaim, State
from netra_sim.verdict.verdict import Verdict

LINES_SHOWN = 20
"""The most lines of each list in the Markdown summary; it gives the number of the others."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 does not allow."""

_MARKDOWN = re.compile(r"([\\`*_\[\]#|~]|^[-+])")
"""A character that Markdown reads as markup, or a sign that begins a list."""


def markdown(outcome: Outcome) -> str:
    """The outcome of a report as Markdown for a pull request."""
    verdict = outcome.verdict
    claims = verdict.claims if verdict else []
    parts = [f"# Validation: {plain(outcome.title)}", f"**{plain(outcome.headline)}**"]
    parts += [plain(f"{counted(claims)}.")] if claims else []
    parts += [plain(f"About {about(verdict)}.")] if verdict else []
    parts += listed(
        "Refuted", [f"{claim.says}: {claim.why} (validation.html#{claim.anchor})" for claim in refuted(claims)]
    )
    parts += listed("Why", outcome.reasons)
    parts += listed("Given objectives", outcome.objectives)
    parts += listed("Worse than the base", outcome.worse_than_base)
    if outcome.since_base is not None:
        parts += listed("Changed since the base", outcome.since_base)
    if verdict:
        parts += listed("Worse than the last run in this folder", verdict.regressions)
        parts += listed("Changed since the last run in this folder", verdict.changes)
        parts += listed("What is not proven, and why", not_proven(claims))
        parts += ["## Claims of the plan", _claims_by_heading(claims), "## Scores"]
        parts += ["\n".join(f"- {plain(name)}: {score:.1f} of 10" for name, score in verdict.scores.items())]
        parts += [SCORE_DEFINITION]
    return "\n\n".join(part for part in parts if part) + "\n"


def about(verdict: Verdict) -> str:
    """The version and the shortened digests of the judged code and data, in one line."""
    parts = ", ".join(f"{name} {getattr(verdict.about, name)[:12]}" for name in verdict.about.__struct_fields__)
    return f"netra_sim {verdict.version} {verdict.about.whole[:12]} ({parts})"


class Named(NamedTuple):
    """A refuted claim, as a summary names it.

    Attributes:
        says: the plan's words.
        why: the measured figures and the objective.
        anchor: the id of its evidence on the validation's page.
    """

    says: str
    why: str
    anchor: str


def refuted(claims: Sequence[JudgedClaim]) -> list[Named]:
    """The refuted claims: first those with checks of their own, then those about other claims."""
    found = [(bool(one.claim.all_of), number, one) for number, one in enumerate(claims) if one.state is State.REFUTED]
    return [
        Named(one.claim.says, one.evidence, claim_anchor(number))
        for _, number, one in sorted(found, key=lambda entry: entry[:2])
    ]


def counted(claims: Sequence[JudgedClaim]) -> str:
    """The number of claims in each state, in words."""
    states = Counter(one.state for one in claims)
    others = [f"{states[state]:,} {state}" for state in State if state is not State.PROVEN]
    return f"{states[State.PROVEN]:,} of {len(claims):,} claims of the plan are proven; {', '.join(others)}"


def not_proven(claims: Sequence[JudgedClaim]) -> list[str]:
    """The claims that are neither proven nor refuted, with the reason; for each given figure, only its first claim."""
    lacking = [one for one in claims if one.state in (State.UNPROVEN, State.NOT_ENOUGH)]
    given = {one.evidence: one for one in reversed(claims) if one.state is State.GIVEN}
    words = {State.NOT_ENOUGH: "Not enough evidence: "}
    return [f"{one.claim.says}. {words.get(one.state, '')}{one.evidence}" for one in (*lacking, *given.values())]


def by_heading(claims: Sequence[JudgedClaim]) -> dict[str, Counter[State]]:
    """For each heading of the plan, the number of its claims in each state."""
    headings: dict[str, Counter[State]] = {}
    for one in claims:
        headings.setdefault(one.claim.heading, Counter())[one.state] += 1
    return headings


def junit(outcome: Outcome) -> str:
    """JUnit XML: a test case for the verdict and for each notebook, objective, claim, check, self-proof and defect."""
    root = Xml.Element("testsuites", name="netra_sim")
    add_suite(root, "verdict", iter([_verdict_case(outcome)]))
    add_suite(root, "notebooks", (_notebook_case(run) for run in outcome.runs))
    add_suite(root, "objectives", (_objective_case(name, one) for name, one in outcome.results))
    if (verdict := outcome.verdict) is not None:
        add_suite(root, "claims", map(_claim_case, verdict.claims))
        for source, results in verdict.evidence.items():
            add_suite(root, source, (check_case(source, result) for result in results))
        add_suite(root, "self-proofs", (_seen_case(name, seen) for name, seen in verdict.seen.items()))
        add_suite(root, "defects", (_defect_case(name, list(caught)) for name, caught in verdict.caught.items()))
    return document(root)


def document(root: Xml.Element) -> str:
    """The text of an XML document."""
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def listed(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading with a list in Markdown; nothing without lines."""
    if not lines:
        return []
    more = [f"- and {len(lines) - LINES_SHOWN:,} more"] if len(lines) > LINES_SHOWN else []
    return [f"## {heading}", "\n".join([f"- {plain(line)}" for line in lines[:LINES_SHOWN]] + more)]


def _claims_by_heading(claims: Sequence[JudgedClaim]) -> str:
    rows = ["| The plan's heading | " + " | ".join(State) + " |", "| --- |" + " ---: |" * len(State)]
    for heading, states in by_heading(claims).items():
        rows.append(f"| {plain(heading)} | " + " | ".join(f"{states[state]:,}" for state in State) + " |")
    return "\n".join(rows)


def plain(text: str) -> str:
    """Put text on one line and escape it for GitHub: no markup, no HTML, no mention of a user and no link to an issue."""
    one_line = " ".join(text.split())
    quoted = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(@|\\#)(?=\w)", "\\1\u200b", _MARKDOWN.sub(r"\\\1", quoted))


def add_suite(root: Xml.Element, name: str, cases: Iterator[Xml.Element]) -> None:
    """Add a test suite with its counts; nothing without cases."""
    own = list(cases)
    if not own:
        return
    suite = Xml.SubElement(root, "testsuite", name=_xml(name), tests=str(len(own)))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(kind) is not None for case in own)))
    suite.extend(own)


def new_case(group: str, name: str, seconds: float = 0.0) -> Xml.Element:
    """A test case that passed."""
    return Xml.Element("testcase", classname=_xml(group), name=_xml(name), time=f"{seconds:.3f}")


def with_outcome(case: Xml.Element, kind: str, message: str, text: str = "") -> Xml.Element:
    """The test case with an outcome: "failure", "error" or "skipped"."""
    Xml.SubElement(case, kind, message=_xml(message)).text = _xml(text) or None
    return case


def _verdict_case(outcome: Outcome) -> Xml.Element:
    case = new_case("verdict", outcome.headline)
    kinds = {"GO": "", "OBJECTIVES MET": "", "NO-GO": "failure", "UNDECIDED": "failure"}
    kind = kinds.get(outcome.decision, "error")
    return with_outcome(case, kind, outcome.headline, "\n".join(outcome.reasons)) if kind else case


def _notebook_case(run: NotebookRun) -> Xml.Element:
    case = new_case("notebooks", run.task.notebook.name, run.seconds)
    return with_outcome(case, "error", run.problem) if run.problem else case


def _objective_case(notebook: str, one: ObjectiveResult) -> Xml.Element:
    case = new_case(f"objectives of {notebook}", f"{one.parameter}: {one.where}")
    kinds = {"met": "", "missed": "failure", "not judged": "error"}
    return with_outcome(case, kinds[one.state], one.measured) if kinds[one.state] else case


def _claim_case(one: JudgedClaim) -> Xml.Element:
    case = new_case(one.claim.heading, one.claim.says)
    match one.state:
        case State.REFUTED:
            return with_outcome(case, "failure", "refuted", one.evidence)
        case State.UNPROVEN | State.NOT_ENOUGH:
            # Without checks of its own, a claim that is not proven is skipped: no code failed.
            kind = "failure" if one.claim.proof else "skipped"
            return with_outcome(case, kind, f"{one.state}: {one.evidence}")
        case State.GIVEN:
            return with_outcome(case, "skipped", one.evidence)
        case State.PROVEN:
            return case


def check_case(source: str, result: CheckResult) -> Xml.Element:
    """A test case for the result of a check."""
    case = new_case(source, result.check)
    match result.state:
        case "failed":
            found = [in_a_line(finding) for finding in result.findings]
            more = [f"and {result.found - len(found):,} more"] if result.found > len(found) else []
            message = f"{result.question} {result.found:,} found"
            return with_outcome(case, "failure", message, "\n".join(found + more))
        case "not applicable":
            return with_outcome(case, "skipped", "nothing was looked at")
        case "inconclusive":
            return with_outcome(case, "skipped", f"not judged: {result.inconclusive}")
        case "passed":
            return case


def in_a_line(finding: Finding) -> str:
    """A finding with its place, in one line."""
    where = [finding.user, finding.run, finding.event]
    where += [f"at {finding.time:.3f} s"] if finding.time is not None else []
    place = ", ".join(part for part in where if part)
    return f"{finding.message} ({place})" if place else finding.message


def _seen_case(check: str, seen: Sequence[str]) -> Xml.Element:
    case = new_case("self-proofs", check)
    return case if seen else with_outcome(case, "failure", "this check was never seen to detect anything")


def _defect_case(defect: str, caught: Sequence[str]) -> Xml.Element:
    case = new_case("defects", defect)
    return case if caught else with_outcome(case, "failure", "no check caught this defect")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

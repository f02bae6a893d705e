"""The outcome of a report for other programs: Markdown for a pull request, and JUnit XML."""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from netra_sim.formats import Case, CaseOutcome, check_case, defect_case, junit
from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.site.opening import refutations
from netra_sim.studies.objectives import ObjectiveResult
from netra_sim.verdict.claim_tables import SCORE_DEFINITION
from netra_sim.verdict.claims import JudgedClaim, State
from netra_sim.verdict.verdict import Verdict

LINES_SHOWN = 20
"""The most lines of each list in the Markdown summary; it gives the number of the others."""

_MARKDOWN = re.compile(r"([\\`*_\[\]#|~]|^[-+])")
"""A character that Markdown reads as markup, or a sign that begins a list."""


def markdown(outcome: Outcome, made: str = "", run: str = "") -> str:
    """The outcome of a report as Markdown for a pull request.

    Args:
        outcome: the outcome.
        made: where the report was made, as Markdown; see `netra_sim.site.surroundings.made_here`.
        run: the address of the CI's run, where readers of a comment find the pages; "" outside a CI.
    """
    verdict = outcome.verdict
    claims = verdict.claims if verdict else []
    parts = [f"# Validation: {plain(outcome.title)}", f"**{plain(outcome.headline)}**", made]
    parts += [plain(f"{counted(claims)}.")] if claims else []
    parts += [plain(f"About {about(verdict)}.")] if verdict else []
    parts += _refuted(verdict, run) if verdict else []
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


def _refuted(verdict: Verdict, run: str) -> list[str]:
    """What failed in everyday words, with a link to the evidence of each claim that it refutes."""
    lines = []
    for one in refutations(verdict):
        claims = [f"[{plain(claim.says)}](validation.html#{claim.anchor})" for claim in one.claims]
        lines += [f"{claim}: {plain(one.cause)}" for claim in claims] or [plain(one.cause)]
    where = f"The links lead to pages of the report, which is among the files of [the run in CI]({run})."
    return [*_bullets("Refuted", lines), *([where] if lines and run else [])]


def about(verdict: Verdict) -> str:
    """The version and the shortened digests of the judged code and data, in one line."""
    parts = ", ".join(f"{name} {getattr(verdict.about, name)[:12]}" for name in verdict.about.__struct_fields__)
    return f"netra_sim {verdict.version} {verdict.about.whole[:12]} ({parts})"


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


def report_junit(outcome: Outcome) -> str:
    """JUnit XML: a test case for the verdict and for each notebook, objective, claim, check, self-proof and defect."""
    suites = {
        "verdict": [_verdict_case(outcome)],
        "notebooks": [_notebook_case(run) for run in outcome.runs],
        "objectives": [_objective_case(name, one) for name, one in outcome.results],
    }
    if (verdict := outcome.verdict) is not None:
        suites["claims"] = [_claim_case(one) for one in verdict.claims]
        for source, results in verdict.evidence.items():
            suites[source] = [check_case(source, result) for result in results]
        suites["self-proofs"] = [_seen_case(name, seen) for name, seen in verdict.seen.items()]
        suites["defects"] = [defect_case(name, list(caught)) for name, caught in verdict.caught.items()]
    return junit("netra_sim", suites)


def listed(heading: str, texts: Sequence[str]) -> list[str]:
    """A heading with a list in Markdown; nothing without texts."""
    return _bullets(heading, list(map(plain, texts)))


def _bullets(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading with a list of lines that are Markdown."""
    if not lines:
        return []
    more = [f"- and {len(lines) - LINES_SHOWN:,} more"] if len(lines) > LINES_SHOWN else []
    return [f"## {heading}", "\n".join([f"- {line}" for line in lines[:LINES_SHOWN]] + more)]


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


def _verdict_case(outcome: Outcome) -> Case:
    kinds: dict[str, CaseOutcome] = {
        "GO": "passed",
        "OBJECTIVES MET": "passed",
        "NO-GO": "failure",
        "UNDECIDED": "failure",
    }
    case = Case(group="verdict", name=outcome.headline, outcome=kinds.get(outcome.decision, "error"))
    return case if case.outcome == "passed" else _because(case, outcome.headline, "\n".join(outcome.reasons))


def _notebook_case(run: NotebookRun) -> Case:
    return Case(
        group="notebooks",
        name=run.task.notebook.name,
        outcome="error" if run.problem else "passed",
        message=run.problem,
        seconds=run.seconds,
    )


def _objective_case(notebook: str, one: ObjectiveResult) -> Case:
    kinds: dict[str, CaseOutcome] = {"met": "passed", "missed": "failure", "not judged": "error"}
    group = f"objectives of {notebook}"
    return Case(group=group, name=f"{one.parameter}: {one.where}", outcome=kinds[one.state], message=one.measured)


def _claim_case(one: JudgedClaim) -> Case:
    case = Case(group=one.claim.heading, name=one.claim.says)
    match one.state:
        case State.REFUTED:
            return _because(case, "refuted", one.evidence, "failure")
        case State.UNPROVEN | State.NOT_ENOUGH:
            # Without checks of its own, a claim that is not proven is skipped: no code failed.
            kind: CaseOutcome = "failure" if one.claim.proof else "skipped"
            return _because(case, f"{one.state}: {one.evidence}", "", kind)
        case State.GIVEN:
            return _because(case, one.evidence, "", "skipped")
        case State.PROVEN:
            return case


def _seen_case(check: str, seen: Sequence[str]) -> Case:
    case = Case(group="self-proofs", name=check)
    return case if seen else _because(case, "this check was never seen to detect anything", "", "failure")


def _because(case: Case, message: str, text: str = "", outcome: CaseOutcome | None = None) -> Case:
    return msgspec.structs.replace(case, outcome=outcome or case.outcome, message=message, text=text)

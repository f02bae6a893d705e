"""The index of the report's folder: the verdict first, then why, what changed, the key pictures, and links to everything."""

from collections.abc import Mapping, Sequence
from html import escape

from netra_sim.notebooks.catalogue import VALIDATION
from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.site.html import Link, bullets, key_figures, page
from netra_sim.site.safe_html import SafeHtml
from netra_sim.site.summaries import about, by_heading, counted, not_proven, refuted
from netra_sim.tables import table
from netra_sim.verdict.claim_tables import SCORE_DEFINITION
from netra_sim.verdict.claims import JudgedClaim, State

INDEX = "index.html"
TITLE = "Remediation validation"

_GO = (
    "GO means that no check failed, that every claim that can be proven on this machine is, that every check was itself "
    "seen to detect something in this run, and that every defect of the original system, put back on purpose, was seen by a "
    "check, with no false alarm."
)
_UNDECIDED = (
    "UNDECIDED means that this machine was too busy for some of the checks, and that nothing else is wrong. It is no GO: "
    "make the report again on a machine that has less to do."
)
_WORDS = (
    '<h2>Words</h2><dl class="facts">'
    "<dt>Proven</dt><dd>Every check of the claim looked at enough and found nothing wrong, was itself seen to detect a "
    "planted defect in this run, and caught the defects that the claim is to guard against.</dd>"
    "<dt>Refuted</dt><dd>At least one of its checks failed.</dd>"
    "<dt>Not enough evidence</dt><dd>No check failed, and one had too little to look at to conclude anything.</dd>"
    "<dt>Unproven</dt><dd>None of these: the reason is beside the claim.</dd>"
    "<dt>Given</dt><dd>A figure from outside, with its source; it counts for nothing.</dd>"
    "<dt>Defect</dt><dd>A defect of the original system, put back on purpose; B, F, S or W with a number is the incident "
    "that it caused.</dd>"
    "<dt>p95</dt><dd>The time within which 95 of 100 came; p50 and p99 likewise.</dd>"
    "<dt>Knee</dt><dd>The first load whose p95 is more than twice that of the lightest.</dd>"
    "<dt>Seed</dt><dd>The number from which all that is random is drawn: the same seed gives the same simulation.</dd>"
    "<dt>SSOT</dt><dd>Single source of truth: everything is implemented in one place only.</dd></dl>"
)

_LOW = 5.0
"""A score below this has its bar in the colour of what is bad."""


def links(runs: Sequence[NotebookRun]) -> list[Link]:
    """The navigation of every page."""
    return [Link(INDEX, "Verdict")] + [Link(f"{run.task.notebook.name}.html", run.task.notebook.title) for run in runs]


def index_page(outcome: Outcome, *, facts: Mapping[str, str], files: Mapping[str, int]) -> str:
    """The whole index.

    Args:
        outcome: what to say.
        facts: how the report was made, name by name.
        files: sizes of the files that the notebooks' cards do not link to, in bytes, by name; 0 is not shown.
    """
    verdict, safe = outcome.verdict, SafeHtml()
    claims = verdict.claims if verdict else []
    body = [
        f'<h1>{TITLE}</h1><p class="lead">Every claim of the remediation plan, held against evidence.</p>',
        banner(outcome),
        _scores(verdict.scores if verdict else {}),
        bullets("What is not proven, and why", not_proven(claims)),
        _changes(outcome),
        _pictures(outcome.runs, safe),
        _claims(claims, safe),
        _WORDS if claims else "",
        _notebooks(outcome),
        _files(files),
        _facts(facts),
    ]
    return page(title=f"{outcome.title}: {TITLE}", body="\n".join(body), file=INDEX, links=links(outcome.runs))


def banner(outcome: Outcome) -> str:
    """The decision, what it takes to read it rightly, which claims fell, and why."""
    kind = outcome.decision.lower().replace(" ", "-")
    verdict = outcome.verdict
    said = f"<p>{escape(outcome.headline)}.</p>"
    if verdict:
        said += f"<p>{escape(counted(verdict.claims))}.</p>"
        if verdict.decision != outcome.decision:
            said += f"<p>The validation itself ran to its end, and says {escape(verdict.title)}.</p>"
    meaning = {"GO": _GO, "UNDECIDED": _UNDECIDED}.get(outcome.decision, "")
    said += f'<p class="quiet">{meaning}</p>' if meaning else ""
    said += _refuted(verdict.claims) if verdict else ""
    said += bullets("Why", outcome.reasons) + bullets("Objectives that were given", outcome.objectives)
    said += bullets("Worse than the base", outcome.worse_than_base)
    said += bullets("Worse than the last run in this folder", verdict.regressions) if verdict else ""
    if outcome.earlier:
        said += '<p>The last complete report is kept: <a href="earlier/index.html">the earlier report</a>.</p>'
    said += f'<p class="quiet">About {escape(about(verdict))}.</p>' if verdict else ""
    return (
        f'<section class="verdict {escape(kind)}" aria-label="Verdict"><p class="decision">{escape(outcome.title)}</p>'
        f"{said}</section>"
    )


def _refuted(claims: Sequence[JudgedClaim]) -> str:
    items = "".join(
        f"<li>{escape(one.says)}: {escape(one.why)}. "
        f'<a href="validation.html#{one.anchor}">The evidence<span class="hidden"> of: {escape(one.says)}</span></a></li>'
        for one in refuted(claims)
    )
    return f"<h2>Refuted</h2><ul>{items}</ul>" if items else ""


def _changes(outcome: Outcome) -> str:
    changes = outcome.verdict.changes if outcome.verdict else []
    of_run = bullets("Since the last run in this folder", changes, level=3)
    of_base = bullets("Since the base", outcome.since_base or [], level=3)
    return f"<h2>What changed</h2>{of_base}{of_run}" if of_base or of_run else ""


def _scores(scores: Mapping[str, float]) -> str:
    if not scores:
        return ""
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{score:.1f}<small> of 10</small>{_bar(score)}</dd></div>"
        for name, score in scores.items()
    )
    return f'<h2>Scores</h2><p class="quiet">{escape(SCORE_DEFINITION)}</p><dl class="scores">{shown}</dl>'


def _bar(score: float) -> str:
    kind = "bar low" if score < _LOW else "bar"
    return (
        f'<svg class="{kind}" viewBox="0 0 100 3" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<rect class="track" width="100" height="3"/><rect class="fill" width="{score * 10:.0f}" height="3"/></svg>'
    )


def _claims(claims: Sequence[JudgedClaim], safe: SafeHtml) -> str:
    if not claims:
        return ""
    rows = [
        (escape(heading), *(f"{states[state]:,}" if states[state] else "" for state in State))
        for heading, states in by_heading(claims).items()
    ]
    caption = "How many of the claims under each of its headings are in which state"
    counts = safe(table(caption, ("The plan's heading", *State), rows))
    more = '<p><a href="validation.html">Each claim with its evidence</a></p>'
    return f'<h2>What the plan claims</h2><div class="counts">{counts}</div>{more}'


def _pictures(runs: Sequence[NotebookRun], safe: SafeHtml) -> str:
    shown = [
        f'<div class="picture">{figure}<p class="quiet">From <a href="{run.task.notebook.name}.html">'
        f"{escape(run.task.notebook.title)}</a></p></div>"
        for run in runs
        for figure in key_figures(run, safe)
    ]
    return f'<h2>What was seen</h2><div class="pictures">{"".join(shown)}</div>' if shown else ""


def _notebooks(outcome: Outcome) -> str:
    items = "".join(_notebook(run, outcome) for run in outcome.runs)
    return f'<h2>Notebooks</h2><ul class="notebooks">{items}</ul>'


def _notebook(run: NotebookRun, outcome: Outcome) -> str:
    notebook = run.task.notebook
    name, title = escape(notebook.name), escape(notebook.title)
    state = (
        f'<span class="state broke">✗ broke</span>: {escape(run.problem)}.'
        if run.problem
        else f"Ran in {run.seconds:.0f} s."
    )
    ways = [
        f'<a href="{name}-code.html">with code<span class="hidden">: {title}</span></a>',
        f'<a href="{name}.ipynb">notebook<span class="hidden">: {title}</span></a>',
    ]
    if notebook.name == VALIDATION.name:
        ways.append(f"no PDF: {escape(outcome.no_pdf)}" if outcome.no_pdf else '<a href="validation.pdf">PDF</a>')
    return (
        f'<li><h3><a href="{name}.html">{title}</a></h3><p>{escape(notebook.question)}</p>'
        f'<p class="quiet">{state} {" · ".join(ways)}</p></li>'
    )


_ABOUT = {
    "verdict.json": "the verdict, with every check and claim",
    "summary.md": "the summary for a pull request",
    "junit.xml": "a test case for each claim, check and defect",
    "objectives.json": "the objectives of this notebook, held against what it measured",
    "results.sarif": "what the audit of the source found",
    "manifest.json": "versions, parameters, digests and times",
}


def _files(files: Mapping[str, int]) -> str:
    items = "".join(
        f'<li><a href="{escape(name)}">{escape(name)}</a>{_about(name, size)}</li>' for name, size in files.items()
    )
    return f'<h2>Files</h2><ul class="files">{items}</ul>'


def _about(name: str, size: int) -> str:
    told = f", {_ABOUT[name]}" if name in _ABOUT else ""
    return f"{told} ({_size(size)})" if size else told


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(size, 100) / 1e3:.1f} kB"


def _facts(facts: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<h2>How it was made</h2><dl class="facts">{items}</dl>'

"""The index of the report: the verdict, the reasons, what changed, the key pictures, and links to all files."""

from collections.abc import Mapping, Sequence

from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.site.html import Link, key_figures, rests_on
from netra_sim.site.opening import opening, refutations
from netra_sim.site.safe_html import SafeHtml
from netra_sim.site.scripts import live_if_used
from netra_sim.site.summaries import about, by_heading, not_proven
from netra_sim.tables import Html, render, table
from netra_sim.verdict.claim_tables import SCORE_DEFINITION
from netra_sim.verdict.claims import JudgedClaim, State

INDEX = "index.html"
TITLE = "Verdict"


def links(runs: Sequence[NotebookRun]) -> list[Link]:
    """The links in the navigation of every page."""
    return [Link(INDEX, TITLE)] + [Link(f"{run.task.notebook.name}.html", run.task.notebook.title) for run in runs]


def index_page(outcome: Outcome, *, facts: Mapping[str, str], files: Mapping[str, int]) -> Html:
    """The index of a report.

    Args:
        outcome: what the report says.
        facts: how the report was made, by name.
        files: the sizes in bytes of the files that no notebook entry links to, by name; the page does not show a size of 0.
    """
    safe = SafeHtml()
    claims = outcome.verdict.claims if outcome.verdict else []
    pictures = [
        (run.task.notebook, rests_on(run.task), figure) for run in outcome.runs for figure in key_figures(run, safe)
    ]
    return _page(
        "index",
        outcome,
        outcome.runs,
        verdict=outcome.verdict,
        pictures=pictures,
        scripts=live_if_used(figure for _, _, figure in pictures),
        counts=safe(_counts(claims)) if claims else "",
        not_proven=not_proven(claims),
        score_definition=SCORE_DEFINITION,
        facts=facts,
        files=files,
    )


def last_words(outcome: Outcome) -> Html:
    """The index of a report that contains only its outcome."""
    return _page("page", outcome, ())


def banner(outcome: Outcome) -> Html:
    """The decision, three sentences, the refuted claims with their causes, and the reasons."""
    verdict = outcome.verdict
    return render(
        "site/templates/banner.html",
        outcome=outcome,
        verdict=verdict,
        opening=opening(outcome),
        refutations=refutations(verdict) if verdict else [],
        about=about(verdict) if verdict else "",
    )


def _page(template: str, outcome: Outcome, runs: Sequence[NotebookRun], **values: object) -> Html:
    return render(
        f"site/templates/{template}.html",
        title=f"{outcome.title}: {TITLE}",
        heading=TITLE,
        file=INDEX,
        links=links(runs),
        banner=banner(outcome),
        outcome=outcome,
        **values,
    )


def _counts(claims: Sequence[JudgedClaim]) -> Html:
    rows = [
        (heading, *(f"{states[state]:,}" if states[state] else "" for state in State))
        for heading, states in by_heading(claims).items()
    ]
    caption = "The number of claims in each state, by heading of the plan"
    return table(caption, ("The plan's heading", *State), rows)

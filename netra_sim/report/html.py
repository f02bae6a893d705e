"""From an executed notebook to one self-contained page, with the verdict on top and no code."""

from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

from netra_sim.history import replacing

TEMPLATES = Path(__file__).with_name("templates")


def write_page(notebook: nbformat.NotebookNode, path: Path, *, title: str, banner: str) -> Path:
    """Render a notebook and write the page; an earlier one is replaced only when the new one is complete.

    Args:
        notebook: executed, or as far as it came.
        path: of the page.
        title: of the page.
        banner: HTML that stands on top.

    Raises:
        OSError: the page cannot be written.
    """
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="netra", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True,    )  # fmt: skip
    page, _ = exporter.from_notebook_node(notebook, resources={"netra_title": title, "netra_banner": banner})
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def verdict_banner(verdict: dict[str, Any]) -> str:
    """GO or NO-GO, why, the scores, and what has changed, from the contents of ``verdict.json``."""
    decision = verdict["decision"]
    claims = verdict["claims"]
    states = [claim["state"] for claim in claims]
    parts = [
        f"{states.count('shown')} of {len(states)} claims of the plan are shown",
        f"{states.count('refuted')} are refuted",
        f"{states.count('open')} are open, for want of evidence",
    ]
    scores = "".join(f"<div><dt>{escape(name)}</dt><dd>{score:g}<small> of 10</small></dd></div>"
                     for name, score in verdict["scores"].items())  # fmt: skip
    reasons = _list("Why", verdict["reasons"])
    still_open = [f"{claim['claim']}. {claim['evidence']}" for claim in claims if claim["state"] == "open"]
    changes = _list("Changed since the last run", verdict["changes"])
    kind = "go" if decision == "GO" else "no-go"
    return (
        f'<section class="verdict {kind}" aria-label="Verdict"><p class="decision">{escape(decision)}</p>'
        f"<p>{escape(', '.join(parts))}.</p>{reasons}<dl>{scores}</dl>"
        f"{_list('Open', still_open)}{changes}</section>"
    )


def broken_banner(reason: str) -> str:
    """That there is no verdict, and why."""
    return (
        '<section class="verdict broken" aria-label="Verdict"><p class="decision">BROKEN</p>'
        f"<p>The notebook did not run to its end, so there is no verdict.</p>{_list('Why', [reason])}</section>"
    )


def _list(heading: str, items: list[str]) -> str:
    if not items:
        return ""
    return f"<h2>{escape(heading)}</h2><ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"

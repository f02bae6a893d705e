"""Pages: self-contained, without JavaScript; a notebook becomes two of them, without its code and with it."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import nbformat
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from netra_sim.notebooks.runner import NotebookRun
from netra_sim.site.safe_html import SafeHtml, figures

STYLE = Path(__file__).with_name("templates") / "style.css"
TEXT_SHOWN = 20_000
"""Characters of one text output that a page shows; the executed notebook has all of them."""
KEY = "key"
"""The tag of cells whose picture stands on the index."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PICTURES = ("image/png", "image/jpeg")
_WIDGETS = "application/vnd.jupyter.widget-view+json"
_ERROR_MARKS = {"papermill-error-cell-tag"}


class Link(msgspec.Struct, frozen=True):
    """A page of the site, as the others link to it."""

    file: str
    title: str


def page(*, title: str, body: str, file: str, links: Sequence[Link], footer: str = "") -> str:
    """A whole page.

    Args:
        title: of the window, as text.
        body: HTML with the page's one ``h1``.
        file: the page's own name.
        links: for the navigation.
        footer: HTML.
    """
    current = ' aria-current="page"'
    items = "".join(
        f'<li><a href="{escape(link.file)}"{current if link.file == file else ""}>{escape(link.title)}</a></li>'
        for link in links
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header class="site"><nav aria-label="Report"><ul>{items}</ul></nav></header>\n'
        f'<main id="content" tabindex="-1">\n{body}\n</main>\n<footer>{footer}</footer>\n</body>\n</html>\n'
    )


def notebook_page(run: NotebookRun, *, links: Sequence[Link], banner: str = "", with_code: bool = False) -> str:
    """The page of a notebook, with a link to its other form.

    Args:
        run: what became of it.
        links: for the navigation.
        banner: HTML that stands on top; where it stands, the notebook's reader sees it first.
        with_code: whether the cells' code and their tracebacks are shown.
    """
    notebook = run.task.notebook
    plain, coded = f"{notebook.name}.html", f"{notebook.name}-code.html"
    other = f'<a href="{plain}">Without the code</a>' if with_code else f'<a href="{coded}">With the code</a>'
    again = f'<p class="quiet ways">{other} · <a href="{notebook.name}.ipynb">the executed notebook</a></p>'
    head = f'<h1>{escape(notebook.title)}</h1><p class="lead">{escape(notebook.question)}</p>'
    body = head + _broken_banner(run) + banner + again + _cells(run, with_code=with_code)
    file = coded if with_code else plain
    title = f"{notebook.title}, with code" if with_code else notebook.title
    shown = [Link(coded, link.title) if link.file == plain else link for link in links] if with_code else links
    return page(title=title, body=body, file=file, links=shown)


def _broken_banner(run: NotebookRun) -> str:
    if not run.problem:
        return ""
    where = '<p><a href="#failed">To the cell</a></p>' if any(map(_has_failed, run.executed.cells)) else ""
    return (
        '<section class="verdict broken" aria-label="Outcome"><p class="decision">BROKEN</p>'
        f"<p>This notebook did not run to its end: {escape(run.problem)}.</p>"
        f"<p>What there is of it follows; it proves nothing.</p>{where}</section>"
    )


def key_figures(run: NotebookRun, safe: SafeHtml) -> list[str]:
    """The pictures of the cells that are tagged for the index, rebuilt for its page."""
    cells = [cell for cell in run.executed.cells if KEY in cell.metadata.get("tags", ())]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [figure for output in outputs for figure in figures(_output(output, safe, with_code=False))]


def bullets(heading: str, items: Iterable[str], *, level: int = 2, most: int = 20) -> str:
    """A heading with a list of texts, or "" if there are none; those beyond the most are counted."""
    texts = list(items)
    if not texts:
        return ""
    more = [f"and {len(texts) - most:,} more, in verdict.json"] if len(texts) > most else []
    shown = "".join(f"<li>{escape(one)}</li>" for one in texts[:most] + more)
    return f"<h{level}>{escape(heading)}</h{level}><ul>{shown}</ul>"


@cache
def _style() -> str:
    return STYLE.read_text(encoding="utf-8")


def _cells(run: NotebookRun, *, with_code: bool) -> str:
    safe = SafeHtml()
    parts = []
    for number, cell in enumerate(run.executed.cells):
        tags = set(cell.metadata.get("tags", ()))
        if tags & _ERROR_MARKS:
            continue
        if cell.cell_type == "markdown":
            source = re.sub(r"\A\s*# .*\s*", "", cell.source) if number == 0 else cell.source
            # The page's head has the title and the question already.
            parts.append(safe(_markdown(source.removeprefix(run.task.notebook.question))))
        elif cell.cell_type == "code":
            parts.append(_code_cell(cell, safe, with_code=with_code))
    return "\n".join(parts)


def _code_cell(cell: nbformat.NotebookNode, safe: SafeHtml, *, with_code: bool) -> str:
    shown = "".join(_output(output, safe, with_code=with_code) for output in cell.outputs)
    if with_code and cell.source.strip():
        code = Highlight2HTML()(cell.source).replace("<pre>", '<pre tabindex="0">')  # type: ignore[no-untyped-call]
        count = cell.execution_count if cell.execution_count is not None else "not run"
        shown = f'<div class="code"><p class="number">[{count}]</p>{code}</div>{shown}'
    if _has_failed(cell) and safe.is_new("failed"):
        return f'<div class="failed-cell" id="failed">{shown}</div>'
    return shown


def _has_failed(cell: nbformat.NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _output(output: nbformat.NotebookNode, safe: SafeHtml, *, with_code: bool) -> str:
    if output.output_type == "error":
        text = "\n".join(output.traceback) if with_code else f"{output.ename}: {output.evalue}"
        return _text(text)
    if output.output_type == "stream":
        # What a library warns of is for those who read code.
        return _text(output.text) if with_code or output.name == "stdout" else ""
    data: dict[str, Any] = output.data
    if "text/html" in data:
        return safe(data["text/html"])
    for kind in _PICTURES:
        if kind in data:
            alt = output.metadata.get(kind, {}).get("alt", "")
            return safe(f'<figure><img src="data:{kind};base64,{escape(data[kind])}" alt="{escape(alt)}"></figure>')
    if _WIDGETS in data:
        return '<p class="quiet">In JupyterLab, controls stand here; a page has none.</p>'
    if "text/markdown" in data:
        return safe(_markdown(data["text/markdown"]))
    return _text(data["text/plain"]) if "text/plain" in data else ""


def _markdown(text: str) -> str:
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(text))


def _text(text: str) -> str:
    more = f"\n… {len(text) - TEXT_SHOWN:,} characters more in the executed notebook" if len(text) > TEXT_SHOWN else ""
    return f'<pre tabindex="0">{ansi2html(text[:TEXT_SHOWN])}{more}</pre>'  # type: ignore[no-untyped-call]

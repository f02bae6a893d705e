"""Pages of notebooks: self-contained, and complete without JavaScript. Each has a page without its code and one with it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netra_sim.notebooks.quick_nbformat import nbformat

# isort: split
# Only now, as nbconvert imports nbformat too.
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from netra_sim.notebooks.runner import NotebookRun, Task
from netra_sim.site.safe_html import SafeHtml, figures
from netra_sim.site.scripts import FILTER, live_if_used
from netra_sim.tables import Html, render

TEXT_SHOWN = 20_000
"""Characters of one text output that a page shows; the executed notebook has all of them."""
KEY = "key"
"""The tag of cells that show a key picture, which the index repeats."""

_PICTURES = ("image/png", "image/jpeg")
_WIDGETS = "application/vnd.jupyter.widget-view+json"
_ERROR_MARKS = {"papermill-error-cell-tag"}


class Link(msgspec.Struct, frozen=True):
    """A page of the site, as the others link to it."""

    file: str
    title: str


def notebook_page(run: NotebookRun, *, links: Sequence[Link], banner: str = "", with_code: bool = False) -> Html:
    """The page of a notebook, with a link to its page with or without code.

    Args:
        run: the finished notebook.
        links: the navigation.
        banner: HTML for the top of the page.
        with_code: whether the page shows code and tracebacks.
    """
    notebook = run.task.notebook
    plain, coded = f"{notebook.name}.html", f"{notebook.name}-code.html"
    cells = list(_cells(run, with_code=with_code))
    return render(
        "site/templates/notebook.html",
        title=f"{notebook.title}, with code" if with_code else notebook.title,
        file=coded if with_code else plain,
        other=plain if with_code else coded,
        links=[Link(coded, link.title) if with_code and link.file == plain else link for link in links],
        scripts=[FILTER, *live_if_used(cells)],
        notebook=notebook,
        rests_on=rests_on(run.task),
        problem=run.problem,
        has_failed=any(map(_has_failed, run.executed.cells)),
        banner=banner,
        with_code=with_code,
        cells=cells,
    )


def rests_on(task: Task) -> str:
    """What the figures of a notebook assume, with the cost of a step of the event loop if that is one of its parameters."""
    cost = getattr(task.parameters, "step_cost", None)
    if cost is None:
        return task.notebook.rests_on
    origin = "given for this report" if "step_cost" in task.given else "assumed; netra-sim calibrate measures it"
    return f"{task.notebook.rests_on} Every step of the event loop takes {cost * 1000:g} ms of CPU time ({origin}).".strip()


def key_figures(run: NotebookRun, safe: SafeHtml) -> list[Html]:
    """The pictures of cells with the tag `KEY`, made safe for the index."""
    cells = [cell for cell in run.executed.cells if KEY in cell.metadata.get("tags", ())]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [figure for output in outputs for figure in figures(_output(output, safe, with_code=False))]


def _cells(run: NotebookRun, *, with_code: bool) -> Iterator[Html]:
    safe = SafeHtml()
    for number, cell in enumerate(run.executed.cells):
        if _ERROR_MARKS & set(cell.metadata.get("tags", ())):
            continue
        if cell.cell_type == "markdown":
            source = re.sub(r"\A\s*# .*\s*", "", cell.source) if number == 0 else cell.source
            # The head of the page already has the title and the question.
            yield safe(_markdown(source.removeprefix(run.task.notebook.question)))
        elif cell.cell_type == "code":
            yield _code_cell(cell, safe, with_code=with_code)


def _code_cell(cell: nbformat.NotebookNode, safe: SafeHtml, *, with_code: bool) -> Html:
    shown = Html().join(_output(output, safe, with_code=with_code) for output in cell.outputs)
    if with_code and cell.source.strip():
        code = Highlight2HTML()(cell.source).replace("<pre>", '<pre tabindex="0">')  # type: ignore[no-untyped-call]
        count = cell.execution_count if cell.execution_count is not None else "not run"
        shown = Html('<div class="code"><p class="number">[{}]</p>{}</div>{}').format(count, Html(code), shown)
    if _has_failed(cell) and safe.is_new("failed"):
        return Html('<div class="failed-cell" id="failed">{}</div>').format(shown)
    return shown


def _has_failed(cell: nbformat.NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _output(output: nbformat.NotebookNode, safe: SafeHtml, *, with_code: bool) -> Html:
    if output.output_type == "error":
        text = "\n".join(output.traceback) if with_code else f"{output.ename}: {output.evalue}"
        return _text(text)
    if output.output_type == "stream":
        # Warnings of libraries appear only on the page with code.
        return _text(output.text) if with_code or output.name == "stdout" else Html()
    data: dict[str, Any] = output.data
    if "text/html" in data:
        return safe(data["text/html"])
    for kind in _PICTURES:
        if kind in data:
            alt = output.metadata.get(kind, {}).get("alt", "")
            figure = Html('<figure><img src="data:{};base64,{}" alt="{}"></figure>')
            return safe(figure.format(kind, data[kind], alt))
    if _WIDGETS in data:
        return Html('<p class="quiet">In JupyterLab this cell shows controls.</p>')
    if "text/markdown" in data:
        return safe(_markdown(data["text/markdown"]))
    return _text(data["text/plain"]) if "text/plain" in data else Html()


def _markdown(text: str) -> str:
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(text))


def _text(text: str) -> Html:
    more = f"\n… {len(text) - TEXT_SHOWN:,} more characters in the executed notebook" if len(text) > TEXT_SHOWN else ""
    shown = Html(ansi2html(text[:TEXT_SHOWN]))  # type: ignore[no-untyped-call]
    return Html('<pre tabindex="0">{}{}</pre>').format(shown, more)

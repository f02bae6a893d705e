"""HTML from the package's templates, mainly tables. For screen readers, each has a caption, and headers with a scope."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from netra_sim.checks import CheckResult, Finding
from netra_sim.history import Objectives

_FINDINGS_SHOWN = 12
"""The most findings of one check in a table; its result may keep more."""

_MARKS = {
    "passed": "✓",
    "proven": "✓",
    "failed": "✗",
    "refuted": "✗",
    "unproven": "?",
    "not applicable": "?",
    "inconclusive": "?",
    "not enough evidence": "?",
    "given": "=",
}
_OPTION = re.compile(r"^netra-sim \S+|(?<!\S)-\S+( [^-\s]\S{0,11}(?!\S))?")
"""An option of a command, with its value if that is short; or its first two words."""
_UNBROKEN = r'<span class="option">\g<0></span>'
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Html(Markup):
    """A string of HTML, which a notebook displays as HTML. Text that is formatted or joined into it is escaped."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self):,} characters"

    def _repr_html_(self) -> str:
        return self


def render(template: str, **values: object) -> Html:
    """Fill a template of the package, which can call `table` and `command_line`; values that are not `Html` are escaped."""
    return Html(_TEMPLATES.get_template(template).render(values, table=table, command_line=command_line))


def table(caption: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> Html:
    """A table; the first cell of a row is the row's header."""
    return render("templates/table.html", caption=caption, header=header, rows=rows)


def command_line(line: str) -> Html:
    """A command as HTML; no option of it breaks over two lines."""
    return Html(f"<code>{_OPTION.sub(_UNBROKEN, str(escape(line)))}</code>")


def badge(state: str) -> Html:
    """A state as a mark and a word, so that colour is not the only sign of it."""
    span = Html('<span class="state {}">{}&nbsp;{}</span>')
    return span.format(state.replace(" ", "-"), _MARKS.get(state, ""), state)


def checks_table(
    title: str, results: Sequence[CheckResult], command: str = "", objectives: Objectives | None = None
) -> Html:
    """A table of check results, followed by the findings of each check.

    Args:
        title: the beginning of the caption, such as the name of the source of evidence.
        results: the results of the checks.
        command: the command that reproduces the results; "" leaves it out.
        objectives: the objectives that the checks judged by; None leaves them out.
    """
    rows = [
        (result.question, _answer(result), f"{result.looked_at:,} {result.unit}", _figures(result))
        for result in results
    ]
    caption = f"{title[:1].upper()}{title[1:]}: {_counted(results)}"
    findings = [(result, list(map(_found, result.findings[:_FINDINGS_SHOWN]))) for result in results]
    return render(
        "templates/checks.html", caption=caption, rows=rows, objectives=objectives, command=command, findings=findings
    )


def _answer(result: CheckResult) -> Html:
    why = Html("<br>") + result.inconclusive if result.state == "inconclusive" else ""
    return badge(result.state) + why


def _counted(results: Sequence[CheckResult]) -> str:
    states = Counter(result.state for result in results)
    others = [f"{states[state]:,} {state}" for state in ("failed", "inconclusive", "not applicable") if states[state]]
    return ", ".join([f"{states['passed']:,} of {len(results):,} checks passed", *others])


def _figures(result: CheckResult) -> Html:
    return Html("<br>").join(f"{name}: {one}" for name, one in result.measured.items())


def _found(finding: Finding) -> tuple[str, ...]:
    event = finding.event + (f" #{finding.seq}" if finding.seq >= 0 else "")
    time = "" if finding.time is None else f"{finding.time:.3f} s"
    return finding.message, finding.user, finding.run, event, time

"""Tables as HTML that a screen reader can follow: a caption, and headers with a scope."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from netra_sim.checks import CheckResult, Measurement
from netra_sim.history import Objectives

_FINDINGS_SHOWN = 12
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


class Html(str):
    """HTML that a notebook shows as such."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self):,} characters"

    def _repr_html_(self) -> str:
        return self


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML; the cells are HTML already, the rest is escaped. The first cell of a row is its header."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{cells[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>"
        for cells in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def badge(state: str) -> str:
    """A state as a word with a mark, so that its colour is never all that tells it."""
    return f'<span class="state {escape(state.replace(" ", "-"))}">{_MARKS.get(state, "")}&nbsp;{escape(state)}</span>'


def checks_table(
    title: str, results: Sequence[CheckResult], command: str = "", objectives: Objectives | None = None
) -> str:
    """What each check asked, what it looked at and what it says, with the findings of those that failed.

    Args:
        title: of the evidence.
        results: of the checks.
        command: what makes the evidence again.
        objectives: that the evidence was held against; None where there are none.
    """
    rows = [
        (escape(result.question), _answer(result), f"{result.looked_at:,} {escape(result.unit)}", _figures(result))
        for result in results
    ]
    caption = f"{title[:1].upper()}{title[1:]}: {_counted(results)}"
    again = f"<p>Reproduce with <code>{escape(command)}</code></p>" if command else ""
    body = table(caption, ("Question", "Answer", "Looked at", "Measured"), rows)
    return body + _told(objectives) + again + "".join(map(_findings, results))


def _answer(result: CheckResult) -> str:
    why = f"<br>{escape(result.inconclusive)}" if result.state == "inconclusive" else ""
    return badge(result.state) + why


def _told(objectives: Objectives | None) -> str:
    if objectives is None:
        return ""
    refused, completed = f"{objectives.refused:.2%}", f"{objectives.completed:.2%}"
    return (
        f"<p>Objectives: an event arrives within {objectives.delivery_mean:g} s on average, and within "
        f"{objectives.delivery_p95:g} s for 95 of 100; a request has its first event within "
        f"{objectives.first_event_p95:g} s and its last within {objectives.response_p95:g} s, for 95 of 100; at least "
        f"{objectives.delivered:.2%} of the events are delivered, and {completed} of the requests answered; at "
        f"most {refused} of the requests, and of the attempts to connect, are refused; all users are served as before "
        f"within {objectives.recovery:g} s of a fault's end.</p>"
    )


def _counted(results: Sequence[CheckResult]) -> str:
    states = Counter(result.state for result in results)
    told = [f"{states[state]:,} {state}" for state in ("failed", "not applicable") if states[state]]
    return ", ".join([f"{states['passed']:,} of {len(results):,} checks passed", *told])


def _figures(result: CheckResult) -> str:
    return "<br>".join(f"{escape(name)}: {figure(one)}" for name, one in result.measured.items())


def figure(measurement: Measurement) -> str:
    """A measured figure with its unit, for readers."""
    value = measurement.value
    match measurement.unit:
        case "s":
            return f"{value * 1000:,.1f} ms" if abs(value) < 2.0 else f"{value:,.1f} s"
        case "share":
            return f"{value:.2%}"
        case "ratio":
            return f"{value:,.1f}"
        case "bytes" | "count":
            pass
    return f"{value:,.0f}"


def _findings(result: CheckResult) -> str:
    if not result.findings:
        return ""
    rows = [
        (
            escape(finding.message),
            escape(finding.user),
            escape(finding.run),
            escape(finding.event) + (f" #{finding.seq}" if finding.seq >= 0 else ""),
            "" if finding.time is None else f"{finding.time:.3f} s",
        )
        for finding in result.findings[:_FINDINGS_SHOWN]
    ]
    caption = f"{result.check}: {result.found} found, {len(rows)} shown"
    return table(caption, ("What", "User", "Run", "Event", "Time"), rows)

"""Tables of the report, as HTML that a screen reader can follow: a caption, and headers with a scope."""

from collections.abc import Mapping, Sequence
from html import escape

from netra_sim.checks import CheckResult

_FINDINGS_SHOWN = 12
_MARKS = {"passed": "✓", "shown": "✓", "failed": "✗", "refuted": "✗", "open": "?", "not applicable": "?"}


class Html(str):
    """HTML that a notebook shows as such."""

    __slots__ = ()

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


def checks_table(source: str, results: Sequence[CheckResult]) -> str:
    """What each check asked, what it looked at and what it says, with the findings of those that failed."""
    failed = sum(result.state == "failed" for result in results)
    outcome = "all passed" if not failed else f"{failed} failed"
    rows = [
        (escape(result.question), badge(result.state), f"{result.looked_at:,} {escape(result.unit)}", _figures(result))
        for result in results
    ]
    caption = f"Checks, {source}: {outcome}"
    return table(caption, ("Question", "Answer", "Looked at", "Measured"), rows) + "".join(map(_findings, results))


def claims_table(claims: Sequence[Mapping[str, str]]) -> str:
    """Every claim of the plan with what the evidence says of it."""
    rows = [
        (escape(claim["claim"]), escape(claim["section"]), badge(claim["state"]), escape(claim["evidence"]))
        for claim in claims
    ]
    shown = sum(claim["state"] == "shown" for claim in claims)
    return table(f"{shown} of the plan's {len(rows)} claims are shown", ("Claim", "Section", "State", "Evidence"), rows)


def scores_table(scores: Mapping[str, float]) -> Html:
    """The plan's scores, computed."""
    rows = [(escape(section), f"{score:.1f} of 10") for section, score in scores.items()]
    return Html(table("Scores: the share of each section's claims that are shown", ("Section", "Score"), rows))


def _figures(result: CheckResult) -> str:
    return "<br>".join(f"{escape(name)}: {_figure(name, value)}" for name, value in result.measured.items())


def _figure(name: str, value: float) -> str:
    if _is_seconds(name):
        return f"{value * 1000:,.1f} ms"
    if name in ("delivered", "completed") or name.startswith("share "):
        return f"{value:.2%}"
    return f"{value:,.0f}"


def _is_seconds(name: str) -> bool:
    """Whether a check's figure of this name is in seconds."""
    return name.endswith((", mean", ", p95"))


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

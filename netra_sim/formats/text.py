"""The results of checks for a terminal: what was looked at, the figures, and what was found."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netra_sim.checks import CheckResult, Finding


WIDTH = 100
"""Columns that the lines keep to, apart from findings."""

FINDINGS_PRINTED = 5
"""The most findings of one check that are printed."""

_INDENT = " " * 16


def check_lines(
    results: "Sequence[CheckResult]",
    lines: Sequence[int] = (),
    why_not: Mapping[str, str] | None = None,
    more: str = "",
) -> Iterator[str]:
    """The lines for the results of checks.

    Args:
        results: the results of the checks.
        lines: for a log, the line number of each row of the history.
        why_not: for checks that do not apply, the reason; those without a reason are only named, in the last line.
        more: where their reasons are.
    """
    why = {one.check: one.inconclusive or (why_not or {}).get(one.check, "") for one in results}
    idle = [one for one in results if one.state == "not applicable"]
    explained = [one for one in idle if why[one.check]]
    unexplained = [one.check for one in idle if not why[one.check]]
    for result in results:
        if result not in idle:
            yield from _result_lines(result, lines)
    for result in explained:
        yield _wrapped(f"{result.check}: {why[result.check]}", "not applicable  ")
    if unexplained:
        named = f"{', '.join(unexplained)}: there was nothing to look at{f'; {more}' if more else ''}"
        yield _wrapped(named, "not applicable  ")


def _wrapped(text: str, head: str = _INDENT) -> str:
    """The text in lines below each other; words with a hyphen, such as names of checks, and paths stay whole."""
    return textwrap.fill(
        text, WIDTH, initial_indent=head, subsequent_indent=_INDENT, break_on_hyphens=False, break_long_words=False
    )


def _result_lines(result: "CheckResult", lines: Sequence[int]) -> Iterator[str]:
    figures = [(name, *_parts(str(one))) for name, one in result.measured.items() if one.is_judged]
    head = f"{result.state:>14}  {result.check}: {result.looked_at:,} {result.unit}"
    only = "; {} {}{}".format(*figures[0]) if len(figures) == 1 else ""
    if len(head + only) > WIDTH:
        only = ""
    yield head + only
    if figures and not only:
        names, values = (max(len(figure[part]) for figure in figures) for part in (0, 1))
        yield from (f"{_INDENT}{name:{names}}  {value:>{values}}{bound}" for name, value, bound in figures)
    if result.state == "inconclusive":
        yield _wrapped(result.inconclusive)
    for finding in result.findings[:FINDINGS_PRINTED]:
        yield f"{_INDENT}{finding.message}{_place(finding, lines)}"
    if result.found > FINDINGS_PRINTED:
        yield f"{_INDENT}and {result.found - FINDINGS_PRINTED:,} more"


def _parts(figure: str) -> tuple[str, str]:
    """A figure such as ``73.5 ms <= 100 ms`` as its value and the rest."""
    value, *rest = re.split(r"(?= [<>])", figure, maxsplit=1)
    return value, "".join(rest)


def _place(finding: "Finding", lines: Sequence[int]) -> str:
    where = [finding.run, finding.event, f"number {finding.seq}" if finding.seq >= 0 else ""]
    where += [f"at {finding.time:.3f} s" if finding.time is not None and any(where) else ""]
    where += [f"line {lines[finding.row]}" if lines and finding.row >= 0 else ""]
    place = ", ".join(part for part in where if part)
    return f" ({place})" if place else ""

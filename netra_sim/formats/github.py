"""Workflow commands of GitHub Actions: https://docs.github.com/actions/reference/workflow-commands-for-github-actions."""

from collections.abc import Iterable
from typing import Literal

from netra_sim.formats.case import Case

LINES_SHOWN = 6
"""The most lines of one annotation."""


def annotation(level: Literal["error", "warning", "notice"], message: str, **properties: object) -> str:
    """One line that GitHub shows as an annotation.

    Args:
        level: how grave it is.
        message: the text.
        properties: ``file``, ``line``, ``col`` and ``title``; those that are "" or 0 are left out.
    """
    told = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{level}{' ' if told else ''}{told}::{_data(message)}\n"


def annotations(cases: Iterable[Case]) -> str:
    """An annotation for each case that failed or should have been judged."""
    return "".join(
        annotation(
            "error",
            _shortened(case),
            file=case.file,
            line=case.line,
            title=f"{case.group}: {case.name}",
        )
        for case in cases
        if case.outcome in ("failure", "error")
    )


def _shortened(case: Case) -> str:
    lines = [line for line in (case.message, *case.text.splitlines()) if line]
    more = [f"and {len(lines) - LINES_SHOWN:,} more lines"] if len(lines) > LINES_SHOWN else []
    return "\n".join(lines[:LINES_SHOWN] + more)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""The outcome of a gate for other programs: Markdown for a pull request, and JUnit XML."""

from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from netra_sim.checks import CheckResult
from netra_sim.site.gate_page import SEED_HEADER, GateOutcome, SeedRun, seed_rows
from netra_sim.site.summaries import (
    LINES_SHOWN,
    add_suite,
    check_case,
    document,
    in_a_line,
    listed,
    new_case,
    plain,
    with_outcome,
)

_FINDINGS_SHOWN = 4
"""The most findings of one check; the first one stands among the reasons."""


def gate_markdown(outcome: GateOutcome) -> str:
    """The outcome as Markdown for a pull request."""
    findings = [
        f"{result.check}: {in_a_line(finding)}"
        for result in outcome.merged
        if result.check in outcome.failed
        for finding in result.findings[1:_FINDINGS_SHOWN]
    ]
    rows = [
        SEED_HEADER,
        ("---",) * len(SEED_HEADER),
        *(map(plain, row) for row in seed_rows(outcome.runs[:LINES_SHOWN])),
    ]
    parts = [f"# {outcome.decision}: {plain(outcome.scenario.name)}", f"**{plain(outcome.headline)}**"]
    parts += listed("Why", outcome.reasons)
    parts += listed("More findings", findings)
    parts += ["## Each seed", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    parts += ["## Repeat it", "\n".join(["```", *(run.command for run in outcome.repeats), outcome.search, "```"])]
    return "\n\n".join(parts) + "\n"


def gate_junit(outcome: GateOutcome) -> str:
    """JUnit XML: a test case for the decision, and one for each check with each seed."""
    root = Xml.Element("testsuites", name=f"netra_sim gate {outcome.scenario.name}")
    verdict = new_case("gate", outcome.scenario.name)
    if outcome.failed:
        with_outcome(verdict, "failure", outcome.headline, "\n".join(outcome.reasons))
    add_suite(root, "gate", iter([verdict]))
    for run in outcome.runs:
        add_suite(root, f"seed {run.seed}", _cases(outcome.scenario.name, run))
    return document(root)


def _cases(name: str, run: SeedRun) -> Iterator[Xml.Element]:
    for result in run.results:
        group = f"{name}, seed {run.seed}"
        yield (
            _expected(group, result)
            if result.state == "failed" and result.check not in run.failed
            else check_case(group, result)
        )


def _expected(group: str, result: CheckResult) -> Xml.Element:
    return with_outcome(new_case(group, result.check), "skipped", "failed, as the scenario expects")

"""The outcome of a gate for other programs: Markdown for a pull request, and JUnit XML."""

import msgspec

from netra_sim.checks import CheckResult
from netra_sim.formats import Case, check_case, in_a_line, junit
from netra_sim.site.gate_page import SEED_HEADER, GateOutcome, SeedRun, seed_rows
from netra_sim.site.summaries import LINES_SHOWN, listed, plain

_FINDINGS_SHOWN = 4
"""The most findings of one check; the first one stands among the reasons."""


def gate_markdown(outcome: GateOutcome, made: str = "") -> str:
    """The outcome as Markdown for a pull request: the failed checks first, each in a sentence.

    Args:
        outcome: the outcome.
        made: where the gate ran, as Markdown; see `netra_sim.site.surroundings.made_here`.
    """
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
    parts = [f"# {outcome.decision}: {plain(outcome.scenario.name)}", f"**{plain(outcome.headline)}**", made]
    parts += listed("Failed checks", outcome.reasons)
    parts += listed("More findings", findings)
    parts += ["## Each seed", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    parts += ["## Repeat it", "\n".join(["```", *(run.command for run in outcome.repeats), outcome.search, "```"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def gate_junit(outcome: GateOutcome) -> str:
    """JUnit XML: a test case for the decision, and one for each check with each seed."""
    return junit(f"netra_sim gate {outcome.scenario.name}", gate_cases(outcome))


def gate_cases(outcome: GateOutcome) -> dict[str, list[Case]]:
    """The decision, and each check with each seed, by suite."""
    name = outcome.scenario.name
    verdict = Case(group="gate", name=name)
    if outcome.failed:
        why = {"message": outcome.headline, "text": "\n".join(outcome.reasons)}
        verdict = msgspec.structs.replace(verdict, outcome="failure", **why)
    seeds = {f"seed {run.seed}": [_case(name, run, result) for result in run.results] for run in outcome.runs}
    return {"gate": [verdict]} | seeds


def _case(name: str, run: SeedRun, result: CheckResult) -> Case:
    case = check_case(f"{name}, seed {run.seed}", result)
    if result.state != "failed" or result.check in run.failed:
        return case
    return msgspec.structs.replace(case, outcome="skipped", message="failed, as the scenario expects", text="")

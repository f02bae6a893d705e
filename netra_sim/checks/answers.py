"""The check of answers: each is whole, and belongs to its question."""

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult
from netra_sim.history import Kind, Objectives


def answers(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every final answer that a client held against its question: is it there, whole and the right one?"""
    held = records.rows(Kind.ANSWERED)
    wrong = held[~records.one_of("event", held, "complete")]
    return CheckResult(
        check="answers",
        question="Did every run that completed bring the whole answer to its own question?",
        looked_at=len(held),
        unit="answers",
        found=len(wrong),
        findings=records.findings(wrong, lambda row: f"{records.text('event', row)}: {records.text('detail', row)}"),
    )

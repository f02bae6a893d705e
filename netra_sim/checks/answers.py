"""The check of answers: each is complete, and belongs to its question."""

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import Observation
from netra_sim.history import Kind, Objectives


@define("answers", question="Did every run that completed bring the whole answer to its own question?", unit="answers")
def answers(records: Records, objectives: Objectives) -> Observation:
    """Every final answer that a client compared with its question must be complete: not empty, truncated or wrong."""
    held = records.rows(Kind.ANSWERED)
    wrong = held[~records.one_of("event", held, "complete")]
    return Observation(
        looked_at=len(held),
        found=len(wrong),
        findings=records.findings(wrong, lambda row: f"{records.text('event', row)}: {records.text('detail', row)}"),
    )

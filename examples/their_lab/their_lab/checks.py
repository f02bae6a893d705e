"""A check."""

import numpy as np

from netra_sim.checks import Observation, Records, define
from netra_sim.history import Kind, Objectives


@define("double-ends", question="Did every run end once?", unit="runs")
def double_ends(records: Records, objectives: Objectives) -> Observation:
    """Count the final events of every run."""
    published = records.rows(Kind.PUBLISHED)
    ends = published[records.one_of("event", published, "agent_completed", "agent_error")]
    runs = records.codes["run"][ends]
    again = ends[np.isin(runs, np.flatnonzero(np.bincount(runs, minlength=1) > 1))]
    return Observation(
        looked_at=len(np.unique(runs)),
        found=len(again),
        findings=records.findings(again, lambda row: f"{records.text('run', row)} ends more than once"),
    )

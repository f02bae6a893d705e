"""From evidence to a verdict: the claims of the plan, what proves them, and what has changed."""

from netra_sim.verdict.changes import changes_since, regressions_since
from netra_sim.verdict.claims import (
    CLAIMS,
    Claim,
    JudgedClaim,
    Source,
    State,
    judge,
    read_claims,
)
from netra_sim.verdict.evidence import (
    Evidence,
    Proofs,
    detected,
    detection_picture,
    limit_drill,
    of_experiments,
    of_plan_tests,
    of_source,
    of_windows,
    on_real_server,
    on_windows_clock,
    proofs,
    rollback_drill,
    simulated,
)
from netra_sim.verdict.verdict import Verdict, reach_verdict

__all__ = [
    "CLAIMS",
    "Claim",
    "Evidence",
    "JudgedClaim",
    "Proofs",
    "Source",
    "State",
    "Verdict",
    "changes_since",
    "detected",
    "detection_picture",
    "judge",
    "limit_drill",
    "of_experiments",
    "of_plan_tests",
    "of_source",
    "of_windows",
    "on_real_server",
    "on_windows_clock",
    "proofs",
    "reach_verdict",
    "read_claims",
    "regressions_since",
    "rollback_drill",
    "simulated",
]

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
    run_detection,
    detection_picture,
    limit_drill,
    conformance_evidence,
    plan_test_evidence,
    audit_evidence,
    windows_evidence,
    server_evidence,
    windows_clock_evidence,
    proofs,
    rollback_drill,
    simulated_evidence,
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
    "run_detection",
    "detection_picture",
    "judge",
    "limit_drill",
    "conformance_evidence",
    "plan_test_evidence",
    "audit_evidence",
    "windows_evidence",
    "server_evidence",
    "windows_clock_evidence",
    "proofs",
    "reach_verdict",
    "read_claims",
    "regressions_since",
    "rollback_drill",
    "simulated_evidence",
]

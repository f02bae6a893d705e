"""From evidence to a verdict: the claims of the plan, what must pass for each, and what changed."""

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
from netra_sim.verdict.decision import reach_verdict
from netra_sim.verdict.evidence import (
    Evidence,
    Proofs,
    audit_evidence,
    conformance_evidence,
    limit_drill,
    plan_test_evidence,
    proofs,
    rollback_drill,
    run_detection,
    saved_audit,
    server_evidence,
    simulated_evidence,
    windows_clock_evidence,
    windows_evidence,
)
from netra_sim.verdict.parameters import ValidationParameters
from netra_sim.verdict.sources import SOURCES, EvidenceSource, added, gather, label_of
from netra_sim.verdict.verdict import Verdict

__all__ = [
    "CLAIMS",
    "SOURCES",
    "Claim",
    "Evidence",
    "EvidenceSource",
    "JudgedClaim",
    "Proofs",
    "Source",
    "State",
    "ValidationParameters",
    "Verdict",
    "added",
    "audit_evidence",
    "changes_since",
    "conformance_evidence",
    "gather",
    "judge",
    "label_of",
    "limit_drill",
    "plan_test_evidence",
    "proofs",
    "reach_verdict",
    "read_claims",
    "regressions_since",
    "rollback_drill",
    "run_detection",
    "saved_audit",
    "server_evidence",
    "simulated_evidence",
    "windows_clock_evidence",
    "windows_evidence",
]

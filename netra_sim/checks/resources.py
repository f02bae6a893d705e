"""Checks of limits: engines of each user, and memory for clients that come back."""

import numpy as np
import pandas as pd

from netra_sim.checks.results import CheckResult, Finding
from netra_sim.checks.table import finding_at, findings_of, rows
from netra_sim.history import REPLAY_BYTES, History, Kind, Objectives


def engine_limit(history: History, objectives: Objectives) -> CheckResult:
    """Count every user's live engines over time, and hold them against the limit that the history was made under."""
    limit = history.meta.get("engines_per_user")
    changes = rows(history, Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED)
    step = np.where(changes["kind"] == Kind.SCOPE_OPENED, 1, -1)
    live = changes.assign(step=step).groupby("user", sort=False)["step"].cumsum()
    wrong = changes.assign(live=live)[live > limit] if limit is not None else changes[:0]

    def describe(row: pd.Series) -> Finding:
        return finding_at(row, f"{row['user']} has {row['live']} live engines, and may have {limit}")

    return CheckResult(
        check="engine-limit",
        question="Did no user ever have more live engines than the limit?",
        looked_at=0 if limit is None else int((step > 0).sum()),
        unit="engines made",
        found=len(wrong),
        findings=findings_of(wrong, describe),
        measured={"most of one user": float(live.max()) if len(live) else 0.0},
    )


def memory(history: History, objectives: Objectives) -> CheckResult:
    """Hold what the bridge kept for clients that come back against its objective."""
    samples = rows(history, Kind.SAMPLE)
    kept = samples[samples["detail"] == REPLAY_BYTES]
    over = kept[kept["value"] > objectives.replay_bytes]

    def describe(row: pd.Series) -> Finding:
        message = f"the bridge keeps {row['value']:,.0f} bytes; the objective is {objectives.replay_bytes:,.0f}"
        return finding_at(row, message)

    return CheckResult(
        check="memory",
        question="Did the bridge keep no more for absent clients than the objective allows?",
        looked_at=len(kept),
        unit="samples",
        found=len(over),
        findings=findings_of(over, describe),
        measured={"most bytes": float(kept["value"].max()) if len(kept) else 0.0},
    )

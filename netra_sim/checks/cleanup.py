"""The check of clean-up: nothing of a run outlives its scope, and nothing at all outlives the shutdown."""

import pandas as pd

from netra_sim.checks.results import CheckResult, Finding
from netra_sim.checks.table import finding_at, findings_of, rows
from netra_sim.history import History, Kind, Objectives


def nothing_left(history: History, objectives: Objectives) -> CheckResult:
    """Look at every scope and at the shutdown: was each scope closed, and is anything left?"""
    opened = rows(history, Kind.SCOPE_OPENED)
    closed = rows(history, Kind.SCOPE_CLOSED)
    counted = rows(history, Kind.LEFT_OVER)
    never_closed = opened[~opened["run"].isin(set(closed["run"]))].assign(
        detail="scopes that were never closed", value=1
    )
    wrong = pd.concat([never_closed, counted[counted["value"] > 0]])

    def describe(row: pd.Series) -> Finding:
        where = f"the scope of run {row['run']}" if row["run"] else "the shutdown"
        return finding_at(row, f"{row['value']:g} {row['detail']} outlived {where}")

    after_shutdown = int((counted["run"] == "").sum())
    return CheckResult(
        check="nothing-left",
        question="Was everything released when its scope ended, and at the shutdown?",
        looked_at=len(opened) + after_shutdown,
        unit="scopes and counts after the shutdown",
        found=len(wrong),
        findings=findings_of(wrong, describe),
        measured={"scopes": float(len(opened)), "left": float(wrong["value"].sum())},
    )

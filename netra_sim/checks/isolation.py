"""Checks of isolation: no event of one user's reaches another, and no engines of two users share mutable state."""

import pandas as pd

from netra_sim.checks.results import CheckResult, Finding
from netra_sim.checks.table import finding_at, findings_of, rows
from netra_sim.history import ENGINES_PROBED, History, Kind, Objectives


def cross_user_isolation(history: History, objectives: Objectives) -> CheckResult:
    """Look at every event that was sent or received: is its reader the owner of its run, and of the data in it?"""
    arrived = rows(history, Kind.SENT, Kind.RECEIVED)
    owners = (
        rows(history, Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED).drop_duplicates("run").set_index("run")["user"]
    )
    owner = arrived["run"].map(owners)
    received = arrived["kind"] == Kind.RECEIVED
    foreign_run = owner.notna() & (owner != arrived["user"])
    foreign_data = received & (arrived["subject"] != arrived["user"])
    unknown_run = owner.isna()
    wrong = arrived.assign(owner=owner)[foreign_run | foreign_data | unknown_run]

    def describe(row: pd.Series) -> Finding:
        verb = "received" if row["kind"] == Kind.RECEIVED else "was sent"
        if not isinstance(row["owner"], str):
            what = f"{row['event']} of a run that nobody has asked for"
        elif row["owner"] != row["user"]:
            what = f"{row['event']} of {row['owner']}'s run"
        else:
            what = f"data of {row['subject']} in {row['event']}"
        return finding_at(row, f"{row['user']} {verb} {what}")

    return CheckResult(
        check="cross-user-isolation",
        question="Did every event reach its owner only, and carry its owner's data only?",
        looked_at=len(arrived),
        unit="events sent and received",
        found=len(wrong),
        findings=findings_of(wrong, describe),
        measured={"events": len(arrived), "users": float(arrived["user"].nunique())},
    )


def shared_state(history: History, objectives: Objectives) -> CheckResult:
    """Look at the probes of live engines: did two users' engines reach the same mutable object?"""
    samples = rows(history, Kind.SAMPLE)
    probed = samples.loc[samples["detail"] == ENGINES_PROBED, "value"]
    shared = rows(history, Kind.SHARED)

    def describe(row: pd.Series) -> Finding:
        return finding_at(row, f"the engines of {row['user']} and {row['subject']} share a {row['detail']}")

    return CheckResult(
        check="shared-state",
        question="Was no mutable object reachable from the engines of two users?",
        looked_at=int(probed.sum()),
        unit="live engines compared",
        found=len(shared),
        findings=findings_of(shared, describe),
        measured={"probes": float(len(probed)), "engines": float(probed.sum())},
    )

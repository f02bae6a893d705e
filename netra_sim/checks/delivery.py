"""Checks of delivery: nothing is lost without a word, nothing comes twice or out of order, and no claim is false."""

import numpy as np
import pandas as pd

from netra_sim.checks.results import CheckResult, Finding
from netra_sim.checks.table import finding_at, findings_of, rows
from netra_sim.history import History, Kind, Objectives

_NORMAL_CLOSURE = 1000


def delivery(history: History, objectives: Objectives) -> CheckResult:
    """Look at every published event: did its owner get it, once on each connection, in order, or was a gap announced?"""
    published = rows(history, Kind.PUBLISHED)
    received = rows(history, Kind.RECEIVED)
    got = set(zip(received["user"], received["run"], received["seq"], strict=True))
    missed = [key not in got for key in zip(published["user"], published["run"], published["seq"], strict=True)]
    lost = published[np.array(missed, bool)]
    announced = _announced(history, lost)
    # Users who have gone are not owed what came after.
    owed = lost["user"].isin(_still_connected(history))
    silent = lost[owed & ~announced].assign(fault="was never received, and no gap was announced")
    steps = received.groupby(["connection", "run"], sort=False)["seq"].diff()
    again = received[steps == 0].assign(fault="was received twice on one connection")
    backwards = received[steps < 0].assign(fault="was received after a later one")
    wrong = pd.concat([silent, again, backwards])
    delivered = 1.0 if published.empty else 1.0 - float(owed.sum()) / len(published)
    findings = list(findings_of(wrong, _describe))
    too_few = delivered < objectives.delivered
    if too_few:
        message = f"{delivered:.2%} of the events reached their owner; the objective is {objectives.delivered:.2%}"
        findings.insert(0, Finding(message=message))
    return CheckResult(
        check="delivery",
        question="Did every event reach its owner once and in order, or was the gap announced?",
        looked_at=len(published),
        unit="events",
        found=len(wrong) + int(too_few),
        findings=tuple(findings),
        measured={
            "published": float(len(published)),
            "received": float(len(received)),
            "delivered": float(delivered),
            "announced as missing": float(announced.sum()),
        },
    )


def truthfulness(history: History, objectives: Objectives) -> CheckResult:
    """Look at what the bridge says that it sent, and at what clients received: does each have the other?"""
    sent, received = rows(history, Kind.SENT), rows(history, Kind.RECEIVED)
    keys = ["connection", "run", "seq"]
    claims = set(zip(*(sent[name] for name in keys), strict=True))
    facts = set(zip(*(received[name] for name in keys), strict=True))
    lost = rows(history, Kind.DISCONNECTED)
    # What was on its way when a connection broke was sent in good faith; a clean end delivers it.
    broken = set(lost.loc[lost["value"] != _NORMAL_CLOSURE, "connection"])
    empty = [key not in facts and key[0] not in broken for key in zip(*(sent[name] for name in keys), strict=True)]
    forged = [key not in claims for key in zip(*(received[name] for name in keys), strict=True)]
    wrong = pd.concat(
        [
            sent[np.array(empty, bool)].assign(fault="counts as sent on an open connection, and never arrived"),
            received[np.array(forged, bool)].assign(fault="arrived without having been sent"),
        ]
    )
    return CheckResult(
        check="truthfulness",
        question="Is all that the bridge says true: did what it sent arrive, and was what arrived sent?",
        looked_at=len(sent) + len(received),
        unit="claims and arrivals",
        found=len(wrong),
        findings=findings_of(wrong, _describe),
        measured={"sent": float(len(sent)), "received": float(len(received))},
    )


def _describe(row: pd.Series) -> Finding:
    return finding_at(row, f"{row['event']} {row['fault']}")


def _still_connected(history: History) -> set[str]:
    """Users who were connected at their last request's end: those who never left, or left by closing their tabs."""
    changes = rows(history, Kind.CONNECTED, Kind.DISCONNECTED).drop_duplicates("user", keep="last")
    stays = (changes["kind"] == Kind.CONNECTED) | (changes["value"] == _NORMAL_CLOSURE)
    return set(changes.loc[stays, "user"])


def _announced(history: History, lost: pd.DataFrame) -> pd.Series:
    """For each lost event whether a gap that covers it was announced to its owner."""
    gaps = rows(history, Kind.GAP)
    covered = pd.Series(False, index=lost.index)
    for user, run, first, last in gaps[["user", "run", "seq", "value"]].itertuples(index=False):
        in_gap = (lost["user"] == user) & (lost["run"] == run) & (lost["seq"] >= first)
        covered |= in_gap & ((lost["seq"] <= last) | (last < first))
    return covered

"""Checks of objectives: how long events and first answers take, and how many requests are refused."""

from typing import Literal

import pandas as pd

from netra_sim.checks.results import CheckResult, Finding
from netra_sim.checks.table import finding_at, rows
from netra_sim.history import History, Kind, Objectives

SLOWEST_SHOWN = 10


def delivery_latencies(history: History) -> pd.DataFrame:
    """For each event that its owner received: `latency`, in seconds, from its publishing to its first arrival."""
    keys = ["user", "run", "seq"]
    published = rows(history, Kind.PUBLISHED)[[*keys, "event", "time"]]
    received = rows(history, Kind.RECEIVED).drop_duplicates(keys)[[*keys, "time"]]
    both = published.merge(received, on=keys, suffixes=("", "_received"))
    return both.assign(latency=both["time_received"] - both["time"])


def request_latencies(history: History, *, keep: Literal["first", "last"]) -> pd.DataFrame:
    """For each answered request: `latency`, in seconds, from when it was due to its first or last event at the client.

    It is measured from the due time, so that waiting of a delayed sender is not left out.
    """
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")[["user", "run", "due"]]
    one = rows(history, Kind.RECEIVED).drop_duplicates("run", keep=keep)[["run", "event", "seq", "time"]]
    both = requested.merge(one, on="run")
    return both.assign(latency=both["time"] - both["due"])


def latency(history: History, objectives: Objectives) -> CheckResult:
    """Hold the latencies against the objectives; the findings name the slowest events."""
    events = delivery_latencies(history)
    firsts, lasts = request_latencies(history, keep="first"), request_latencies(history, keep="last")
    measured: dict[str, float] = {}
    findings: list[Finding] = []
    for table, name, figure, value, allowed in (
        (events, "delivery of events", "mean", _mean(events), objectives.delivery_mean),
        (events, "delivery of events", "p95", _p95(events), objectives.delivery_p95),
        (firsts, "first event of a request", "p95", _p95(firsts), objectives.first_event_p95),
        (lasts, "last event of a request", "p95", _p95(lasts), objectives.response_p95),
    ):
        if table.empty:
            continue
        measured[f"{name}, {figure}"] = value
        if value > allowed:
            findings.append(_violation(table, name, figure, value, allowed))
            findings.extend(_slowest(table, allowed))
    return CheckResult(
        check="latency",
        question="Did events and first answers come within their objectives?",
        looked_at=len(events) + len(firsts) + len(lasts),
        unit="latencies",
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def refusals(history: History, objectives: Objectives) -> CheckResult:
    """Hold the shares of refused requests and refused connections against their objective; the findings name them."""
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")
    refused = rows(history, Kind.REFUSED).drop_duplicates("run")
    connected, turned_away = rows(history, Kind.CONNECTED), rows(history, Kind.CONNECT_REFUSED)
    findings: list[Finding] = []
    measured: dict[str, float] = {}
    for what, declined, all_of_them in (
        ("requests", refused, len(requested)),
        ("attempts to connect", turned_away, len(connected) + len(turned_away)),
    ):
        share = len(declined) / all_of_them if all_of_them else 0.0
        measured[f"share of {what} refused"] = share
        if share <= objectives.refused:
            continue
        message = f"{share:.2%} of the {what} were refused; the objective is {objectives.refused:.2%} at most"
        findings.append(Finding(message=message))
        for _, row in declined.head(SLOWEST_SHOWN).iterrows():
            findings.append(finding_at(row, f"refused with {row['detail']}"))
    return CheckResult(
        check="refusals",
        question="Were no more requests and connections refused than the objective allows?",
        looked_at=len(requested) + len(connected),
        unit="requests and connections",
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def _mean(table: pd.DataFrame) -> float:
    return float(table["latency"].mean()) if len(table) else 0.0


def _p95(table: pd.DataFrame) -> float:
    return float(table["latency"].quantile(0.95)) if len(table) else 0.0


def _violation(table: pd.DataFrame, name: str, figure: str, value: float, allowed: float) -> Finding:
    over = int((table["latency"] > allowed).sum())
    return Finding(
        message=f"{name}: {figure} is {value * 1000:.1f} ms, {(value - allowed) * 1000:.1f} ms over the objective of "
        f"{allowed * 1000:.1f} ms; {over} of {len(table)} took longer"
    )


def _slowest(table: pd.DataFrame, allowed: float) -> list[Finding]:
    slow = table[table["latency"] > allowed].nlargest(SLOWEST_SHOWN, "latency", keep="first")
    return [finding_at(row, f"{row['event']} took {row['latency'] * 1000:.1f} ms") for _, row in slow.iterrows()]

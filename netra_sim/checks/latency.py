"""Checks of objectives: how long events and first answers take, and how many requests are refused."""

import pandas as pd

from netra_sim.checks.results import CheckResult, Finding, Objectives
from netra_sim.checks.table import rows
from netra_sim.history import History, Kind

SLOWEST_SHOWN = 10


def delivery_latencies(history: History) -> pd.DataFrame:
    """For each event that its owner received: `latency`, in seconds, from its publishing to its first arrival."""
    keys = ["user", "run", "seq"]
    published = rows(history, Kind.PUBLISHED)[[*keys, "event", "time"]]
    received = rows(history, Kind.RECEIVED).drop_duplicates(keys)[[*keys, "time"]]
    both = published.merge(received, on=keys, suffixes=("", "_received"))
    return both.assign(latency=both["time_received"] - both["time"])


def first_event_latencies(history: History) -> pd.DataFrame:
    """For each answered request: `latency`, in seconds, from when it was due to its first event at the client.

    It is measured from the due time, so that waiting of a delayed sender is not left out.
    """
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")[["user", "run", "due"]]
    first = rows(history, Kind.RECEIVED).drop_duplicates("run")[["run", "event", "seq", "time"]]
    both = requested.merge(first, on="run")
    return both.assign(latency=both["time"] - both["due"])


def latency(history: History, objectives: Objectives) -> CheckResult:
    """Hold the latencies against the objectives; the findings name the slowest events."""
    events, firsts = delivery_latencies(history), first_event_latencies(history)
    measured: dict[str, float] = {}
    findings: list[Finding] = []
    for table, name, figure, value, allowed in (
        (events, "delivery of events", "mean", _mean(events), objectives.delivery_mean),
        (events, "delivery of events", "p95", _p95(events), objectives.delivery_p95),
        (firsts, "first event of a request", "p95", _p95(firsts), objectives.first_event_p95),
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
        looked_at=len(events) + len(firsts),
        unit="latencies",
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def refusals(history: History, objectives: Objectives) -> CheckResult:
    """Hold the share of refused requests against its objective; the findings name those refused."""
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")
    refused = rows(history, Kind.REFUSED).drop_duplicates("run")
    share = len(refused) / len(requested) if len(requested) else 0.0
    findings: list[Finding] = []
    if share > objectives.refused:
        message = f"{share:.2%} of the requests were refused; the objective is {objectives.refused:.2%} at most"
        findings.append(Finding(message=message))
        for user, run, code, time in (
            refused[["user", "run", "detail", "time"]].head(SLOWEST_SHOWN).itertuples(index=False)
        ):
            findings.append(Finding(message=f"refused with {code}", user=user, run=run, time=time))
    return CheckResult(
        check="refusals",
        question="Were no more requests refused than the objective allows?",
        looked_at=len(requested),
        unit="requests",
        found=len(findings),
        findings=tuple(findings),
        measured={"refused": share},
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
    return [
        Finding(
            message=f"{row['event']} took {row['latency'] * 1000:.1f} ms",
            user=row["user"],
            run=row["run"],
            event=row["event"],
            seq=int(row["seq"]),
            time=float(row["time"]),
        )
        for _, row in slow.iterrows()
    ]

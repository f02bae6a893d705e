"""Checks of objectives: how long events and first answers take, and how many requests are refused."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Finding, Measurement
from netra_sim.history import History, Kind, Objectives

SLOWEST_SHOWN = 10


def delivery_latencies(history: History) -> pd.DataFrame:
    """For each event that its owner received: `latency`, in seconds, from its publishing to its first arrival."""
    records = Records(history)
    published, received = records.deliveries
    times = records.numbers["time"]
    return _table(records, published, "user", "run", "seq", "event", "time").assign(
        time_received=times[received], latency=times[received] - times[published]
    )


def request_latencies(history: History, *, keep: Literal["first", "last"]) -> pd.DataFrame:
    """For each answered request: `latency`, in seconds, from when it was due to its first or last event at the client.

    It is measured from the due time, so that waiting of a delayed sender is not left out.
    """
    records = Records(history)
    requested, received = _answers(records, keep)
    asked = _table(records, requested, "user", "run", "due")
    answered = asked.assign(**_table(records, received, "event", "seq", "time"))
    return answered.assign(latency=answered["time"] - answered["due"])


def latency(records: Records, objectives: Objectives) -> CheckResult:
    """Hold the latencies against the objectives; the findings name the slowest events."""
    times, due = records.numbers["time"], records.numbers["due"]
    published, arrived = records.deliveries
    (first_asked, firsts), (last_asked, lasts) = _answers(records, "first"), _answers(records, "last")
    events = published, times[arrived] - times[published]
    first, last = (firsts, times[firsts] - due[first_asked]), (lasts, times[lasts] - due[last_asked])
    measured: dict[str, Measurement] = {}
    findings: list[Finding] = []
    looked_at = 0
    for (rows, seconds), name, figure, of, allowed in (
        (events, "delivery of events", "mean", np.mean, objectives.delivery_mean),
        (events, "delivery of events", "p95", _p95, objectives.delivery_p95),
        (first, "first event of a request", "p95", _p95, objectives.first_event_p95),
        (last, "last event of a request", "p95", _p95, objectives.response_p95),
    ):
        is_known = ~np.isnan(seconds)
        looked_at += int(is_known.sum()) if figure == "p95" else 0
        if is_known.any():
            value = float(of(seconds[is_known]))
            measured[f"{name}, {figure}"] = Measurement(value, "s", "lower")
            if value > allowed:
                over = int((seconds > allowed).sum())
                message = (
                    f"{name}: {figure} is {value * 1000:.1f} ms, {(value - allowed) * 1000:.1f} ms over the objective of "
                    f"{allowed * 1000:.1f} ms; {over} of {is_known.sum()} took longer"
                )
                findings.append(Finding(message=message))
                findings.extend(_slowest(records, rows, seconds, allowed))
    return CheckResult(
        check="latency",
        question="Did events and first answers come within their objectives?",
        looked_at=looked_at,
        unit="latencies",
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def refusals(records: Records, objectives: Objectives) -> CheckResult:
    """Hold the shares of refused requests and refused connections against their objective; the findings name them."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    refused = records.without_repeats("run", records.rows(Kind.REFUSED))
    connected, turned_away = records.rows(Kind.CONNECTED), records.rows(Kind.CONNECT_REFUSED)
    findings: list[Finding] = []
    measured: dict[str, Measurement] = {}
    looked_at = 0
    for what, kind, asked, declined, all_of_them in (
        ("requests", Kind.REFUSED, len(requested), refused, len(requested)),
        ("attempts to connect", Kind.CONNECT_REFUSED, len(connected), turned_away, len(connected) + len(turned_away)),
    ):
        if not records.records(kind):
            continue
        looked_at += asked
        share = len(declined) / all_of_them if all_of_them else 0.0
        measured[f"share of {what} refused"] = Measurement(share, "share", "lower")
        if share <= objectives.refused:
            continue
        message = f"{share:.2%} of the {what} were refused; the objective is {objectives.refused:.2%} at most"
        findings.append(Finding(message=message))
        for row in declined[:SLOWEST_SHOWN].tolist():
            findings.append(records.finding(row, f"refused with {records.text('detail', row)}"))
    return CheckResult(
        check="refusals",
        question="Were no more requests and connections refused than the objective allows?",
        looked_at=looked_at,
        unit="requests and connections",
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def _answers(records: Records, keep: Literal["first", "last"]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of answered requests, and those of their first or last event at a client."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    of_each: Callable[..., np.ndarray] = records.first_of_each if keep == "first" else records.last_of_each
    events = of_each("run", records.rows(Kind.RECEIVED))[records.codes["run"][requested]]
    return requested[events >= 0], events[events >= 0]


def _p95(seconds: np.ndarray) -> float:
    return float(np.quantile(seconds, 0.95))


def _slowest(records: Records, rows: np.ndarray, seconds: np.ndarray, allowed: float) -> list[Finding]:
    slow = np.flatnonzero(seconds > allowed)
    slow = slow[np.argsort(-seconds[slow], kind="stable")[:SLOWEST_SHOWN]]
    return [
        records.finding(row, f"{records.text('event', row)} took {took * 1000:.1f} ms")
        for row, took in zip(rows[slow].tolist(), seconds[slow].tolist(), strict=True)
    ]


def _table(records: Records, rows: np.ndarray, *columns: str) -> pd.DataFrame:
    """Some columns of some rows; texts as texts."""
    values = {}
    for name in columns:
        is_text = name in records.codes
        values[name] = (
            np.array(records.tables[name], object)[records.codes[name][rows]]
            if is_text
            else records.numbers[name][rows]
        )
    return pd.DataFrame(values)

"""Checks of objectives: how long events and first answers take, and how many requests are refused."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Finding, Measurement, counted
from netra_sim.checks.statistics import is_beyond_chance, nearest_rank
from netra_sim.history import CONTROL_LATENCY, History, Kind, Objectives

SLOWEST_SHOWN = 10

LATENCIES, CONNECTIONS = "latencies judged", "connections judged"
"""The figures without which a claim about a quantile proves nothing."""

_TOLERANCE = 1e-6
"""Seconds by which a figure may exceed its objective: less than any clock tells."""


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
    """Hold the latencies against the objectives; the findings name the slowest events.

    The time that an event spends on a line whose latency is known is not the system's, and is left out. A quantile or a mean
    is missed if it exceeds its objective over all events, and if more connections are late than chance brings: a connection
    is late if one event in twenty on it takes longer than the objective. One slow line among a few is no finding.

    Where a bare echo was measured at the same time and took more than half of the objective, the machine was busy: a miss by
    no more than what the echo took is not judged.
    """
    published, arrived = records.deliveries
    times, due = records.numbers["time"], records.numbers["due"]
    (first_asked, firsts), (last_asked, lasts) = _answers(records, "first"), _answers(records, "last")
    connections, users = records.codes["connection"], records.codes["user"]
    took = times[arrived] - times[published] - _line_latencies(records)[connections[arrived]]
    events = _Measured("delivery of events", published, took, connections[arrived])
    first = _Measured("first event of a request", firsts, times[firsts] - due[first_asked], users[firsts])
    last = _Measured("last event of a request", lasts, times[lasts] - due[last_asked], users[lasts])
    judged = [
        _judge(records, events, "mean", np.mean, objectives.delivery_mean),
        _judge(records, events, "p95", _p95, objectives.delivery_p95),
        _judge(records, first, "p95", _p95, objectives.first_event_p95),
        _judge(records, last, "p95", _p95, objectives.response_p95),
    ]
    findings = tuple(finding for one in judged for finding in one.findings)
    measured = {name: figure for one in judged for name, figure in one.measured.items()}
    known = took[~np.isnan(took)]
    measured[LATENCIES] = counted(len(known))
    measured[CONNECTIONS] = counted(len(np.unique(connections[arrived])))
    return CheckResult(
        check="latency",
        question="Did events and first answers come within their objectives?",
        looked_at=len(known) + len(firsts) + len(lasts),
        unit="latencies",
        found=len(findings),
        findings=findings,
        measured=measured,
        inconclusive=next((one.busy for one in judged if one.busy), ""),
    )


class _Measured(NamedTuple):
    """Latencies of one kind: their rows, seconds, and what each was measured on: a connection, or a user's."""

    name: str
    rows: np.ndarray
    seconds: np.ndarray
    on: np.ndarray


class _Judged(NamedTuple):
    measured: dict[str, Measurement]
    findings: list[Finding]
    busy: str


def _judge(
    records: Records, of: _Measured, figure: str, compute: Callable[[np.ndarray], float], allowed: float
) -> _Judged:
    is_known = ~np.isnan(of.seconds)
    rows, seconds, on = of.rows[is_known], of.seconds[is_known], of.on[is_known]
    if not len(seconds):
        return _Judged({}, [], "")
    value = float(compute(seconds))
    measured = {f"{of.name}, {figure}": Measurement(value, "s", "lower")}
    if not _is_missed(seconds, on, value, allowed):
        return _Judged(measured, [], "")
    echo = _control(records)
    if echo > allowed / 2 and not _is_missed(seconds, on, value, allowed + echo):
        busy = f"the machine was busy: a bare echo took p95 {echo * 1000:.0f} ms at the same time"
        return _Judged(measured, [], f"{busy}, and {of.name} {value * 1000:.0f} ms ({figure})")
    over = int((seconds > allowed + _TOLERANCE).sum())
    message = (
        f"{of.name}: {figure} is {value * 1000:.1f} ms, {(value - allowed) * 1000:.1f} ms over the objective of "
        f"{allowed * 1000:.1f} ms; {over} of {len(seconds)} took longer"
    )
    return _Judged(measured, [Finding(message=message), *_slowest(records, rows, seconds, allowed)], "")


def _is_missed(seconds: np.ndarray, on: np.ndarray, value: float, allowed: float) -> bool:
    if value <= allowed + _TOLERANCE:
        return False
    total, late = np.bincount(on), np.bincount(on, seconds > allowed + _TOLERANCE)
    connections = int(np.count_nonzero(total))
    return is_beyond_chance(int(np.count_nonzero((late > 0) & (late * 20 >= total))), connections)


def _line_latencies(records: Records) -> np.ndarray:
    """For each connection, by its code, the seconds that its line takes by itself; 0 where that is not known."""
    attached = records.rows(Kind.ATTACHED)
    known = attached[~np.isnan(records.numbers["value"][attached])]
    found = np.zeros(len(records.tables["connection"]))
    found[records.codes["connection"][known]] = records.numbers["value"][known]
    return found


def _control(records: Records) -> float:
    """The p95 of the bare echo that was measured at the same time, in seconds; 0 without one."""
    samples = records.rows(Kind.SAMPLE)
    echoes = records.numbers["value"][samples[records.one_of("detail", samples, CONTROL_LATENCY)]]
    return _p95(echoes) if len(echoes) else 0.0


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
    return nearest_rank(seconds, 0.95)


def _slowest(records: Records, rows: np.ndarray, seconds: np.ndarray, allowed: float) -> list[Finding]:
    slow = np.flatnonzero(seconds > allowed + _TOLERANCE)
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

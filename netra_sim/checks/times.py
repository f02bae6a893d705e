"""The check of times: timestamps go forward and are of their time, and nothing comes before what causes it."""

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Observation
from netra_sim.history import Kind, Objectives

SPAN_TOLERANCE = 3_600.0
"""Seconds by which a timestamp may lie outside the recording: a wall clock may be set meanwhile."""

_WALL_CLOCK = 1e9
"""Times from here on count seconds since 1970; those before count from whenever their source began."""

_APART, _APART_IN_LOGS = 0.001, 0.050
"""Seconds by which an effect may seem to come first.

A log has the clocks of several machines, which NTP keeps within tens of milliseconds over the internet (RFC 5905, 1).
"""

_ALIKE_AFTER = 2.0
"""Seconds between a run's first and last event from which on their timestamps must differ: some count in whole seconds."""


@define(
    "timestamps",
    question="Do all times run forward: timestamps of a run, publishing before receiving, requests before answers?",
    unit="times",
)
def timestamps(records: Records, objectives: Objectives) -> Observation:
    """Look at the timestamps that clients see, and at the times of the history itself.

    Timestamps run forward within each run, differ, and lie within the recording. Nothing comes before what causes it: no
    event is received before it is published, no request is answered before it is made, no scope and no connection ends
    before it begins. Where most of what a user received is early, the clock of that user's client is behind; one finding
    says so for all such users, as each event would only say it again.
    """
    arrivals, stamps, times = records.arrivals, records.numbers["value"], records.numbers["time"]
    messages: dict[int, str] = {}
    stamped = arrivals.rows[~np.isnan(stamps[arrivals.rows])]
    for row in _alike(records).tolist():
        messages[row] = "all events of the run have the same timestamp, though they were published over seconds"
    for row in _outside(records, stamped).tolist():
        is_zero = stamps[row] == 0
        what = "the timestamp 0" if is_zero else f"a timestamp outside of the recording, {stamps[row]:.3f}"
        messages[row] = f"{records.text('event', row)} has {what}"
    steps = arrivals.steps(stamps)
    back = steps < 0
    for row, by in zip(arrivals.rows[back].tolist(), (-steps[back]).tolist(), strict=True):
        messages[row] = f"{records.text('event', row)} is stamped {by:.3f} s before the event before it"
    compared = len(stamped)
    for begins, ends in ((Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED), (Kind.CONNECTED, Kind.DISCONNECTED)):
        both, wrong = _ended_first(records, begins, ends)
        compared += both
        messages |= {row: _ended(records, row) for row in wrong.tolist()}
    causes, effects, by_seconds = _causes_and_effects(records)
    is_early = by_seconds > _apart(records)
    is_skewed = is_early & _is_of_skewed_clock(records, effects, is_early)
    for index in np.flatnonzero(is_early & ~is_skewed).tolist():
        row, cause = int(effects[index]), int(causes[index])
        before = "it was published" if records.numbers["kind"][cause] == Kind.PUBLISHED else "its run was asked for"
        by = times[cause] - times[row]
        messages[row] = f"{records.text('event', row)} was received {by:.3f} s before {before}"
    skew = _skew(records, effects[is_skewed], by_seconds[is_skewed])
    rows = np.array(sorted(messages), np.int64)
    return Observation(
        looked_at=compared + len(effects),
        found=len(rows) + len(skew),
        findings=(*skew, *records.findings(rows, messages.__getitem__))[:FINDINGS_SHOWN],
    )


def _skew(records: Records, effects: np.ndarray, by: np.ndarray) -> list[Finding]:
    if not len(effects):
        return []
    users = np.unique(records.codes["user"][effects])
    least, middle, most = (float(value) for value in np.quantile(by, (0, 0.5, 1), method="inverted_cdf"))
    message = (
        f"the clients' clock is about {middle:.3f} s behind the server's for {len(users):,} users: they received "
        f"{len(effects):,} events before these were published or asked for, by {least:.3f} to {most:.3f} s"
    )
    return [records.finding(int(effects[0]), message)]


def received_too_early(records: Records) -> int:
    """How many events were received before they were published, or before their run was asked for."""
    _, _, by = _causes_and_effects(records)
    return int((by > _apart(records)).sum())


def _apart(records: Records) -> float:
    return _APART_IN_LOGS if records.meta.get("source") == "log" else _APART


def _causes_and_effects(records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of published events and first requests, those of what was received of them, and by how many s it is early."""
    times = records.numbers["time"]
    published, arrived = records.deliveries
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    requested = requested[records.has("run", requested)]
    answers = records.first_of_each("run", records.rows(Kind.RECEIVED))[records.codes["run"][requested]]
    causes = np.concatenate([published, requested[answers >= 0]])
    effects = np.concatenate([arrived, answers[answers >= 0]])
    by = times[causes] - times[effects]
    is_known = ~np.isnan(by)
    return causes[is_known], effects[is_known], by[is_known]


def _is_of_skewed_clock(records: Records, effects: np.ndarray, is_early: np.ndarray) -> np.ndarray:
    """For each effect whether most of those of its user are early, and of more than one event."""
    users = records.codes["user"][effects]
    early = np.bincount(users[is_early], minlength=len(records.tables["user"]))
    of_all = np.bincount(users, minlength=len(records.tables["user"]))
    return np.asarray(((early > 1) & (2 * early > of_all))[users])


def _ended_first(records: Records, begins: Kind, ends: Kind) -> tuple[int, np.ndarray]:
    """How many ends there are of what has a beginning, and the rows of those that come before it."""
    times, column = records.numbers["time"], "run" if begins == Kind.SCOPE_OPENED else "connection"
    began = records.first_of_each(column, records.rows(begins))
    ended = records.rows(ends)
    ended = ended[records.has(column, ended) & (began[records.codes[column][ended]] >= 0)]
    by = times[began[records.codes[column][ended]]] - times[ended]
    return int((~np.isnan(by)).sum()), ended[by > _apart(records)]


def _ended(records: Records, row: int) -> str:
    is_scope = records.numbers["kind"][row] == Kind.SCOPE_CLOSED
    what = f"scope of run {records.text('run', row)}" if is_scope else f"connection {records.text('connection', row)}"
    return f"the {what} ended before it began"


def _outside(records: Records, stamped: np.ndarray) -> np.ndarray:
    """The rows of received events whose timestamps are not of the recording's time, or 0 when time has passed."""
    stamps, times = records.numbers["value"][stamped], records.numbers["time"]
    is_zero = (stamps == 0) & (times[stamped] > 0)
    began = float(records.meta.get("began", 0.0))
    if began < _WALL_CLOCK or not len(stamped):
        return np.asarray(stamped[is_zero])
    ended = began + float(np.nanmax(times, initial=0.0))
    return np.asarray(stamped[is_zero | (stamps < began - SPAN_TOLERANCE) | (stamps > ended + SPAN_TOLERANCE)])


def _alike(records: Records) -> np.ndarray:
    """The rows of last events of runs of three or more that went on for seconds, and are all stamped alike."""
    times, (published, arrived) = records.numbers["time"], records.deliveries
    if not records.records(Kind.PUBLISHED):
        published = arrived = records.arrivals.rows
    runs = records.keys("connection", "user", "run", "use")[arrived]
    order = np.argsort(runs, kind="stable")
    runs, published, arrived = runs[order], published[order], arrived[order]
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    if not len(starts):
        return published[:0]
    stamps, lasts = records.numbers["value"][arrived], np.append(starts[1:], len(runs)) - 1
    span = np.maximum.reduceat(times[published], starts) - np.minimum.reduceat(times[published], starts)
    is_alike = np.maximum.reduceat(stamps, starts) == np.minimum.reduceat(stamps, starts)
    return np.asarray(arrived[lasts[is_alike & (span > _ALIKE_AFTER) & (lasts - starts >= 2)]])

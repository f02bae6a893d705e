"""The check of times: timestamps run forward and lie within the recording, and no effect comes before its cause."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Observation
from netra_sim.history import Kind, Objectives

SPAN_TOLERANCE = 3_600.0
"""Seconds by which a timestamp may lie outside the recording: the wall clock may be set during it."""

_WALL_CLOCK = 1e9
"""Times from this one on count seconds since 1970; smaller ones count from the start of their source."""

_APART, _APART_IN_LOGS = 0.001, 0.050
"""Seconds by which an effect may seem to come before its cause, in a recorded history and in a log.

A log has the times of several machines' clocks, which NTP keeps within tens of milliseconds (RFC 5905, section 1).
"""

_EQUAL_WITHIN = 2.0
"""Seconds of publishing within which the timestamps of a run may be equal: some systems stamp whole seconds."""


@define(
    "timestamps",
    question="Do all times run forward: timestamps of a run, publishing before receiving, requests before answers?",
    unit="times",
)
def timestamps(records: Records, objectives: Objectives) -> Observation:
    """Judge the timestamps in received events, and the times of the history's records.

    The findings about timestamps are:

    - a timestamp before that of the event before it, in one run on one connection;
    - equal timestamps of all events of a run, if it has three or more and they were published over more than 2 s (received,
      if the history does not record publishing);
    - a timestamp of 0 although time has passed, or one more than an hour outside of the recording. The latter is judged only
      if the recording has a date.

    The findings about times are an effect before its cause by more than 1 ms, or by more than 50 ms in a log: an event
    received before it was published, the first event of a run received before its request, a scope closed before it opened,
    a connection closed before it opened.

    If most events that a user received are early, and more than one, the clock of that user's client is behind. One finding
    then stands for all early events of all such users.
    """
    arrivals, stamps, times = records.arrivals, records.numbers["value"], records.numbers["time"]
    messages: dict[int, str] = {}
    stamped = arrivals.rows[~np.isnan(stamps[arrivals.rows])]
    for row in _all_equal(records).tolist():
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
    """How many events were received before they were published, or before the request for their run."""
    _, _, by = _causes_and_effects(records)
    return int((by > _apart(records)).sum())


def _apart(records: Records) -> float:
    return _APART_IN_LOGS if records.meta.get("source") == "log" else _APART


def _causes_and_effects(records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of published events and requests, of the events received of them, and how many seconds these are early."""
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
    """For each effect whether more than half of its user's effects, and more than one, are early."""
    users = records.codes["user"][effects]
    early = np.bincount(users[is_early], minlength=len(records.tables["user"]))
    of_all = np.bincount(users, minlength=len(records.tables["user"]))
    return np.asarray(((early > 1) & (2 * early > of_all))[users])


def _ended_first(records: Records, begins: Kind, ends: Kind) -> tuple[int, np.ndarray]:
    """How many ends have a beginning, and the rows of the ends that come before their beginning."""
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
    """The rows of received events with a timestamp outside of the recording, or one of 0 after time has passed."""
    stamps, times = records.numbers["value"][stamped], records.numbers["time"]
    is_zero = (stamps == 0) & (times[stamped] > 0)
    began = float(records.meta.get("began", 0.0))
    if began < _WALL_CLOCK or not len(stamped):
        return np.asarray(stamped[is_zero])
    ended = began + float(np.nanmax(times, initial=0.0))
    return np.asarray(stamped[is_zero | (stamps < began - SPAN_TOLERANCE) | (stamps > ended + SPAN_TOLERANCE)])


def _all_equal(records: Records) -> np.ndarray:
    """The last events of runs of three or more events with equal timestamps that were published over more than 2 s."""
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
    return np.asarray(arrived[lasts[is_alike & (span > _EQUAL_WITHIN) & (lasts - starts >= 2)]])

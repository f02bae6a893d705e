"""The check of silence: what users see comes while the work goes on, without long pauses, and not all at the end."""

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import FINDINGS_SHOWN, Measurement, Observation
from netra_sim.history import Kind, Objectives

HELD_BACK = 0.05
"""The part of a run's time within which its events arrive if they were held back to its end."""

CLOCK_TOLERANCE = 0.001
"""Seconds by which a pause may exceed its objective."""

_SHORTEST, _FEWEST = 2.0, 4
"""Seconds that a run lasts, and events that it has, before anyone can say that they were held back."""


@define("silence", question="Did every user see a run's events while it went on, without long pauses?", unit="pauses")
def silence(records: Records, objectives: Objectives) -> Observation:
    """Look at every run as one connection received it, from the request on.

    A pause between two events, or between the request and the first event, must not exceed its objective. Of a run of at
    least 4 events that goes on for 2 s, the events after the first must not come within a twentieth of the time over which
    they were published, and must not all come in the last twentieth of the run. From its beginning on, a run is judged on
    connections that were open then: a client that was away has not been kept waiting. Where a fault was on meanwhile, its
    client may have stopped reading, so that only pauses count.
    """
    times = records.numbers["time"]
    arrivals = records.arrivals
    rows, starts = arrivals.rows, np.flatnonzero(arrivals.is_first)
    if not len(starts):
        rows, starts = rows[:0], starts[:0]
    pauses = arrivals.steps(times)
    began = _began(records, rows[starts])
    pauses[starts] = times[rows[starts]] - began
    too_long = np.flatnonzero(pauses > objectives.silence + CLOCK_TOLERANCE)
    held, lasted = _held_back(records, rows, starts, began)
    messages: dict[int, str] = {}
    for row, seconds in list(zip(rows[held].tolist(), lasted.tolist(), strict=True))[:FINDINGS_SHOWN]:
        messages[row] = (
            f"the events of a run that went on for {seconds:.1f} s were held back and came together at its end"
        )
    for index in too_long[np.argsort(-pauses[too_long], kind="stable")[:FINDINGS_SHOWN]].tolist():
        what = "the request" if arrivals.is_first[index] else "the event before"
        messages[int(rows[index])] = (
            f"{records.text('event', int(rows[index]))} came {pauses[index]:.3f} s after {what}; the objective is "
            f"{objectives.silence:g} s"
        )
    found = len(np.union1d(too_long, held))
    longest = float(np.nanmax(pauses)) if len(pauses) and not np.isnan(pauses).all() else 0.0
    return Observation(
        looked_at=int((~np.isnan(pauses)).sum()),
        found=found,
        findings=records.findings(np.array(sorted(messages), np.int64), messages.__getitem__),
        measured={"longest pause": Measurement(longest, "s", "lower")},
    )


def _began(records: Records, firsts: np.ndarray) -> np.ndarray:
    """For the first event of each run on a connection when the run had begun, NaN if it was not open, or nobody knows."""
    times = records.numbers["time"]
    if not records.records(Kind.CONNECTED):
        return np.full(len(firsts), np.nan)
    published = records.rows(Kind.PUBLISHED)
    begun = _last_before(records, "run", firsts, published[records.numbers["seq"][published] == 0])
    asked = _last_before(records, "run", firsts, records.rows(Kind.REQUESTED))
    since = np.where(asked >= 0, asked, begun)
    opened = _last_before(records, "connection", firsts, records.rows(Kind.CONNECTED))
    began = np.where(since >= 0, times[since], np.nan)
    return np.where((opened >= 0) & (times[opened] <= began), began, np.nan)


def _last_before(records: Records, column: str, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of the rows the last of the others before it with the same text in a column, or -1."""
    texts, span = records.codes[column].astype(np.int64), len(records)
    places = np.sort(texts[others] * span + others)
    at = np.searchsorted(places, texts[rows] * span + rows) - 1
    found = np.append(places, -1)[at]
    return np.where((found >= 0) & (found // max(1, span) == texts[rows]), found % max(1, span), -1)


def _held_back(
    records: Records, rows: np.ndarray, starts: np.ndarray, began: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where runs begin whose events were held back to the end, and for how many seconds these runs went on.

    Either they were published over a time and arrived within a small part of it; or the first came, and nothing more came
    until all others did.

    Args:
        records: whose events.
        rows: of all arrivals, run after run.
        starts: where each run begins in them.
        began: for each run when it began.
    """
    ends = np.append(starts, len(rows))[1:]
    is_long = (ends - starts >= _FEWEST) & ~np.isnan(began)
    starts, ends, began = starts[is_long], ends[is_long], began[is_long]
    times = records.numbers["time"]
    published, arrived = records.deliveries
    sent_at = np.full(len(records), np.nan)
    sent_at[arrived] = times[published]
    first, second, last = rows[starts], rows[starts + 1], rows[ends - 1]
    lasted = times[last] - began
    together = times[last] - times[second]
    over = sent_at[last] - sent_at[second]
    came_at_once = (over > _SHORTEST) & (together < HELD_BACK * over)
    is_early = times[first] - began < lasted / 2
    came_after_the_first = (lasted > _SHORTEST) & is_early & (together < HELD_BACK * lasted)
    is_held = (came_at_once | came_after_the_first) & ~_meets_a_fault(records, began, times[last])
    return starts[is_held], lasted[is_held]


def _meets_a_fault(records: Records, began: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """For each span of time whether a fault was on in it."""
    times = records.numbers["time"]
    changes = records.rows(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
    if not len(changes):
        return np.zeros(len(began), bool)
    on = np.cumsum(np.where(records.numbers["kind"][changes] == Kind.FAULT_BEGAN, 1, -1)) > 0
    before = np.searchsorted(times[changes], began, side="right") - 1
    is_on_then = (before >= 0) & on[before]
    begins_meanwhile = np.searchsorted(times[changes], ended, side="left") - 1 > before
    return np.asarray(is_on_then | begins_meanwhile)

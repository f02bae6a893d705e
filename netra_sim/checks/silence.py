"""The check of silence: users receive a run's events while it goes on, without long pauses, and not all at the end."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.judging import Judgement, Sample
from netra_sim.checks.records import Records
from netra_sim.checks.results import FINDINGS_SHOWN, Measurement, Observation
from netra_sim.history import Kind, Objectives, bounds_of

HELD_BACK = 0.05
"""The share of a run's time within which the events arrive if they were held back to its end."""

CLOCK_TOLERANCE = 0.001
"""Seconds by which a pause may exceed its objective."""

_SHORTEST, _FEWEST = 2.0, 4
"""The seconds and the number of events from which on a run can show that its events were held back."""


@define("silence", question="Did every user see a run's events while it went on, without long pauses?", unit="pauses")
def silence(records: Records, objectives: Objectives) -> Observation:
    """Judge every run as each connection received it: its pauses, and whether its events were held back.

    A pause is the time between two events, or between the beginning of the run and its first event. It must not exceed the
    objective `silence`. A run begins with its latest request before the first event, or without a request with the
    publishing of number 0. The beginning counts only for connections that were open then: a client that was away did not
    wait.

    Held back means that the events from the second to the last one arrive nearly at once. It is judged on connections with
    a known beginning and at least 4 events of the run, and is a finding in two cases:

    - These events were published over more than 2 s, and arrive within a twentieth of that time.
    - The run lasts more than 2 s from its beginning to the last arrival, the first event arrives in the first half of that
      time, and all other events arrive within its last twentieth.

    The objectives `silence_p50`, `silence_p95` and `silence_p99` are about all pauses, by the rules of the check `latency`.

    Example: the first event of a run arrives after 1 s, and the other nine between 59.5 and 60 s: held back.

    If a fault was on during the run, only pauses count, since the client may have stopped reading.

    In the history of another system, a run begins with its request even if its connection was opened for it. Whether its
    events were held back is judged by when services worked for the run, instead of by when events were published, and only
    if that is recorded: a model that answers late and at once holds nothing back.
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
    judgement = Judgement()
    judgement.judge(records, Sample("pauses", rows, rows, pauses), bounds_of(objectives, "silence"))
    longest = float(np.nanmax(pauses)) if len(pauses) and not np.isnan(pauses).all() else 0.0
    single = records.findings(np.array(sorted(messages), np.int64), messages.__getitem__)
    return Observation(
        looked_at=int((~np.isnan(pauses)).sum()),
        found=len(np.union1d(too_long, held)) + len(judgement.findings),
        findings=(*judgement.findings, *single)[:FINDINGS_SHOWN],
        measured=judgement.measured | {"longest pause": Measurement(longest, "s", "lower", objectives.silence)},
        inconclusive="; ".join(judgement.weak),
    )


def _began(records: Records, firsts: np.ndarray) -> np.ndarray:
    """For the first event of each run on a connection the time at which the run began; NaN if unknown or not yet open."""
    times = records.numbers["time"]
    if not records.records(Kind.CONNECTED):
        return np.full(len(firsts), np.nan)
    published = records.rows(Kind.PUBLISHED)
    begun = _last_before(records, "run", firsts, published[records.numbers["seq"][published] == 0])
    asked = _last_before(records, "run", firsts, records.rows(Kind.REQUESTED))
    since = np.where(asked >= 0, asked, begun)
    opened = _last_before(records, "connection", firsts, records.rows(Kind.CONNECTED))
    began = np.where(since >= 0, times[since], np.nan)
    if records.is_foreign:
        # A later connection that goes on with the run does not wait since the request.
        waits = records.first_of_run(firsts, records.rows(Kind.RECEIVED)) == firsts
    else:
        waits = (opened >= 0) & (times[opened] <= began)
    return np.where(waits, began, np.nan)


def _last_before(records: Records, column: str, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each row the last of the others before it with the same text in a column, or -1."""
    texts, span = records.codes[column].astype(np.int64), len(records)
    places = np.sort(texts[others] * span + others)
    at = np.searchsorted(places, texts[rows] * span + rows) - 1
    found = np.append(places, -1)[at]
    return np.where((found >= 0) & (found // max(1, span) == texts[rows]), found % max(1, span), -1)


def _held_back(
    records: Records, rows: np.ndarray, starts: np.ndarray, began: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The starts of the runs with events that were held back, and how many seconds these runs lasted; see `silence`.

    Args:
        records: of the history.
        rows: the rows of all arrivals, run after run.
        starts: for each run the index of its first arrival in ``rows``.
        began: for each run the time at which it began.
    """
    ends = np.append(starts, len(rows))[1:]
    is_long = (ends - starts >= _FEWEST) & ~np.isnan(began)
    starts, ends, began = starts[is_long], ends[is_long], began[is_long]
    times = records.numbers["time"]
    first, second, last = rows[starts], rows[starts + 1], rows[ends - 1]
    lasted = times[last] - began
    together = times[last] - times[second]
    over = _worked_for(records, last) if records.is_foreign else _published_over(records, second, last)
    came_at_once = (over > _SHORTEST) & (together < HELD_BACK * over)
    is_early = times[first] - began < lasted / 2
    came_after_the_first = (lasted > _SHORTEST) & is_early & (together < HELD_BACK * lasted) & (not records.is_foreign)
    is_held = (came_at_once | came_after_the_first) & ~records.meets_a_fault(began, times[last])
    return starts[is_held], lasted[is_held]


def _published_over(records: Records, second: np.ndarray, last: np.ndarray) -> np.ndarray:
    """For each run the seconds from the publishing of its second to that of its last event; NaN if unknown."""
    published, arrived = records.deliveries
    sent_at = np.full(len(records), np.nan)
    sent_at[arrived] = records.numbers["time"][published]
    return np.asarray(sent_at[last] - sent_at[second])


def _worked_for(records: Records, last: np.ndarray) -> np.ndarray:
    """For each run the seconds from the first to the last unit of work for it before its last arrival; NaN if unknown."""
    times, worked = np.append(records.numbers["time"], np.nan), records.rows(Kind.WORKED)
    worked = worked[records.last_of_run(worked, np.sort(last)) > worked]
    first_unit, last_unit = records.first_of_run(last, worked), records.last_of_run(last, worked)
    return np.asarray(times[last_unit] - times[first_unit])

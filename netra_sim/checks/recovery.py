"""The check of recovery: how long after a fault's end the users whom it had hit are served as before."""

from itertools import pairwise

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.clients import LEAVING
from netra_sim.checks.records import FINAL, Records, running_max
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation, counted
from netra_sim.history import Kind, Objectives

_SERVICE = (Kind.PUBLISHED, Kind.RECEIVED, Kind.CONNECTED, Kind.DISCONNECTED)
"""What a history must tell of, or nobody can say whether users are served."""

_IN_A_ROW = 20

UNREADY = ("not_ready", "shutting_down")
"""Codes with which a request is refused because the system is not there, and not because of the request."""


@define("recovery", question="Was every user served as before, soon after each fault had ended?", unit="ends of faults")
def recovery(records: Records, objectives: Objectives) -> Observation:
    """Measure the time from the end of each disturbance until each user is served as before.

    A disturbance lasts as long as at least one fault is on; a calm lasts from its end to the next fault or to the end of the
    history. In a calm a user is served as before from the latest of these times on:

    - who had lost the last connection to a fault, or was turned away, before the calm: when they are connected again;
    - who had an event on its way when the calm began: when the last of those arrives;
    - whose events go on being late: when the last of those arrives that were published before the one before had arrived.
      An event is late if it takes longer than the objective for 95 of 100 events; a late event in the middle of timely
      ones is no part of the disturbance;
    - whose late events were published while the whole system was slow: when the last of those arrives. It is slow as long as
      of every 20 events in a row, from the beginning of the calm on, more than half are late;
    - who is refused because the system is not ready: then, at least, it is not yet back;
    - who had asked before the calm and never gets an end or a refusal: never.

    A user who does not come back, and waits for nothing, has left. Where another fault begins first, only the time until
    then counts. A fault that does not end within the history has nothing to recover from.
    """
    calms = _calms(records)
    published, arrived = records.deliveries
    is_late = records.numbers["time"][arrived] - records.numbers["time"][published] > objectives.delivery_p95
    late = published[is_late], arrived[is_late]
    hit: list[np.ndarray] = []
    found: list[Finding] = []
    for begin, end in calms:
        slow_until = _slow_until(published, is_late, begin, end)
        seconds = _recoveries(records, begin, end, slow_until, *late)
        hit.append(seconds[seconds > 0])
        slow = np.flatnonzero(seconds > objectives.recovery)
        for user in slow[np.argsort(-seconds[slow], kind="stable")].tolist():
            found.append(_finding(records, user, begin, float(seconds[user]), objectives.recovery))
    all_hit = np.concatenate(hit) if hit else np.zeros(0)
    back = all_hit[np.isfinite(all_hit)]
    measured = {
        "users hit": counted(len(all_hit)),
        "never served again": Measurement(float(len(all_hit) - len(back)), "count", "lower"),
        "slowest": Measurement(float(back.max(initial=0.0)), "s", "lower"),
        "mean": Measurement(float(back.mean()) if len(back) else 0.0, "s", "lower"),
    }
    return Observation(
        looked_at=len(calms) if records.records(*_SERVICE) else 0,
        found=len(found),
        findings=tuple(found[:FINDINGS_SHOWN]),
        measured=measured if calms else {},
    )


def _calms(records: Records) -> list[tuple[int, int]]:
    """For each end after which no fault is on: its row, and that of the next fault's beginning or the history's length."""
    changes = records.rows(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
    steps = np.where(records.numbers["kind"][changes] == Kind.FAULT_BEGAN, 1, -1)
    is_calm = np.append(np.cumsum(steps) <= 0, False)[: len(changes)]
    rows = [*changes.tolist(), len(records)]
    return [both for both, calm in zip(pairwise(rows), is_calm.tolist(), strict=True) if calm]


def _slow_until(published: np.ndarray, is_late: np.ndarray, begin: int, end: int) -> int:
    """The row before which every `_IN_A_ROW` events that were published in a calm are late for the greater part."""
    first, last = np.searchsorted(published, (begin, end)).tolist()
    last -= (last - first) % _IN_A_ROW
    starts = np.arange(first, last, _IN_A_ROW)
    if not len(starts):
        return begin
    late = np.add.reduceat(is_late[:last], starts, dtype=int)
    timely = np.flatnonzero(2 * late <= np.diff(np.append(starts, last)))
    return int(published[starts[timely[0]]]) if len(timely) else int(published[last - 1]) + 1


def _recoveries(
    records: Records, begin: int, end: int, slow_until: int, late_published: np.ndarray, late_arrived: np.ndarray
) -> np.ndarray:
    """For each user the seconds from the beginning of a calm until they are served as before, 0 if they always were."""
    times, users, runs = records.numbers["time"], records.codes["user"], records.codes["run"]
    served = np.full(len(records.tables["user"]), times[begin])

    def serve(rows: np.ndarray, of: np.ndarray) -> None:
        np.maximum.at(served, users[of], times[rows])

    back = _back_again(records, begin)
    serve(back, back)
    on_their_way = (late_published < slow_until) & (late_arrived > begin)
    serve(late_arrived[on_their_way], late_published[on_their_way])
    in_calm = (late_published > begin) & (late_published < end)
    chained = _chained(records, late_published[in_calm], late_arrived[in_calm], served)
    serve(late_arrived[in_calm][chained], late_published[in_calm][chained])
    refused = records.rows(Kind.REFUSED)
    unready = refused[(refused > begin) & (refused < end) & records.one_of("detail", refused, *UNREADY)]
    serve(unready, unready)
    asked = records.rows(Kind.REQUESTED)
    received = records.rows(Kind.RECEIVED)
    ended = records.first_of_each("run", received[records.one_of("event", received, *FINAL)])
    told = records.first_of_each("run", refused)
    served[users[asked[(asked < begin) & (ended[runs[asked]] < 0) & (told[runs[asked]] < 0)]]] = np.inf
    return np.asarray((np.minimum(served, times[end]) if end < len(records) else served) - times[begin])


def _back_again(records: Records, begin: int) -> np.ndarray:
    """The rows at which users who were cut off when a calm began were connected again."""
    kinds, users = records.numbers["kind"], records.codes["user"]
    changes = records.rows(Kind.CONNECTED, Kind.DISCONNECTED, Kind.CONNECT_REFUSED)
    before, after = changes[changes < begin], changes[changes > begin]
    if not len(before):
        return before
    steps = np.select([kinds[before] == Kind.CONNECTED, kinds[before] == Kind.DISCONNECTED], [1.0, -1.0], 0.0)
    is_open = np.bincount(users[before], steps, len(records.tables["user"])) > 0
    last = records.last_of_each("user", before)
    has_left = (kinds[last] == Kind.DISCONNECTED) & np.isin(records.numbers["value"][last], LEAVING)
    is_cut_off = (last >= 0) & ~is_open & ~has_left
    connected = records.first_of_each("user", after[kinds[after] == Kind.CONNECTED])
    return np.asarray(connected[is_cut_off & (connected >= 0)])


def _chained(records: Records, published: np.ndarray, arrived: np.ndarray, served: np.ndarray) -> np.ndarray:
    """Of late events, those that were published before their user was served as before, in any order.

    Args:
        records: whose events.
        published: their rows.
        arrived: the rows of their arrivals.
        served: for each user the time from which on they would be served as before, but for these events.
    """
    times, users = records.numbers["time"], records.codes["user"]
    order = np.lexsort((published, users[published]))
    user = users[published[order]]
    is_first = np.diff(user, prepend=-1) != 0
    # Until just before each event: when all late ones of its user had arrived.
    until = np.append(np.nan, times[arrived[order]])[:-1]
    until[is_first] = served[user[is_first]]
    until = running_max(np.maximum(until, served[user]), user)
    is_apart = running_max(times[published[order]] > until, user)
    return np.asarray(order[~is_apart])


def _finding(records: Records, user: int, begin: int, seconds: float, allowed: float) -> Finding:
    name, fault = records.tables["user"][user], records.text("detail", begin)
    after = f"served as before {seconds:.1f} s after" if np.isfinite(seconds) else "never served as before after"
    return Finding(
        message=f"{name} was {after} the end of {fault}; the objective is {allowed:.1f} s",
        user=name,
        time=float(records.numbers["time"][begin]),
        row=begin,
    )

"""The check of recovery: how long it takes after a fault until every user is served as before."""

from itertools import pairwise

import numpy as np

from netra_sim.checks.clients import LEAVING
from netra_sim.checks.definition import define
from netra_sim.checks.records import FINAL, Records, running_max
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation, counted
from netra_sim.history import Kind, Objectives

_SERVICE = (Kind.PUBLISHED, Kind.RECEIVED, Kind.CONNECTED, Kind.DISCONNECTED)
"""The kinds of record without which the check is not applicable."""

_EVENTS_PER_BLOCK = 20

UNREADY = ("not_ready", "shutting_down")
"""Refusal codes that mean that the system is down, and not that the request is wrong."""


@define("recovery", question="Was every user served as before, soon after each fault had ended?", unit="ends of faults")
def recovery(records: Records, objectives: Objectives) -> Observation:
    """Measure for each user the time from the end of each disturbance until the user is served as before.

    A disturbance is the time during which at least one fault is on. A calm lasts from the end of a disturbance to the next
    fault, or to the end of the history. An event is late if its delivery takes longer than the objective `delivery_p95`.
    In a calm, a user is served as before from the latest of these times on, or at once if none applies:

    - Connection: the user had no open connection when the calm began, because the last one broke or the server refused to
      connect. Served when the user next connects.
    - Backlog: late events were on their way when the calm began. Served when the last of them arrives.
    - Slow system: late events were published before the end of the slow time. Served when the last of them arrives. The
      calm's published events are split into blocks of 20; the system is slow until the first block of which at most half
      is late, or, without such a block, until the last full block ends.
    - Chain: late events were published in the calm before the time that the rules above give. Each of them delays that time
      to its arrival. Example: the calm begins at 10 s, the user reconnects at 12 s, and late events are published at
      11 s (arrives at 13 s), 12.5 s (arrives at 15 s) and 16 s. The first two delay the time to 15 s; the third starts
      after 15 s, so it does not count.
    - Refusal: the user's request is refused during the calm with one of the codes `UNREADY`. Served no earlier than that.
    - Lost request: the user asked before the calm, and the run never gets a final event or a refusal. Never served.
      A run that its user left by choice does not count.

    A user who closed the last connection with a code of `LEAVING`, or who never connects again, counts as gone: only the
    other rules apply. If another fault begins, time counts only up to its beginning. A fault without an end in the history
    is not judged. In the history of another system nothing is judged: it does not say when events were published.
    """
    if records.is_foreign:
        return Observation(0, inconclusive="when events were published is not recorded: not judged")
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
        "slowest": Measurement(float(back.max(initial=0.0)), "s", "lower", objectives.recovery),
        "mean": Measurement(float(back.mean()) if len(back) else 0.0, "s", "lower"),
    }
    return Observation(
        looked_at=len(calms) if records.records(*_SERVICE) else 0,
        found=len(found),
        findings=tuple(found[:FINDINGS_SHOWN]),
        measured=measured if calms else {},
    )


def _calms(records: Records) -> list[tuple[int, int]]:
    """Each calm: the row of the fault's end, and the row of the next fault's beginning or the history's length."""
    changes = records.rows(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
    steps = np.where(records.numbers["kind"][changes] == Kind.FAULT_BEGAN, 1, -1)
    is_calm = np.append(np.cumsum(steps) <= 0, False)[: len(changes)]
    rows = [*changes.tolist(), len(records)]
    return [both for both, calm in zip(pairwise(rows), is_calm.tolist(), strict=True) if calm]


def _slow_until(published: np.ndarray, is_late: np.ndarray, begin: int, end: int) -> int:
    """The row at which the slow time of a calm ends, as the check defines it; ``begin`` if the system is not slow."""
    first, last = np.searchsorted(published, (begin, end)).tolist()
    last -= (last - first) % _EVENTS_PER_BLOCK
    starts = np.arange(first, last, _EVENTS_PER_BLOCK)
    if not len(starts):
        return begin
    late = np.add.reduceat(is_late[:last], starts, dtype=int)
    timely = np.flatnonzero(2 * late <= np.diff(np.append(starts, last)))
    return int(published[starts[timely[0]]]) if len(timely) else int(published[last - 1]) + 1


def _recoveries(
    records: Records, begin: int, end: int, slow_until: int, late_published: np.ndarray, late_arrived: np.ndarray
) -> np.ndarray:
    """For each user the seconds from the beginning of a calm until the user is served as before; 0 for served at once."""
    times, users, runs = records.numbers["time"], records.codes["user"], records.codes["run"]
    served = np.full(len(records.tables["user"]), times[begin])

    def serve(rows: np.ndarray, of: np.ndarray) -> None:
        np.maximum.at(served, users[of], times[rows])

    back = _back_again(records, begin)
    serve(back, back)
    is_backlog = (late_published < slow_until) & (late_arrived > begin)
    serve(late_arrived[is_backlog], late_published[is_backlog])
    in_calm = (late_published > begin) & (late_published < end)
    chained = _chained(records, late_published[in_calm], late_arrived[in_calm], served)
    serve(late_arrived[in_calm][chained], late_published[in_calm][chained])
    refused = records.rows(Kind.REFUSED)
    unready = refused[(refused > begin) & (refused < end) & records.one_of("detail", refused, *UNREADY)]
    serve(unready, unready)
    asked = records.awaited(records.rows(Kind.REQUESTED))
    ended = records.first_of_each("run", records.rows_with(Kind.RECEIVED, "event", *FINAL))
    declined = records.first_of_each("run", refused)
    served[users[asked[(asked < begin) & (ended[runs[asked]] < 0) & (declined[runs[asked]] < 0)]]] = np.inf
    return np.asarray((np.minimum(served, times[end]) if end < len(records) else served) - times[begin])


def _back_again(records: Records, begin: int) -> np.ndarray:
    """The rows at which users who had no connection when a calm began, and had not left, next connected."""
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
    """The late events that delay the time at which their user is served as before, as indices in any order.

    Args:
        records: of the history.
        published: the rows of late events.
        arrived: the rows of their arrivals.
        served: for each user the time of being served as before, without regard to these events.
    """
    times, users = records.numbers["time"], records.codes["user"]
    order = np.lexsort((published, users[published]))
    user = users[published[order]]
    is_first = np.diff(user, prepend=-1) != 0
    # For each event the time at which all earlier late events of its user had arrived.
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

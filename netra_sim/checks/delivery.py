"""The checks of delivery: every client gets what it is owed, once and in order, or learns of the gap; no claim is false."""

from collections.abc import Mapping

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.clients import LEAVING, Clients
from netra_sim.checks.owing import IN_FLIGHT, excused, owed
from netra_sim.checks.receipts import Receipts, announced
from netra_sim.checks.records import FINAL, NOBODY, Records, is_in, places
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation, counted
from netra_sim.history import Kind, Objectives

CLEAN_CLOSE = 5.0
"""Seconds before a clean close within which what was sent may still have been on its way."""


@define(
    "delivery",
    question="Did every client of the owner get every event once and in order, or learn of the gap?",
    unit="events owed to clients",
)
def delivery(records: Records, objectives: Objectives) -> Observation:
    """Look at every event and every client that is owed it: did the client get it, once, in order, or learn of a gap?

    `owed` says who is owed what, and `excused` what a connection that breaks may swallow. Wrong are as well: an event that
    comes to a client twice, on the same connection or the next one, or after a later one, or after its run's end; numbers
    that are missing, unannounced, between two events of a client; a gap that covers what its client has, or what was never
    published; an event that is not what was published under its number; and all that clients' own readers notice.
    """
    clients = Clients(records)
    received = records.rows(Kind.RECEIVED)
    of_received = clients.of(received)
    receipts = Receipts(records, clients, of_received)
    users = clients.of_user(records.codes["user"][received])
    by_owing = receipts if clients.is_told_apart else Receipts(records, clients, users)
    events, of = owed(records, clients, by_owing) if records.records(Kind.RECEIVED) else (received[:0], received[:0])
    is_missing = by_owing.first_of(of, events) < 0
    gaps = _gaps(records)
    of_gaps = clients.of(gaps) if clients.is_told_apart else clients.of_user(records.codes["user"][gaps])
    is_announced, is_excused = np.zeros(len(events), bool), np.zeros(len(events), bool)
    missing, by = events[is_missing], of[is_missing]
    is_announced[is_missing] = announced(records, clients, of_gaps, gaps, by, missing)
    is_excused[is_missing] = excused(records, clients, by_owing, by, missing) & ~is_announced[is_missing]
    lost = is_missing & ~is_announced & ~is_excused
    silent = np.unique(events[lost])
    faults = {"was never received, and no gap was announced": silent}
    faults |= _out_of_order(records, clients, receipts, of_received)
    faults |= _told_by_clients(records, clients, receipts) | _not_as_published(records)
    faults["comes after numbers that are missing, and no gap was announced"] = _jumps(
        records, clients, receipts, (of_gaps, gaps)
    )
    faults["is the first that its user got of the run"] = _without_beginning(records, silent)
    count = len(events) - int(is_excused.sum())
    delivered = 1.0 - float((is_missing & ~is_excused).sum()) / count if count else 1.0
    findings = _described(records, faults)
    too_few = delivered < objectives.delivered
    if too_few:
        message = f"{delivered:.2%} of the events reached their owner; the objective is {objectives.delivered:.2%}"
        findings = (Finding(message=message), *findings)
    return Observation(
        looked_at=count,
        found=sum(map(len, faults.values())) + int(too_few),
        findings=findings,
        measured={
            "published": counted(len(records.rows(Kind.PUBLISHED))),
            "received": counted(len(received)),
            "delivered": Measurement(float(delivered), "share", "higher"),
            "announced as missing": Measurement(float(is_announced.sum()), "count", "lower"),
            "lost with a connection": Measurement(float(is_excused.sum()), "count", "lower"),
        },
    )


@define(
    "truthfulness",
    question="Is all that the bridge says true: did what it sent arrive, and was what arrived sent?",
    unit="claims and arrivals",
)
def truthfulness(records: Records, objectives: Objectives) -> Observation:
    """Look at what the bridge says that it sent and announced, and at what clients read: does each have the other?

    What was sent on a connection that has closed may have been in flight: if it was sent within `IN_FLIGHT` seconds before,
    or `CLEAN_CLOSE` seconds where the client has left by a closing handshake, which delivers what was sent before it,
    and nothing that was sent after it has arrived. A connection keeps the order of what is sent on it.
    """
    sent, received = records.rows(Kind.SENT), records.rows(Kind.RECEIVED)
    if not records.records(Kind.SENT, Kind.RECEIVED):
        sent, received = sent[:0], received[:0]
    keys = records.keys("connection", "run", "seq")
    empty = sent[~is_in(keys[sent], keys[received])]
    unsent = received[~is_in(keys[received], keys[sent])]
    unsent = unsent[~_was_sent_before(records, unsent, sent)]
    gaps = _unread_gaps(records)
    faults = {
        "counts as sent, and never arrived": empty[~_was_in_flight(records, empty, sent, received, keys)],
        "arrived without having been sent": unsent,
        "counts as announced, and no client has read it": gaps,
    }
    return Observation(
        looked_at=len(sent) + len(received),
        found=sum(map(len, faults.values())),
        findings=_described(records, faults),
        measured={"sent": counted(len(sent)), "received": counted(len(received))},
    )


def _described(records: Records, faults: Mapping[str, np.ndarray]) -> tuple[Finding, ...]:
    found = [(row, fault) for fault, rows in faults.items() for row in rows[:FINDINGS_SHOWN].tolist()]
    return tuple(_finding(records, row, fault) for row, fault in found[:FINDINGS_SHOWN])


def _finding(records: Records, row: int, fault: str) -> Finding:
    seq, last = int(records.numbers["seq"][row]), records.numbers["value"][row]
    if records.numbers["kind"][row] in (Kind.GAP, Kind.GAP_RECEIVED, Kind.MISSING):
        span = f"{seq}" if last == seq else f"{seq} to {last:.0f}" if last > seq else f"from {seq}"
        return records.finding(row, f"the gap {span} of run {records.text('run', row)} {fault}")
    return records.finding(row, f"{records.text('event', row)} {fault}")


def _was_in_flight(
    records: Records, empty: np.ndarray, sent: np.ndarray, received: np.ndarray, keys: np.ndarray
) -> np.ndarray:
    """For each event that was sent and never arrived whether its connection may have swallowed it as it closed."""
    times, connections = records.numbers["time"], records.codes["connection"]
    closed = records.last_of_each("connection", records.rows(Kind.DISCONNECTED))[connections[empty]]
    arrived = sent[is_in(keys[sent], keys[received])]
    last_arrived = records.last_of_each("connection", arrived)[connections[empty]]
    is_clean = np.isin(records.numbers["value"][closed], LEAVING)
    patience = np.where(is_clean, CLEAN_CLOSE, IN_FLIGHT)
    is_recent = (closed > empty) & ~(times[closed] - times[empty] > patience)
    return np.asarray(is_recent & (last_arrived < empty))


def _was_sent_before(records: Records, unsent: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """For each event that arrived unsent whether it may have been sent before the log began.

    That takes a run that began before the log, an arrival within `IN_FLIGHT` seconds of the log's beginning, and nothing of
    the run that was sent on the connection under a lower number.
    """
    times, numbers = records.numbers["time"], records.numbers["seq"]
    keys = records.keys("connection", "run")
    at = places(keys[unsent], keys[sent])
    first = np.append(sent, -1)[at]
    is_below = (first < 0) | (numbers[unsent] < numbers[first])
    is_soon = ~(times[unsent] - times[:1].sum() > IN_FLIGHT)
    return np.asarray(~records.is_begun_here(unsent) & is_below & is_soon)


def _unread_gaps(records: Records) -> np.ndarray:
    """Gaps that the bridge counts as announced on a connection whose client has not read them, though it read on."""
    gaps, read = records.rows(Kind.GAP), records.rows(Kind.GAP_RECEIVED)
    if not records.records(Kind.GAP_RECEIVED) or not len(gaps):
        return gaps[:0]
    keys = records.keys("connection", "run", "seq")
    unread = gaps[~is_in(keys[gaps], keys[read])]
    times, connections = records.numbers["time"], records.codes["connection"]
    later = records.last_of_each("connection", records.rows(Kind.RECEIVED, Kind.CONTROL_RECEIVED))
    closed = records.last_of_each("connection", records.rows(Kind.DISCONNECTED))[connections[unread]]
    is_recent = (closed > unread) & ~(times[closed] - times[unread] > IN_FLIGHT)
    sent = records.rows(Kind.SENT)
    arrived = records.last_of_each("connection", sent[is_in(keys[sent], keys[records.rows(Kind.RECEIVED)])])
    has_read_on = (arrived[connections[unread]] > unread) & (later[connections[unread]] > unread)
    return np.asarray(unread[has_read_on | ~is_recent])


def _gaps(records: Records) -> np.ndarray:
    """Gaps that clients learned of: as they read them, or as the server says where clients' readers are not recorded."""
    has_readers = len(records.rows(Kind.ATTACHED, Kind.CONTROL_RECEIVED, Kind.GAP_RECEIVED)) > 0
    return records.rows(Kind.GAP_RECEIVED if has_readers else Kind.GAP)


def _out_of_order(records: Records, clients: Clients, receipts: Receipts, of: np.ndarray) -> dict[str, np.ndarray]:
    """Events that came twice to one client, after a later one, or after the end of their run."""
    rows = records.rows(Kind.RECEIVED)
    groups = clients.end_of(of, rows)
    order = np.argsort(groups, kind="stable")
    rows, groups = rows[order], groups[order]
    numbers = records.numbers["seq"][rows].astype(float)
    numbers[numbers < 0] = np.nan
    is_first = np.diff(groups, prepend=-1) != 0
    steps = np.diff(numbers, prepend=np.nan)
    steps[is_first] = np.nan
    again = np.sort(receipts.repeated)
    ends = np.cumsum(records.one_of("event", rows, *FINAL))
    # How many ends there were before the group began is taken off those before each event.
    before = np.concatenate([[0], ends])[:-1]
    starts = np.flatnonzero(is_first)
    ended = before - np.repeat(before[starts], np.diff(np.append(starts, len(rows)))) > 0
    back, late = np.sort(rows[steps < 0]), np.sort(rows[ended & (steps > 0)])
    return {
        "was received twice by one client": again,
        "was received after a later one": back[~is_in(back, again)],
        "was received after the end of its run": late[~is_in(late, again)],
    }


def _told_by_clients(records: Records, clients: Clients, receipts: Receipts) -> dict[str, np.ndarray]:
    """What the clients' own readers noticed, and gaps that were announced and are none."""
    again = records.rows(Kind.REPEATED)
    repeated = receipts.repeated
    is_told = is_in(clients.keys_for(clients.of(again), again), clients.keys_for(clients.of(repeated), repeated))
    gaps = _gaps(records)
    highest = records.numbers["value"][gaps]
    published = records.rows(Kind.PUBLISHED)
    # Several gaps may tell of one run: what matters is the number of its last event.
    last = records.last_of_run(gaps, published)
    is_beyond = (last >= 0) & (highest > records.numbers["seq"][last])
    return {
        "was sent again to a client that had it": again[~is_told],
        "was noticed by the client, and never announced": records.rows(Kind.MISSING),
        "was announced, and the client has received what it covers": gaps[receipts.within(clients.of(gaps), gaps)],
        "was announced, and goes beyond what was published": gaps[is_beyond],
    }


def _jumps(records: Records, clients: Clients, receipts: Receipts, told: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Events before which numbers are missing that no gap covers, where the history does not tell what was published."""
    rows, keys = receipts.rows, receipts.keys
    if not len(rows) or len(records.rows(Kind.PUBLISHED)):
        return np.asarray(rows[:0])
    jumps = np.flatnonzero((np.diff(keys) > 1) & (keys[1:] // clients.span == keys[:-1] // clients.span))
    before, after = rows[jumps], rows[jumps + 1]
    is_hole = records.numbers["seq"][after] - records.numbers["seq"][before] > 1
    before, after = before[is_hole], after[is_hole]
    of_gaps, gaps = told
    if len(gaps):
        # A gap that covers the number before the event covers the hole, or is too short, which its reader notices.
        of = clients.of(after) if clients.is_told_apart else clients.of_user(records.codes["user"][after])
        starts = clients.keys_for(of_gaps, gaps)
        low = clients.keys_for(of, before)
        order = np.sort(starts)
        has_gap = np.searchsorted(order, low, side="right") < np.searchsorted(order, clients.keys_for(of, after))
        after = after[~has_gap]
    return np.asarray(np.sort(after))


def _not_as_published(records: Records) -> dict[str, np.ndarray]:
    """Events that are not what was published under their number, or were never published, and numbers that were used twice.

    Of a run that began before the log, what has a lower number than all that the log tells of may be older.
    """
    published, received = records.numbered(Kind.PUBLISHED), records.numbered(Kind.RECEIVED)
    numbers, events = records.numbers["seq"], records.codes["event"]
    keys = records.keys("run", "use", "seq")
    order = published[np.argsort(keys[published], kind="stable")]
    twice = np.sort(order[1:][keys[order[1:]] == keys[order[:-1]]])
    at = places(keys[received], keys[order])
    source = np.append(order, -1)[at]
    other = received[(source >= 0) & (events[received] != events[source])]
    unknown = received[source < 0] if records.records(Kind.PUBLISHED) else received[:0]
    first = records.first_of_run(unknown, published)
    is_before = ~records.is_begun_here(unknown) & ((first < 0) | (numbers[unknown] < numbers[first]))
    return {
        "was published as another event": other,
        "was never published": unknown[~is_before],
        "was published under a number that had been used": twice,
    }


def _without_beginning(records: Records, silent: np.ndarray) -> np.ndarray:
    """What owners got first of a run, where it is not the run's first event, and that is not told already as lost."""
    received = records.rows(Kind.RECEIVED)
    users, numbers = records.codes["user"], records.numbers["seq"]
    owners, keys = records.owners_of(received), records.keys("user", "run")
    is_mine = records.askers_of(received) == users[received]
    # A run that nobody is known to have asked for may have readers of the same right: each has a first event.
    may_be = received[~is_mine & ((owners == users[received]) | (owners == NOBODY))]
    _, places = np.unique(keys[may_be], return_index=True)
    firsts = np.sort(np.append(records.without_repeats("run", received[is_mine]), may_be[places]))
    firsts = firsts[(numbers[firsts] > 0) & records.is_begun_here(firsts)]
    if not len(firsts):
        return np.asarray(firsts)
    firsts = firsts[~is_in(keys[firsts], keys[silent[numbers[silent] == 0]])]
    gaps = records.rows(Kind.GAP, Kind.GAP_RECEIVED)
    return np.asarray(firsts[~is_in(keys[firsts], keys[gaps[numbers[gaps] <= 0]])])

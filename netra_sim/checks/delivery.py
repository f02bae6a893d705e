"""The check of delivery: every client gets every event that it is owed, once and in order, or learns of the gap."""

from collections.abc import Mapping

import numpy as np

from netra_sim.checks.clients import Clients
from netra_sim.checks.events import FINAL
from netra_sim.checks.records import NOBODY, Records, is_in
from netra_sim.checks.results import FINDINGS_SHOWN, CheckResult, Finding, Measurement, counted
from netra_sim.history import Kind, Objectives

IN_FLIGHT = 60.0
"""Seconds before its end within which a broken connection may have swallowed what was sent on it.

A peer that vanishes without a word is noticed by its missing pongs: after 40 s with the defaults of `websockets`.
"""


def delivery(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every published event and every client of its owner: did the client get it, once, in order, or learn of a gap?

    A client is owed every event that is published after it first connected, on whichever of its connections, and what is
    missing before an event of a run that it has. It is not owed:

    - what was published after its last connection had closed;
    - what was published within `IN_FLIGHT` seconds before that, or before a last connection that was not open for longer,
      unless a later event of the same run has reached it. The close code does not matter.
    """
    clients = Clients(records)
    received = records.rows(Kind.RECEIVED)
    events, of = _owed(records, clients)
    missing = ~clients.has_received(of, events)
    announced = np.zeros(len(events), bool)
    announced[missing] = clients.announced(of[missing], events[missing])
    silent = np.unique(events[missing & ~announced])
    faults = {"was never received, and no gap was announced": silent}
    faults |= _out_of_order(records, clients) | _told_by_clients(records, clients) | _not_as_published(records, clients)
    faults["is the first that its user got of the run"] = _without_beginning(records, silent)
    delivered = 1.0 - float(missing.sum()) / len(events) if len(events) else 1.0
    findings = _described(records, faults)
    too_few = delivered < objectives.delivered
    if too_few:
        message = f"{delivered:.2%} of the events reached their owner; the objective is {objectives.delivered:.2%}"
        findings = (Finding(message=message), *findings)
    return CheckResult(
        check="delivery",
        question="Did every client of the owner get every event once and in order, or learn of the gap?",
        looked_at=len(np.unique(events)),
        unit="events",
        found=sum(map(len, faults.values())) + int(too_few),
        findings=findings,
        measured={
            "published": counted(len(records.rows(Kind.PUBLISHED))),
            "received": counted(len(received)),
            "delivered": Measurement(float(delivered), "share", "higher"),
            "announced as missing": Measurement(float(announced.sum()), "count", "lower"),
        },
    )


def truthfulness(records: Records, objectives: Objectives) -> CheckResult:
    """Look at what the bridge says that it sent and announced, and at what clients read: does each have the other?

    What was sent on a connection that has closed may have been in flight: if it was sent within `IN_FLIGHT` seconds before,
    and nothing that was sent after it has arrived. A connection keeps the order of what is sent on it.
    """
    sent, received = records.rows(Kind.SENT), records.rows(Kind.RECEIVED)
    if not records.records(Kind.SENT, Kind.RECEIVED):
        sent, received = sent[:0], received[:0]
    keys = records.keys("connection", "run", "seq")
    empty = sent[~is_in(keys[sent], keys[received])]
    gaps = _unread_gaps(records)
    faults = {
        "counts as sent, and never arrived": empty[~_was_in_flight(records, empty, sent, received, keys)],
        "arrived without having been sent": received[~is_in(keys[received], keys[sent])],
        "counts as announced, and no client has read it": gaps,
    }
    return CheckResult(
        check="truthfulness",
        question="Is all that the bridge says true: did what it sent arrive, and was what arrived sent?",
        looked_at=len(sent) + len(received),
        unit="claims and arrivals",
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


def _owed(records: Records, clients: Clients) -> tuple[np.ndarray, np.ndarray]:
    """The rows of published events, one for each client that is owed the event, and these clients."""
    published = records.rows(Kind.PUBLISHED)
    published = published[records.numbers["seq"][published] >= 0]
    if not records.records(Kind.RECEIVED):
        published = published[:0]
    events, of = _with_clients(records, clients, published)
    if not records.records(Kind.CONNECTED) or not len(events):
        return events, of
    times = records.numbers["time"]
    changes = records.rows(Kind.CONNECTED, Kind.DISCONNECTED)
    is_opening = records.numbers["kind"][changes] == Kind.CONNECTED
    opened, last = clients.first_rows(changes[is_opening]), clients.last_rows(changes)
    last_opened = clients.last_rows(changes[is_opening])
    has_left = (last >= 0) & (records.numbers["kind"][last] == Kind.DISCONNECTED)
    is_after = has_left[of] & (events > last[of])
    since = np.maximum(times[events], times[last_opened[of]])
    in_flight = has_left[of] & ~(times[last[of]] - since > IN_FLIGHT)
    in_flight[in_flight] = ~clients.is_overtaken(of[in_flight], events[in_flight])
    is_early = (opened[of] < 0) | (events < opened[of])
    # Of a run that began before the client first came, it is owed what it missed between events that it has.
    is_early[is_early] = ~clients.is_overtaken(of[is_early], events[is_early])
    arrived = clients.has_received(of, events)
    owed = arrived | ~(is_after | in_flight | is_early)
    return events[owed], of[owed]


def _with_clients(records: Records, clients: Clients, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each event with each of its owner's clients."""
    seen = records.without_repeats("connection", records.rows(Kind.CONNECTED))
    pairs = np.unique(np.stack([records.codes["user"][seen].astype(np.int64), clients.of_row[seen]]), axis=1)
    if not records.records(Kind.CONNECTED):
        users = np.arange(len(records.tables["user"]))
        pairs = np.stack([users, users])
    starts = np.searchsorted(pairs[0], records.codes["user"][events])
    ends = np.searchsorted(pairs[0], records.codes["user"][events], side="right")
    counts = ends - starts
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(events, counts), pairs[1][np.repeat(starts, counts) + places]


def _was_in_flight(
    records: Records, empty: np.ndarray, sent: np.ndarray, received: np.ndarray, keys: np.ndarray
) -> np.ndarray:
    """For each event that was sent and never arrived whether its connection may have swallowed it as it closed."""
    times, connections = records.numbers["time"], records.codes["connection"]
    closed = records.last_of_each("connection", records.rows(Kind.DISCONNECTED))[connections[empty]]
    arrived = sent[is_in(keys[sent], keys[received])]
    last_arrived = records.last_of_each("connection", arrived)[connections[empty]]
    is_recent = (closed > empty) & ~(times[closed] - times[empty] > IN_FLIGHT)
    return np.asarray(is_recent & (last_arrived < empty))


def _unread_gaps(records: Records) -> np.ndarray:
    """Gaps that the bridge counts as announced on a connection whose client has not read them, though it read on."""
    gaps, read = records.rows(Kind.GAP), records.rows(Kind.GAP_RECEIVED)
    if not len(records.rows(Kind.ATTACHED)) or not len(gaps):
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


def _out_of_order(records: Records, clients: Clients) -> dict[str, np.ndarray]:
    """Events that came twice to one client, after a later one, or after the end of their run."""
    rows = records.rows(Kind.RECEIVED)
    groups = clients.keys(rows, with_seq=False)
    order = np.argsort(groups, kind="stable")
    rows, groups = rows[order], groups[order]
    numbers = records.numbers["seq"][rows].astype(float)
    numbers[numbers < 0] = np.nan
    is_first = np.diff(groups, prepend=-1) != 0
    steps = np.diff(numbers, prepend=np.nan)
    steps[is_first] = np.nan
    keys = clients.keys(rows)
    _, firsts = np.unique(keys, return_index=True)
    is_again = np.ones(len(rows), bool)
    is_again[firsts] = False
    is_again &= ~np.isnan(numbers)
    ends = np.cumsum(records.one_of("event", rows, *FINAL))
    # How many ends there were before the group began is taken off those before each event.
    before = np.concatenate([[0], ends])[:-1]
    starts = np.flatnonzero(is_first)
    ended = before - np.repeat(before[starts], np.diff(np.append(starts, len(rows)))) > 0
    return {
        "was received twice by one client": np.sort(rows[is_again]),
        "was received after a later one": np.sort(rows[(steps < 0) & ~is_again]),
        "was received after the end of its run": np.sort(rows[ended & (steps > 0)]),
    }


def _told_by_clients(records: Records, clients: Clients) -> dict[str, np.ndarray]:
    """What the clients' own readers noticed, and gaps that were announced and are none."""
    again = records.rows(Kind.REPEATED)
    return {
        "was sent again to a client that had it": again[~_is_received_again(records, clients, again)],
        "was noticed by the client, and never announced": records.rows(Kind.MISSING),
        "was announced, and the client has received what it covers": _false_gaps(records, clients),
    }


def _is_received_again(records: Records, clients: Clients, again: np.ndarray) -> np.ndarray:
    """For each event that a client dropped whether `_out_of_order` tells of it already."""
    received = records.rows(Kind.RECEIVED)
    keys, counts = np.unique(clients.keys(received), return_counts=True)
    return np.asarray(is_in(clients.keys(again), keys[counts > 1]))


def _false_gaps(records: Records, clients: Clients) -> np.ndarray:
    """Gaps with an end that were announced to a client which has received an event from their midst."""
    gaps = records.rows(Kind.GAP_RECEIVED)
    gaps = gaps[records.numbers["value"][gaps] >= records.numbers["seq"][gaps]]
    if not len(gaps):
        return np.asarray(gaps)
    received = np.sort(clients.keys(records.rows(Kind.RECEIVED)))
    first = clients.keys(gaps)
    last = first + clients.place_of(records.numbers["value"][gaps]) - clients.place_of(records.numbers["seq"][gaps])
    return np.asarray(gaps[np.searchsorted(received, last, side="right") > np.searchsorted(received, first)])


def _not_as_published(records: Records, clients: Clients) -> dict[str, np.ndarray]:
    """Events that arrived as something else than was published under their number, or that were never published."""
    published, arrived = records.deliveries
    events = records.codes["event"]
    other = np.sort(arrived[events[arrived] != events[published]])
    never = records.rows()[:0]
    if records.records(Kind.PUBLISHED):
        rows = records.rows(Kind.PUBLISHED)
        received = records.rows(Kind.RECEIVED)
        received = received[records.numbers["seq"][received] >= 0]
        keys, runs = records.keys("run", "seq"), records.codes["run"]
        unknown = received[~is_in(keys[received], keys[rows])]
        # A log may begin in the middle of a run: what was published before it is not in it.
        first = records.first_of_each("run", rows)[runs[unknown]]
        is_before = (first >= 0) & (records.numbers["seq"][unknown] < records.numbers["seq"][first])
        never = unknown[~is_before & ((first >= 0) | _is_begun_here(records, unknown))]
    return {"was published as another event": other, "was never published": never}


def _without_beginning(records: Records, silent: np.ndarray) -> np.ndarray:
    """What owners got first of a run, where it is not the run's first event, and that is not told already as lost."""
    received = records.rows(Kind.RECEIVED)
    users, numbers = records.codes["user"], records.numbers["seq"]
    owners, keys = records.owners_of(received), records.keys("user", "run")
    is_mine = records.owners[records.codes["run"][received]] == users[received]
    # A run that nobody is known to have asked for may have readers of the same right: each has a first event.
    may_be = received[~is_mine & ((owners == users[received]) | (owners == NOBODY))]
    _, places = np.unique(keys[may_be], return_index=True)
    firsts = np.sort(np.append(records.without_repeats("run", received[is_mine]), may_be[places]))
    firsts = firsts[(numbers[firsts] > 0) & _is_begun_here(records, firsts)]
    if not len(firsts):
        return np.asarray(firsts)
    firsts = firsts[~is_in(keys[firsts], keys[silent[numbers[silent] == 0]])]
    gaps = records.rows(Kind.GAP, Kind.GAP_RECEIVED)
    return np.asarray(firsts[~is_in(keys[firsts], keys[gaps[numbers[gaps] <= 0]])])


def _is_begun_here(records: Records, rows: np.ndarray) -> np.ndarray:
    """For each event whether its run began within the history: it was asked for, opened or published from its beginning.

    Where a history has neither requests nor scopes nor what was published, every run counts as begun in it.
    """
    runs = records.codes["run"][rows]
    published = records.rows(Kind.PUBLISHED)
    begins = published[records.numbers["seq"][published] <= 0]
    marks = np.sort(np.concatenate([records.rows(Kind.REQUESTED, Kind.SCOPE_OPENED), begins]))
    if not len(marks) and not len(published):
        return np.ones(len(rows), bool)
    return np.asarray(records.first_of_each("run", marks)[runs] >= 0)

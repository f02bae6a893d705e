"""The checks of delivery: every client gets what it is owed, and what the bridge reports as sent did arrive."""

from collections.abc import Mapping

import numpy as np

from netra_sim.checks.clients import LEAVING, Clients
from netra_sim.checks.definition import define
from netra_sim.checks.membership import is_in
from netra_sim.checks.owing import IN_FLIGHT, excused, owed
from netra_sim.checks.receipts import Receipts, announced
from netra_sim.checks.records import FINAL, NOBODY, Records, places, running_sum
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation, counted
from netra_sim.history import Kind, Objectives
from netra_sim.history.history import IN_ANSWER

CLEAN_CLOSE = 5.0
"""Seconds before a clean close within which a sent event may have been in flight on a line that delivers."""


@define(
    "delivery",
    question="Did every client of the owner get every event once and in order, or learn of the gap?",
    unit="events owed to clients",
)
def delivery(records: Records, objectives: Objectives) -> Observation:
    """Every client must receive each event that it is owed once and in order, or be told of the gap.

    `owed` says which client is owed which event, and `excused` which losses a closed connection explains. The findings are:

    - an event that a client was owed and never received, without an announced gap and without an excuse;
    - an event that one client received twice, on the same connection or a later one;
    - an event with a lower number than the one that the client received just before it in the run, or one that the client
      received after the final event of the run;
    - numbers missing between two events of a client, if no gap begins between them; only judged if the history holds no
      published events;
    - a first event of a run that is not number 0, if the run began within the history, the user was sent no gap from number
      0 on, and number 0 is not a finding already. Judged for users who asked for the run, whom the event's record names as
      owner, or who read a run without a known owner;
    - a gap that covers an event that its client received, or numbers beyond the run's last published one;
    - an event of another type than the one published under its number, or under a number that was never published; and a
      number that was published twice;
    - missing or repeated events that the client's own reader noticed; the check `tokens` judges those of numbered tokens.

    The share of owed and not excused events that arrived must reach the objective `delivered`.

    The history of another system says what clients received, and not what was published. Then the received events with a
    number count as looked at, and the first event of a run may have any number.
    """
    clients = Clients(records)
    received = records.rows(Kind.RECEIVED)
    of_received = clients.of(received)
    receipts = Receipts(records, clients, of_received)
    users = clients.of_user(records.codes["user"][received])
    by_owing = receipts if clients.has_lifetimes else Receipts(records, clients, users)
    events, of = owed(records, clients, by_owing) if records.records(Kind.RECEIVED) else (received[:0], received[:0])
    is_missing = by_owing.first_of(of, events) < 0
    gaps = _gaps(records)
    of_gaps = clients.of(gaps) if clients.has_lifetimes else clients.of_user(records.codes["user"][gaps])
    is_announced, is_excused = np.zeros(len(events), bool), np.zeros(len(events), bool)
    missing, by = events[is_missing], of[is_missing]
    is_announced[is_missing] = announced(records, clients, of_gaps, gaps, by, missing)
    is_excused[is_missing] = excused(records, clients, by_owing, by, missing) & ~is_announced[is_missing]
    lost = is_missing & ~is_announced & ~is_excused
    silent = np.unique(events[lost])
    faults = {"was never received, and no gap was announced": silent}
    faults |= _out_of_order(records, clients, receipts, of_received)
    faults |= _noticed_by_clients(records, clients, receipts) | _not_as_published(records)
    faults["comes after numbers that are missing, and no gap was announced"] = _jumps(
        records, clients, receipts, (of_gaps, gaps)
    )
    faults["is the first that its user got of the run"] = _without_beginning(records, silent)
    count = len(events) - int(is_excused.sum())
    numbered = len(records.numbered(Kind.RECEIVED)) if records.is_foreign else 0
    delivered = 1.0 - float((is_missing & ~is_excused).sum()) / count if count else 1.0
    findings = _described(records, faults)
    too_few = delivered < objectives.delivered
    if too_few:
        message = f"{delivered:.2%} of the events reached their owner; the objective is {objectives.delivered:.2%}"
        findings = (Finding(message=message), *findings)
    return Observation(
        looked_at=count or numbered,
        found=sum(map(len, faults.values())) + int(too_few),
        findings=findings,
        measured={
            "published": counted(len(records.rows(Kind.PUBLISHED))),
            "received": counted(len(received)),
            "delivered": Measurement(float(delivered), "share", "higher", objectives.delivered),
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
    """Every event and gap that the bridge reports as sent must arrive, and every event that arrives must have been sent.

    A sent event that never arrived is excused as in flight if its connection closed soon after, and no event sent later on
    the connection arrived; a connection keeps the order. Soon is counted from the later of two times: the event was sent,
    and the last event arrived on the connection, since a slow line delivers what was sent before first. It means within
    `IN_FLIGHT` seconds, or within `CLEAN_CLOSE` seconds if the client closed with a code of `LEAVING`, since a closing
    handshake delivers what is not held up.

    An event that was never sent is excused in a log that began after its run, see `_was_sent_before`. An announced gap that
    the client never read is excused if the connection closed within `IN_FLIGHT` seconds, unless the client both received an
    event that was sent after the gap and read on after it.
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
    """For each event that was sent and never arrived whether it may have been in flight when its connection closed."""
    times, connections = records.numbers["time"], records.codes["connection"]
    closed = records.last_of_each("connection", records.rows(Kind.DISCONNECTED))[connections[empty]]
    arrived = sent[is_in(keys[sent], keys[received])]
    last_arrived = records.last_of_each("connection", arrived)[connections[empty]]
    last_read = records.last_of_each("connection", received)[connections[empty]]
    is_clean = np.isin(records.numbers["value"][closed], LEAVING)
    patience = np.where(is_clean, CLEAN_CLOSE, IN_FLIGHT)
    # A connection keeps the order: nothing arrives before what was sent earlier has arrived.
    since = np.fmax(times[empty], np.where(last_read >= 0, times[last_read], -np.inf))
    is_recent = (closed > empty) & ~(times[closed] - since > patience)
    return np.asarray(is_recent & (last_arrived < empty))


def _was_sent_before(records: Records, unsent: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """For each event that arrived without having been sent whether it may have been sent before the log began.

    This requires three things: the run did not begin within the log; the event arrived within `IN_FLIGHT` seconds of the
    log's start; and its number is below that of the first event of the run sent on the connection, if there is one.
    """
    times, numbers = records.numbers["time"], records.numbers["seq"]
    keys = records.keys("connection", "run")
    at = places(keys[unsent], keys[sent])
    first = np.append(sent, -1)[at]
    is_below = (first < 0) | (numbers[unsent] < numbers[first])
    is_soon = ~(times[unsent] - times[:1].sum() > IN_FLIGHT)
    return np.asarray(~records.is_begun_here(unsent) & is_below & is_soon)


def _unread_gaps(records: Records) -> np.ndarray:
    """Gaps that the bridge announced and the client did not read, without the excused ones, see `truthfulness`."""
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
    """The announced gaps: as clients read them, or as the server reports them if the history records no client reads."""
    has_readers = len(records.rows(Kind.ATTACHED, Kind.CONTROL_RECEIVED, Kind.GAP_RECEIVED)) > 0
    return records.rows(Kind.GAP_RECEIVED if has_readers else Kind.GAP)


def _out_of_order(records: Records, clients: Clients, receipts: Receipts, of: np.ndarray) -> dict[str, np.ndarray]:
    """Events that one client received twice, after a later one, or after the end of their run."""
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
    is_end = records.one_of("event", rows, *FINAL).astype(np.int64)
    ended = running_sum(is_end, groups) > is_end
    back, late = np.sort(rows[steps < 0]), np.sort(rows[ended & (steps > 0)])
    return {
        "was received twice by one client": again,
        "was received after a later one": back[~is_in(back, again)],
        "was received after the end of its run": late[~is_in(late, again)],
    }


def _noticed_by_clients(records: Records, clients: Clients, receipts: Receipts) -> dict[str, np.ndarray]:
    """What the clients' own readers noticed, and announced gaps that are wrong."""
    again, missing = (_of_events(records, records.rows(kind)) for kind in (Kind.REPEATED, Kind.MISSING))
    repeated = receipts.repeated
    is_known = is_in(clients.keys_for(clients.of(again), again), clients.keys_for(clients.of(repeated), repeated))
    gaps = _gaps(records)
    highest = records.numbers["value"][gaps]
    published = records.rows(Kind.PUBLISHED)
    # A gap is wrong if it ends after the last event of its run.
    last = records.last_of_run(gaps, published)
    is_beyond = (last >= 0) & (highest > records.numbers["seq"][last])
    return {
        "was sent again to a client that had it": again[~is_known],
        "was noticed by the client, and never announced": missing,
        "was announced, and the client has received what it covers": gaps[receipts.within(clients.of(gaps), gaps)],
        "was announced, and goes beyond what was published": gaps[is_beyond],
    }


def _of_events(records: Records, noticed: np.ndarray) -> np.ndarray:
    """What clients noticed of numbered events, without what they noticed of numbered tokens."""
    return np.asarray(noticed[~records.one_of("detail", noticed, IN_ANSWER)])


def _jumps(
    records: Records, clients: Clients, receipts: Receipts, announced: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Events after missing numbers without a gap; none if the history holds published events."""
    rows, keys = receipts.rows, receipts.keys
    if not len(rows) or len(records.rows(Kind.PUBLISHED)):
        return np.asarray(rows[:0])
    jumps = np.flatnonzero((np.diff(keys) > 1) & (keys[1:] // clients.span == keys[:-1] // clients.span))
    before, after = rows[jumps], rows[jumps + 1]
    is_hole = records.numbers["seq"][after] - records.numbers["seq"][before] > 1
    before, after = before[is_hole], after[is_hole]
    of_gaps, gaps = announced
    if len(gaps):
        # Any gap that begins in the hole will do: the client's reader notices one that is too short.
        of = clients.of(after) if clients.has_lifetimes else clients.of_user(records.codes["user"][after])
        starts = clients.keys_for(of_gaps, gaps)
        low = clients.keys_for(of, before)
        order = np.sort(starts)
        has_gap = np.searchsorted(order, low, side="right") < np.searchsorted(order, clients.keys_for(of, after))
        after = after[~has_gap]
    return np.asarray(np.sort(after))


def _not_as_published(records: Records) -> dict[str, np.ndarray]:
    """Events that differ from the one published under their number, or were never published; and numbers used twice.

    A run that did not begin within the log may have earlier events: a number below that of its first
    published event in the log is no finding.
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
    """The first events that users received of a run, if these are not number 0 and number 0 is not a finding already.

    None in the history of another system, which may count from another number.
    """
    received = records.rows(Kind.RECEIVED)
    users, numbers = records.codes["user"], records.numbers["seq"]
    owners, keys = records.owners_of(received), records.keys("user", "run")
    is_mine = records.askers_of(received) == users[received]
    # The readers of a run without a known asker are all judged alike: each has a first event.
    may_be = received[~is_mine & ((owners == users[received]) | (owners == NOBODY))]
    _, places = np.unique(keys[may_be], return_index=True)
    firsts = np.sort(np.append(records.without_repeats("run", received[is_mine]), may_be[places]))
    firsts = firsts[(numbers[firsts] > 0) & records.is_begun_here(firsts) & (not records.is_foreign)]
    if not len(firsts):
        return np.asarray(firsts)
    firsts = firsts[~is_in(keys[firsts], keys[silent[numbers[silent] == 0]])]
    gaps = records.rows(Kind.GAP, Kind.GAP_RECEIVED)
    return np.asarray(firsts[~is_in(keys[firsts], keys[gaps[numbers[gaps] <= 0]])])

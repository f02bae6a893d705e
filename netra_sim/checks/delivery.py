"""Checks of delivery: nothing is lost without a word, nothing comes twice or out of order, and no claim is false."""

from collections.abc import Mapping

import numpy as np

from netra_sim.checks.events import FINAL
from netra_sim.checks.records import NOBODY, Records, is_in, running_max
from netra_sim.checks.results import FINDINGS_SHOWN, CheckResult, Finding, Measurement, counted
from netra_sim.history import Kind, Objectives

NORMAL_CLOSURE = 1000
"""The close code of a client that leaves of its own will."""


def delivery(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every published event: did its owner get it, once on each connection, in order, or was a gap announced?

    No event may come after the one that ended its run on the same connection, and the first that a user gets of a run is its
    number 0, unless a gap was announced. A client that connects again goes on where it was, which is not its user's first.
    """
    received = records.rows(Kind.RECEIVED)
    published, arrived = records.first_arrivals
    if not records.records(Kind.RECEIVED):
        published, arrived = published[:0], arrived[:0]
    lost = published[arrived < 0]
    announced = _announced(records, lost)
    # Users who have gone are not owed what came after.
    owed = _still_connected(records)[records.codes["user"][lost]]
    silent = lost[owed & ~announced]
    faults = {"was never received, and no gap was announced": silent}
    faults |= _out_of_order(records) | {
        "is the first that its user got of the run": _without_beginning(records, silent)
    }
    delivered = 1.0 - float(owed.sum()) / len(published) if len(published) else 1.0
    findings = _described(records, faults)
    too_few = delivered < objectives.delivered
    if too_few:
        message = f"{delivered:.2%} of the events reached their owner; the objective is {objectives.delivered:.2%}"
        findings = (Finding(message=message), *findings)
    return CheckResult(
        check="delivery",
        question="Did every event reach its owner once and in order, or was the gap announced?",
        looked_at=len(published),
        unit="events",
        found=sum(map(len, faults.values())) + int(too_few),
        findings=findings,
        measured={
            "published": counted(len(published)),
            "received": counted(len(received)),
            "delivered": Measurement(float(delivered), "share", "higher"),
            "announced as missing": Measurement(float(announced.sum()), "count", "lower"),
        },
    )


def truthfulness(records: Records, objectives: Objectives) -> CheckResult:
    """Look at what the bridge says that it sent, and at what clients received: does each have the other?"""
    sent, received = records.rows(Kind.SENT), records.rows(Kind.RECEIVED)
    if not records.records(Kind.SENT, Kind.RECEIVED):
        sent, received = sent[:0], received[:0]
    keys, connections = records.keys("connection", "run", "seq"), records.codes["connection"]
    closed = records.rows(Kind.DISCONNECTED)
    # What was on its way when a connection broke was sent in good faith; a clean end delivers it.
    lost = closed[records.numbers["value"][closed] != NORMAL_CLOSURE]
    is_broken = records.first_of_each("connection", lost) >= 0
    empty = sent[~is_in(keys[sent], keys[received])]
    faults = {
        "counts as sent on an open connection, and never arrived": empty[~is_broken[connections[empty]]],
        "arrived without having been sent": received[~is_in(keys[received], keys[sent])],
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
    return tuple(records.finding(row, f"{records.text('event', row)} {fault}") for row, fault in found[:FINDINGS_SHOWN])


def _still_connected(records: Records) -> np.ndarray:
    """For each user: connected at their last request's end? Those who never left, or left by closing their tabs, are."""
    if not records.records(Kind.CONNECTED):
        return np.ones(len(records.tables["user"]), bool)
    last = records.last_of_each("user", records.rows(Kind.CONNECTED, Kind.DISCONNECTED))
    if not len(records):
        return last >= 0
    stays = (records.numbers["kind"][last] == Kind.CONNECTED) | (records.numbers["value"][last] == NORMAL_CLOSURE)
    return np.asarray((last >= 0) & stays)


def _announced(records: Records, rows: np.ndarray) -> np.ndarray:
    """For each event whether a gap that covers it was announced to its user."""
    gaps = records.rows(Kind.GAP)
    if not len(gaps) or not len(rows):
        return np.zeros(len(rows), bool)
    starts, runs = records.keys("user", "run", "seq"), records.keys("user", "run")
    gaps = gaps[np.argsort(starts[gaps], kind="stable")]
    first, last = records.numbers["seq"][gaps], records.numbers["value"][gaps]
    last = np.where(last < first, np.inf, last)  # A gap that ends before it begins has no end.
    furthest = running_max(last, runs[gaps])
    before = np.searchsorted(starts[gaps], starts[rows], side="right") - 1
    same = (before >= 0) & (runs[gaps[before]] == runs[rows])
    return np.asarray(same & (furthest[before] >= records.numbers["seq"][rows]))


def _out_of_order(records: Records) -> dict[str, np.ndarray]:
    """Events that came twice, after a later one, or after the end of their run on one connection."""
    arrivals = records.arrivals
    rows = arrivals.rows
    steps = arrivals.steps(records.numbers["seq"])
    steps[records.numbers["seq"][rows] < 0] = np.nan
    ends = np.cumsum(records.one_of("event", rows, *FINAL))
    # How many ends there were before the group began is taken off those before each event.
    before = np.concatenate([[0], ends])[:-1]
    starts = np.flatnonzero(arrivals.is_first)
    ended = before - np.repeat(before[starts], np.diff(np.append(starts, len(rows)))) > 0
    return {
        "was received twice on one connection": np.sort(rows[steps == 0]),
        "was received after a later one": np.sort(rows[steps < 0]),
        "was received after the end of its run": np.sort(rows[ended & (steps > 0)]),
    }


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
    firsts = firsts[numbers[firsts] > 0]
    if not len(firsts):
        return np.asarray(firsts)
    firsts = firsts[~is_in(keys[firsts], keys[silent[numbers[silent] == 0]])]
    gaps = records.rows(Kind.GAP)
    return np.asarray(firsts[~is_in(keys[firsts], keys[gaps[numbers[gaps] <= 0]])])

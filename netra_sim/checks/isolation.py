"""Checks of isolation: no event, no connection, no data and no mutable object of one user's reaches another."""

import numpy as np

from netra_sim.checks.records import NOBODY, Records
from netra_sim.checks.results import FINDINGS_SHOWN, CheckResult, counted
from netra_sim.history import ENGINES_PROBED, Kind, Objectives

_OWNING = (Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED)


def cross_user_isolation(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every event that was sent or received: is its reader the owner of its run?

    The owner is whom the record itself names (a log of another system may), else who asked for the run, else whose engine
    was made for it, else for whom its first event was published. An event of a run without any of these is wrong as well,
    where the history tells of runs at all.
    """
    arrived = records.rows(Kind.SENT, Kind.RECEIVED)
    owners = records.owners_of(arrived)
    if not any(records.records(kind) for kind in _OWNING):
        arrived, owners = arrived[owners != NOBODY], owners[owners != NOBODY]
    readers = records.codes["user"][arrived]
    wrong = arrived[owners != readers]

    def describe(row: int) -> str:
        verb = "received" if records.numbers["kind"][row] == Kind.RECEIVED else "was sent"
        owner = records.text("detail", row)
        if not owner:
            code = records.owners[records.codes["run"][row]]
            owner = "" if code == NOBODY else records.tables["user"][code]
        whose = f"{owner}'s run" if owner else "a run that nobody has asked for"
        return f"{records.text('user', row)} {verb} {records.text('event', row)} of {whose}"

    return CheckResult(
        check="cross-user-isolation",
        question="Did every event reach the owner of its run, and nobody else?",
        looked_at=len(arrived),
        unit="events sent and received",
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={"events": counted(len(arrived)), "users": counted(np.count_nonzero(np.bincount(readers)))},
    )


def connection_isolation(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every connection: was it one user's only, and open when events were sent on it?

    A connection is the user's who had been authenticated when it was opened. Wrong are: one that is opened again for
    another user, an event of somebody else's run on it, an event read from it by somebody else, an event on a connection
    that was never opened, and one sent on a connection that was closed before. What was sent before may arrive after.
    """
    opened, arrived = records.rows(Kind.CONNECTED), records.rows(Kind.SENT, Kind.RECEIVED)
    arrived = arrived[records.has("connection", arrived)]
    tells_of_opening = records.records(Kind.CONNECTED)
    firsts = records.first_of_each("connection", opened if tells_of_opening else arrived)
    users, connections = records.codes["user"], records.codes["connection"]
    holders = np.where(firsts >= 0, users[firsts], NOBODY) if len(records) else firsts
    again = opened[holders[connections[opened]] != users[opened]]
    holder, owners = holders[connections[arrived]], records.owners_of(arrived)
    is_foreign = (users[arrived] != holder) | ((owners != holder) & (owners != NOBODY))
    is_late = _after_close(records, arrived)
    wrong = np.sort(np.concatenate([again, arrived[is_foreign | is_late]]))
    late = set(arrived[is_late][:FINDINGS_SHOWN].tolist())

    def describe(row: int) -> str:
        name, event, code = records.text("connection", row), records.text("event", row), holders[connections[row]]
        if code == NOBODY:
            return f"{event} came on {name}, which was never opened"
        whose = f"{records.tables['user'][code]}'s connection {name}"
        if records.numbers["kind"][row] == Kind.CONNECTED:
            return f"{whose} was opened again for {records.text('user', row)}"
        if users[row] != code:
            return f"{records.text('user', row)} got {event} on {whose}"
        if row in late:
            return f"{event} was sent on {whose} after it was closed"
        return f"{event} of somebody else's run {records.text('run', row)} came on {whose}"

    return CheckResult(
        check="connection-isolation",
        question="Did every connection carry the events of one user only, and while it was open?",
        looked_at=len(arrived) + len(opened) if len(wrong) or (tells_of_opening and len(arrived)) else 0,
        unit="connections opened and events on them",
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={"connections": counted(np.count_nonzero(firsts >= 0)), "events": counted(len(arrived))},
    )


def content_isolation(records: Records, objectives: Objectives) -> CheckResult:
    """Look into every event that was received: is the data in it its reader's?

    Whose data it is was told, when it arrived, by the canaries that are planted in every user's data.
    """
    received = records.rows(Kind.RECEIVED)
    received = received[records.has("subject", received)]
    wrong = received[records.as_users("subject", received) != records.codes["user"][received]]

    def describe(row: int) -> str:
        user, event = records.text("user", row), records.text("event", row)
        return f"{user} received data of {records.text('subject', row)} in {event}"

    return CheckResult(
        check="content-isolation",
        question="Did every event carry data of its reader only?",
        looked_at=len(received),
        unit="events received",
        found=len(wrong),
        findings=records.findings(wrong, describe),
    )


def shared_state(records: Records, objectives: Objectives) -> CheckResult:
    """Look at the probes of live engines: did two users' engines reach the same mutable object?"""
    samples = records.rows(Kind.SAMPLE)
    probes = samples[records.one_of("detail", samples, ENGINES_PROBED)]
    engines = float(records.numbers["value"][probes].sum())
    shared = records.rows(Kind.SHARED)

    def describe(row: int) -> str:
        user, other = records.text("user", row), records.text("subject", row)
        return f"the engines of {user} and {other} share a {records.text('detail', row)}"

    return CheckResult(
        check="shared-state",
        question="Was no mutable object reachable from the engines of two users?",
        looked_at=int(engines),
        unit="live engines compared",
        found=len(shared),
        findings=records.findings(shared, describe),
        measured={"probes": counted(len(probes)), "engines": counted(engines)},
    )


def _after_close(records: Records, arrived: np.ndarray) -> np.ndarray:
    """For each event whether it was sent on a connection that had been closed before."""
    closed = records.rows(Kind.DISCONNECTED)
    late = np.zeros(len(arrived), bool)
    connections = records.codes["connection"]
    closings = records.first_of_each("connection", closed)[connections[arrived]]
    suspects = np.flatnonzero((closings >= 0) & (closings < arrived) & (records.numbers["kind"][arrived] == Kind.SENT))
    if not len(suspects):
        return late
    # A name may be used again for a later connection of its user: the last change before the event decides.
    changes = records.rows(Kind.CONNECTED, Kind.DISCONNECTED)
    changes = changes[np.argsort(connections[changes], kind="stable")]
    places = connections[changes] * np.int64(len(records)) + changes
    rows = arrived[suspects]
    last = changes[np.searchsorted(places, connections[rows] * np.int64(len(records)) + rows) - 1]
    late[suspects] = records.numbers["kind"][last] == Kind.DISCONNECTED
    return late

"""Checks of isolation: no event, connection, data or mutable object of one user reaches another user."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import NOBODY, Records
from netra_sim.checks.results import FINDINGS_SHOWN, Observation, counted
from netra_sim.checks.sharing import Sharing
from netra_sim.history import ENGINES_COMPARED, Kind, Objectives

USERS_AT_ONCE = "users at once"
"""The figure that shows how many users had live runs at the same time; claims about several users require it."""

_GUESSED = "received events name no run, so that only the marks in them tell whose they are: not judged"

_OWNING = (Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED)


@define(
    "cross-user-isolation",
    question="Did every event reach the owner of its run, and no other user?",
    unit="events sent and received",
)
def cross_user_isolation(records: Records, objectives: Objectives) -> Observation:
    """Every event that was sent or received must have the owner of its run as its reader.

    The owner is the user that the record names (a log of another system may name one), else the user of the run's first
    request, scope or published event. An event of a run without an owner is a finding as well, unless the history records
    none of these three. In a history whose data is isolated by room, every user in the room of the run may read its events.

    Nothing is judged if "names_runs" in the history's meta is false: then the client guesses the run of an event. In the
    history of another system an event without a run is not judged.
    """
    arrived = records.rows(Kind.SENT, Kind.RECEIVED)
    if not records.names_runs:
        arrived = arrived[:0]
    elif records.is_foreign:
        arrived = arrived[records.has("run", arrived)]
    owners = records.owners_of(arrived)
    if not any(records.records(kind) for kind in _OWNING):
        arrived, owners = arrived[owners != NOBODY], owners[owners != NOBODY]
    readers = records.codes["user"][arrived]
    wrong = arrived[owners != readers]
    wrong = wrong[~Sharing(records).allows_users(wrong, owners[owners != readers])]

    def describe(row: int) -> str:
        verb = "received" if records.numbers["kind"][row] == Kind.RECEIVED else "was sent"
        owner = records.text("detail", row)
        if not owner:
            code = int(records.askers_of(np.array([row]))[0])
            owner = "" if code == NOBODY else records.tables["user"][code]
        run = f"{owner}'s run" if owner else "a run that nobody has asked for"
        return f"{records.text('user', row)} {verb} {records.text('event', row)} of {run}"

    return Observation(
        looked_at=len(arrived),
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={
            "events": counted(len(arrived)),
            "users": counted(np.count_nonzero(np.bincount(readers))),
            USERS_AT_ONCE: counted(records.users_at_once),
        },
        inconclusive=_GUESSED if not records.names_runs else "",
    )


@define(
    "connection-isolation",
    question="Did every connection carry the events of one user only, and while it was open?",
    unit="connections opened and events on them",
)
def connection_isolation(records: Records, objectives: Objectives) -> Observation:
    """Every connection must carry events of one user only, and only while it is open.

    The user of a connection is the one for whom it was first opened. In a log, or if openings are not recorded, the user of
    a connection that is never opened is the first one who is sent or receives an event on it. The findings are:

    - a connection name that is opened again for another user;
    - an event on a connection of another user than its reader, or of a run with another owner;
    - an event on a connection that was never opened;
    - an event that was sent on a connection after its close. An event sent before the close may arrive after it.

    Events of another user in the room are right if the history's data is isolated by room. If events do not name their run,
    see `cross-user-isolation`, a history in which nothing else is wrong is not judged.
    """
    opened, arrived = records.rows(Kind.CONNECTED), records.rows(Kind.SENT, Kind.RECEIVED)
    arrived = arrived[records.has("connection", arrived)]
    tells_of_opening = records.records(Kind.CONNECTED)
    can_tell = tells_of_opening and records.names_runs
    firsts = records.first_of_each("connection", opened if tells_of_opening else arrived)
    if not records.is_whole:
        firsts = np.where(firsts >= 0, firsts, records.first_of_each("connection", arrived))
    users, connections = records.codes["user"], records.codes["connection"]
    holders = np.where(firsts >= 0, users[firsts], NOBODY) if len(records) else firsts
    again = opened[holders[connections[opened]] != users[opened]]
    holder, owners = holders[connections[arrived]], records.owners_of(arrived)
    is_anothers = (owners != holder) & (owners != NOBODY)
    is_anothers[is_anothers] = ~Sharing(records).allows_users(arrived[is_anothers], owners[is_anothers])
    is_foreign = (users[arrived] != holder) | is_anothers
    is_late = _after_close(records, arrived)
    wrong = np.sort(np.concatenate([again, arrived[is_foreign | is_late]]))
    late = set(arrived[is_late][:FINDINGS_SHOWN].tolist())

    def describe(row: int) -> str:
        name, event, code = records.text("connection", row), records.text("event", row), holders[connections[row]]
        if code == NOBODY:
            return f"{event} came on {name}, which was never opened"
        connection = f"{records.tables['user'][code]}'s connection {name}"
        if records.numbers["kind"][row] == Kind.CONNECTED:
            return f"{connection} was opened again for {records.text('user', row)}"
        if users[row] != code:
            return f"{records.text('user', row)} got {event} on {connection}"
        if row in late:
            return f"{event} was sent on {connection} after it was closed"
        return f"{event} of another user's run {records.text('run', row)} came on {connection}"

    return Observation(
        looked_at=len(arrived) + len(opened) if len(wrong) or (can_tell and len(arrived)) else 0,
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={
            "connections": counted(np.count_nonzero(firsts >= 0)),
            "events": counted(len(arrived)),
            USERS_AT_ONCE: counted(records.users_at_once),
        },
        inconclusive=_GUESSED if not records.names_runs else "",
    )


@define(
    "content-isolation",
    question="Did every received message contain only data of the user who received it, and of its own run?",
    unit="events received that name the user of their data",
)
def content_isolation(records: Records, objectives: Objectives) -> Observation:
    """Every received message must contain only data of the user who receives it, and of its own run.

    The marks in the data of users and runs name the owner of the data. The findings are: an event with the mark of another
    user, an event with the mark of another run of its reader, and a control frame that names another user. Events without a
    mark are not counted as looked at.

    In the history of another system, "isolated_by" of the meta may allow more: data of other runs in the thread of the run,
    or also data of other users in the room. See `Sharing`.
    """
    all_received, control = records.rows(Kind.RECEIVED), records.rows(Kind.CONTROL_RECEIVED)
    received = all_received[records.has("subject", all_received)]
    named = control[records.has("subject", control)]
    sharing, other_runs = Sharing(records), records.rows(Kind.OTHER_RUN)
    foreign = received[records.as_users("subject", received) != records.codes["user"][received]]
    foreign = np.concatenate([foreign, named])
    foreign = foreign[~sharing.allows_users(foreign, records.as_users("subject", foreign))]
    other_runs = other_runs[~sharing.allows_runs(other_runs, records.as_runs("subject", other_runs))]
    wrong = np.sort(np.concatenate([foreign, other_runs]))

    def describe(row: int) -> str:
        user, event, subject = records.text("user", row), records.text("event", row), records.text("subject", row)
        kind = records.numbers["kind"][row]
        if kind == Kind.OTHER_RUN:
            return f"{user} received data of the run {subject} in {event} of another run"
        return f"{user} received {'the name' if kind == Kind.CONTROL_RECEIVED else 'data'} of {subject} in {event}"

    return Observation(
        looked_at=len(received),
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={
            "events received": counted(len(all_received)),
            "with a mark": counted(len(received)),
            "control frames": counted(len(control)),
            USERS_AT_ONCE: counted(records.users_at_once),
        },
    )


@define("thread-isolation", question="Did every event carry the thread of its run?", unit="events with a thread")
def thread_isolation(records: Records, objectives: Objectives) -> Observation:
    """Every published or received event that names a thread must name the thread of its run.

    The thread of a run is the one that its request names; without one, it is that of its first event with a thread.
    """
    published, received = records.rows(Kind.PUBLISHED), records.rows(Kind.RECEIVED)
    events = np.sort(np.concatenate([published, received]))
    events = events[records.has("thread", events)]
    named = np.concatenate([records.rows(Kind.REQUESTED), events])
    named = named[records.has("thread", named)]
    threads = records.codes["thread"]
    # Requests come first, so that their thread counts.
    right = records.first_of_run(events, named)
    wrong = events[(threads[right] != threads[events]) & (right >= 0)]

    def describe(row: int) -> str:
        right_one = records.text("thread", int(records.first_of_run(np.array([row]), named)[0]))
        return f"{records.text('event', row)} bears the thread {records.text('thread', row)}; its run's is {right_one}"

    return Observation(
        looked_at=len(events),
        found=len(wrong),
        findings=records.findings(wrong, describe),
    )


@define(
    "shared-state",
    question="Was no mutable object reachable from the engines of two users?",
    unit="live engines compared",
)
def shared_state(records: Records, objectives: Objectives) -> Observation:
    """No comparison of live engines may find a mutable object that the engines of two users reach."""
    comparisons = records.samples(ENGINES_COMPARED)
    engines = float(records.numbers["value"][comparisons].sum())
    shared = records.rows(Kind.SHARED)

    def describe(row: int) -> str:
        user, other = records.text("user", row), records.text("subject", row)
        return f"the engines of {user} and {other} share a {records.text('detail', row)}"

    return Observation(
        looked_at=int(engines),
        found=len(shared),
        findings=records.findings(shared, describe),
        measured={
            "probes": counted(len(comparisons)),
            "engines": counted(engines),
            USERS_AT_ONCE: counted(records.users_at_once),
        },
    )


def _after_close(records: Records, arrived: np.ndarray) -> np.ndarray:
    """For each event whether it was sent on a connection after its close."""
    closed = records.rows(Kind.DISCONNECTED)
    late = np.zeros(len(arrived), bool)
    connections = records.codes["connection"]
    closings = records.first_of_each("connection", closed)[connections[arrived]]
    suspects = np.flatnonzero((closings >= 0) & (closings < arrived) & (records.numbers["kind"][arrived] == Kind.SENT))
    if not len(suspects):
        return late
    # A later connection of the user may have the same name: the last change before the event decides.
    changes = records.rows(Kind.CONNECTED, Kind.DISCONNECTED)
    changes = changes[np.argsort(connections[changes], kind="stable")]
    places = connections[changes] * np.int64(len(records)) + changes
    rows = arrived[suspects]
    last = changes[np.searchsorted(places, connections[rows] * np.int64(len(records)) + rows) - 1]
    late[suspects] = records.numbers["kind"][last] == Kind.DISCONNECTED
    return late

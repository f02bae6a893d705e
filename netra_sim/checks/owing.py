"""Which events each client is owed, and which of those that it never got may be excused."""

import numpy as np

from netra_sim.checks.clients import Clients
from netra_sim.checks.receipts import Receipts
from netra_sim.checks.records import FINAL, Records, places
from netra_sim.history import Kind

IN_FLIGHT = 60.0
"""Seconds before its end within which a broken connection may have swallowed what was sent on it.

A peer that vanishes without a word is noticed by its missing pongs: after 40 s with the defaults of `websockets`.
"""

HANDED_OVER = 1.0
"""Seconds within which an event is sent to a client that has read all that was sent before."""

REPLAYED = 120.0
"""Seconds after a run's end within which who connects is still owed its events (`BridgeLimits.replay_seconds`)."""


def owed(records: Records, clients: Clients, receipts: Receipts) -> tuple[np.ndarray, np.ndarray]:
    """Each published event with each client that is owed it: the events' rows, and the clients.

    A client is owed what is published for its user from its first connection on until its last one closes, its
    disconnections in between included. What is published while no client of the user is there is owed to the next client
    that comes, unless the run had ended more than `REPLAYED` seconds before. A history of the product itself tells of a
    bridge that replays live runs to whoever comes: there a client is also owed what is missing before an event that it has.

    Where the history does not tell when clients are there, an event is owed to its user, on any connection.
    """
    published = records.numbered(Kind.PUBLISHED)
    users = records.codes["user"]
    if not clients.is_told_apart:
        if clients.tells:
            came = np.full(len(records.tables["user"]), len(records), np.int64)
            np.minimum.at(came, clients.user, clients.opened)
            published = published[came[users[published]] < published]
        return published, clients.of_user(users[published])
    published = published[np.argsort(users[published], kind="stable")]
    size = len(records) + 2
    places = users[published].astype(np.int64) * size + published + 1
    there = np.flatnonzero(clients.first >= 0)
    holder = clients.user[clients.first[there]].astype(np.int64) * size
    begins = np.searchsorted(places, holder + clients.opened[clients.first[there]] + 1)
    ends = np.searchsorted(places, holder + clients.closed[clients.last[there]] + 1)
    at, of = _spread(begins, ends)
    covers = np.zeros(len(published) + 1, np.int64)
    np.add.at(covers, begins, 1)
    np.add.at(covers, ends, -1)
    alone = published[np.cumsum(covers)[:-1] == 0]
    later = _before_anyone_came(records, clients, there, alone)
    early = _missing_before(records, clients, receipts) if records.is_whole else later
    events = np.concatenate([published[at], later[0], early[0]])
    owners = np.concatenate([there[of], later[1], early[1]])
    extra = len(later[0]) + len(early[0])
    if not extra:
        return events, owners
    # The two rules for what came before a client may name the same event.
    pairs = np.unique(np.stack([events[-extra:], owners[-extra:]]), axis=1)
    return np.append(events[:-extra], pairs[0]), np.append(owners[:-extra], pairs[1])


def excused(records: Records, clients: Clients, receipts: Receipts, of: np.ndarray, events: np.ndarray) -> np.ndarray:
    """For each event that a client was owed and never got whether a connection may have swallowed it.

    That takes a last connection that has closed, whatever the code, and no later event of the run that the client got. Then
    an event is excused

    - if it was sent on that connection within `IN_FLIGHT` seconds before the end;
    - if it was not sent, and the connection closed within `HANDED_OVER` seconds after the event was published, the
      connection was opened, or what was sent last had arrived; or if that never arrived, and may have been in flight itself.

    An event is also excused if its run had ended more than `REPLAYED` seconds before the client came back and the client had
    never heard of the run: no server can tell it of a gap.
    """
    if not clients.is_told_apart:
        return np.zeros(len(events), bool)
    times = np.append(records.numbers["time"], np.nan)
    last = clients.last[of]
    closed = clients.closed[last]
    end = times[closed]
    since = np.fmax(times[events], np.where(clients.opened[last] >= 0, times[clients.opened[last]], -np.inf))
    if records.records(Kind.SENT):
        sent, latest, arrived = _sent_on_last(records, clients, receipts, of, events)
        idle = np.fmax(since, np.where(arrived >= 0, times[arrived], -np.inf))
        is_stuck = (latest >= 0) & (arrived < 0)
        in_flight = np.where(
            (sent >= 0) | is_stuck,
            ~(end - times[np.where(sent >= 0, sent, latest)] > IN_FLIGHT),
            ~(end - idle > HANDED_OVER),
        )
    else:
        in_flight = ~(end - since > IN_FLIGHT)
    has_closed = closed < len(records)
    came_back = clients.next_after(of, events)
    run_end = records.first_of_run(events, _ends(records))
    waited = times[np.append(clients.opened, -1)[came_back]] - times[run_end]
    is_forgotten = (came_back >= 0) & (run_end >= 0) & (waited > REPLAYED) & ~receipts.knows_run(of, events)
    return np.asarray((has_closed & in_flight & ~receipts.is_overtaken(of, events)) | is_forgotten)


def _sent_on_last(
    records: Records, clients: Clients, receipts: Receipts, of: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was sent on the clients' last connections.

    Returns:
        For each event and client the row at which the event was sent on the client's last connection, the row of what was
        sent last on it, and the row at which that arrived; -1 for what did not happen.
    """
    is_of_interest = np.zeros(clients.count, bool)
    is_of_interest[of] = True
    names = records.codes["connection"]
    sent = records.rows(Kind.SENT)
    spans = clients.span_of(sent)
    sent, spans = sent[spans >= 0], spans[spans >= 0]
    client = clients.client[spans]
    chosen = is_of_interest[client] & (clients.last[client] == spans)
    sent, client = sent[chosen], client[chosen]
    at = places(clients.keys_for(of, events), clients.keys_for(client, sent))
    latest = np.full(clients.count, -1, np.int64)
    latest[client] = sent
    arrived = np.full(clients.count, -1, np.int64)
    have = np.flatnonzero(latest >= 0)
    arrived[have] = receipts.first_of(have, latest[have])
    # What had arrived on an earlier connection has not arrived on this one.
    arrived[(arrived >= 0) & (names[arrived] != names[latest])] = -1
    return np.append(sent, -1)[at], latest[of], arrived[of]


def _before_anyone_came(
    records: Records, clients: Clients, there: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of events that were published while no client of the user was there those that are owed to the next one, and it."""
    if not len(there):
        return events[:0], there
    times = records.numbers["time"]
    size = len(records) + 2
    opened = clients.opened[clients.first[there]]
    places = clients.user[clients.first[there]].astype(np.int64) * size + opened + 1
    order = np.argsort(places)
    users = records.codes["user"][events]
    at = np.append(order, -1)[np.searchsorted(places[order], users.astype(np.int64) * size + events + 1)]
    next_one = np.append(there, -1)[at]
    comes = (next_one >= 0) & (clients.user[clients.first[next_one]] == users)
    events, next_one = events[comes], next_one[comes]
    end = records.first_of_run(events, _ends(records))
    came = clients.opened[clients.first[next_one]]
    is_over = (end >= 0) & (end < came) & (times[came] - times[end] > REPLAYED)
    return events[~is_over], next_one[~is_over]


def _missing_before(records: Records, clients: Clients, receipts: Receipts) -> tuple[np.ndarray, np.ndarray]:
    """Events that were published before a client first came, of runs of which it has later ones, and the client."""
    published = records.numbered(Kind.PUBLISHED)
    runs = records.keys("run", "use")
    published = published[np.argsort(runs[published], kind="stable")]
    # One received event for each client and run.
    groups = receipts.keys // clients.span
    some = receipts.rows[np.diff(groups, prepend=-1) != 0]
    of = clients.of(some)
    some, of = some[clients.first[of] >= 0], of[clients.first[of] >= 0]
    opened = clients.opened[clients.first[of]]
    begins = np.searchsorted(runs[published], runs[some])
    is_late = np.append(published, len(records))[begins] < opened
    is_late &= records.codes["user"][some] == records.askers_of(some)
    some, of, begins, opened = some[is_late], of[is_late], begins[is_late], opened[is_late]
    at, place = _spread(begins, np.searchsorted(runs[published], runs[some], side="right"))
    events, of, opened = published[at], of[place], opened[place]
    chosen = (events < opened) & receipts.is_overtaken(of, events)
    return events[chosen], of[chosen]


def _ends(records: Records) -> np.ndarray:
    published = records.rows(Kind.PUBLISHED)
    return np.asarray(published[records.one_of("event", published, *FINAL)])


def _spread(begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places from each beginning to its end, one after the other, and for each place the number of its stretch."""
    lengths = np.maximum(ends - begins, 0)
    stretch = np.repeat(np.arange(len(begins)), lengths)
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths - begins, lengths), stretch

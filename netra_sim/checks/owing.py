"""Which events each client is owed, and which missing events are excused."""

import numpy as np

from netra_sim.checks.clients import Clients
from netra_sim.checks.receipts import Receipts
from netra_sim.checks.records import FINAL, Records, places
from netra_sim.history import Kind

IN_FLIGHT = 60.0
"""Seconds before the end of a connection within which a sent event may be lost.

The server notices a vanished peer only by missing pongs: after 40 s with the defaults of `websockets`.
"""

HANDED_OVER = 1.0
"""Seconds within which the server sends an event to a client that has received everything sent before."""

REPLAYED = 120.0
"""Seconds after a run's end for which a client that connects is owed its events (`BridgeLimits.replay_seconds`)."""


def owed(records: Records, clients: Clients, receipts: Receipts) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a published event and a client that is owed it: the events' rows, and the clients.

    A client is present from the opening of its first connection to the close of its last one, times without a connection in
    between included. It is owed:

    - every event published for its user while it is present;
    - every event published while no client of the user was present, if it is the user's next client to come. An exception
      is an event of a run that ended more than `REPLAYED` seconds before the client came;
    - in a history recorded from the system's start: every event published before the client came, if the client received a
      later event of the same run, and its user asked for that run. The bridge of this project replays live runs to every
      new client.

    Example: Alice's first tab is open from 0 to 50 s and her second from 60 s on. An event at 20 s is owed to the first tab
    only. An event at 55 s is owed to the second tab, unless its run ended and more than 120 s passed before the tab came.

    If the history does not say when clients are present, an event is owed to its user, on any connection. If it says at
    least when connections open, this holds only for events after the user's first one.
    """
    published = records.numbered(Kind.PUBLISHED)
    users = records.codes["user"]
    if not clients.has_lifetimes:
        if clients.has_openings:
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
    later = _owed_to_next_client(records, clients, there, alone)
    early = _missing_before(records, clients, receipts) if records.is_whole else later
    events = np.concatenate([published[at], later[0], early[0]])
    owners = np.concatenate([there[of], later[1], early[1]])
    extra = len(later[0]) + len(early[0])
    if not extra:
        return events, owners
    # The two rules for events before a client may name the same event.
    pairs = np.unique(np.stack([events[-extra:], owners[-extra:]]), axis=1)
    return np.append(events[:-extra], pairs[0]), np.append(owners[:-extra], pairs[1])


def excused(records: Records, clients: Clients, receipts: Receipts, of: np.ndarray, events: np.ndarray) -> np.ndarray:
    """For each event that a client was owed and never received whether the loss is excused.

    The client's last connection may excuse it, if that has closed, with any code, and the client received no later event of
    the run. Such an event is excused in these cases:

    - It was sent on that connection at most `IN_FLIGHT` seconds before the close.
    - It was not sent, because the connection was stuck: the last event sent on it never arrived, and was sent at most
      `IN_FLIGHT` seconds before the close.
    - It was not sent, and there was no time to: the connection closed at most `HANDED_OVER` seconds after the latest of
      these: the event was published, the connection opened, the last event sent on it arrived.
    - The history does not record what was sent, and the connection closed at most `IN_FLIGHT` seconds after the later of
      these: the event was published, the connection opened.

    Without regard to the last connection, an event is excused if its run ended more than `REPLAYED` seconds before the
    client connected again, and the client has no event of the run: the server cannot know that it must announce a gap.

    Nothing is excused if the history does not say when clients are present. An unknown time counts as within the limit.
    """
    if not clients.has_lifetimes:
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
    run_end = records.first_of_run(events, records.rows_with(Kind.PUBLISHED, "event", *FINAL))
    waited = times[np.append(clients.opened, -1)[came_back]] - times[run_end]
    is_forgotten = (came_back >= 0) & (run_end >= 0) & (waited > REPLAYED) & ~receipts.knows_run(of, events)
    return np.asarray((has_closed & in_flight & ~receipts.is_overtaken(of, events)) | is_forgotten)


def _sent_on_last(
    records: Records, clients: Clients, receipts: Receipts, of: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was sent on the clients' last connections.

    Returns:
        For each event and client the row at which the event was sent on the client's last connection, the row of the last
        event sent on it, and the row at which that one arrived; -1 for what did not happen.
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
    # An arrival on an earlier connection does not count.
    arrived[(arrived >= 0) & (names[arrived] != names[latest])] = -1
    return np.append(sent, -1)[at], latest[of], arrived[of]


def _owed_to_next_client(
    records: Records, clients: Clients, there: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The events, out of those published while no client was present, that the next client is owed; and that client."""
    if not len(there):
        return events[:0], there
    times = records.numbers["time"]
    size = len(records) + 2
    opened = clients.opened[clients.first[there]]
    places = clients.user[clients.first[there]].astype(np.int64) * size + opened + 1
    order = np.argsort(places)
    users = records.codes["user"][events]
    at = np.append(order, -1)[np.searchsorted(places[order], users.astype(np.int64) * size + events + 1)]
    following = np.append(there, -1)[at]
    comes = (following >= 0) & (clients.user[clients.first[following]] == users)
    events, following = events[comes], following[comes]
    end = records.first_of_run(events, records.rows_with(Kind.PUBLISHED, "event", *FINAL))
    came = clients.opened[clients.first[following]]
    is_over = (end >= 0) & (end < came) & (times[came] - times[end] > REPLAYED)
    return events[~is_over], following[~is_over]


def _missing_before(records: Records, clients: Clients, receipts: Receipts) -> tuple[np.ndarray, np.ndarray]:
    """The events published before a client came, of whose run it received a later event; and the client."""
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


def _spread(begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers from each beginning up to its end, concatenated, and for each number the index of its range."""
    lengths = np.maximum(ends - begins, 0)
    ranges = np.repeat(np.arange(len(begins)), lengths)
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths - begins, lengths), ranges

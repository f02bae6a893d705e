"""Which connections belong to one client, and when each was open.

A client is one browser tab or one program. It has one connection at a time, and a new connection continues where the one
before broke. If the history names the client of a connection, that name counts; if it names only some clients, each other
connection is a client. If it names none, a connection continues the client of the same user whose connection ended last,
provided that this one broke and that the user had no other connection open; else it begins a new client. A connection
breaks with any close code except those of `LEAVING`.

Example: Alice's connection breaks with code 1006, and her next one opens: both are one client. If the first had closed with
1000, or if a second connection had been open at the time, the next one would be a new client.
"""

from functools import cached_property

import numpy as np

from netra_sim.checks.records import Records, running_sum
from netra_sim.history import Kind

LEAVING = (1000, 1001)
"""The close codes of a client that leaves on purpose: a closed tab, or a page that is left (RFC 6455, 7.4.1)."""


class Clients:
    """The clients of a history, and the spans in which their connections were open.

    A span is the time from the opening of a connection to its close. A connection that is never opened in a log was open
    when the log began: its span begins there. If openings are not recorded, there are no spans, and each connection is a
    client.

    Attributes:
        has_openings: whether the history records when connections open.
        user: for each span the code of its user.
        opened: for each span the row at which it began; -1 for the beginning of a log.
        closed: for each span the row at which it ended; the history's length if it did not.
        client: for each span the number of its client.
        count: how many client numbers there are. Connections without a span and users have client numbers too.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.has_openings = records.records(Kind.CONNECTED)
        spans = _spans(records) if self.has_openings else (_NONE, _NONE, _NONE)
        self._connection: np.ndarray = spans[0]
        self.opened: np.ndarray = spans[1]
        self.closed: np.ndarray = spans[2]
        codes = records.codes
        mentions = records.first_of_each(
            "connection", records.rows(Kind.CONNECTED, Kind.DISCONNECTED, Kind.SENT, Kind.RECEIVED)
        )
        self._holder = np.where(mentions >= 0, codes["user"][mentions], -1) if len(records) else mentions
        self.user = np.where(
            self.opened >= 0, codes["user"][self.opened] if len(records) else -1, self._holder[self._connection]
        )
        self.client, self.is_named = _clients(records, self._connection, self.user, self.opened, self.closed)
        self.count = len(self.opened) + len(records.tables["connection"]) + len(records.tables["user"])
        # By name, and by beginning if a name is used again.
        self._order = np.lexsort((self.opened, self._connection))
        self._places = self._place(self._connection, self.opened)[self._order]

    @property
    def has_lifetimes(self) -> bool:
        """Whether the history says when each client is present; else checks can judge only what reaches a user."""
        return self.has_openings and (self._records.records(Kind.DISCONNECTED) or self.is_named)

    def span_of(self, rows: np.ndarray) -> np.ndarray:
        """For each row the latest span of its connection that began before it, else the first one; -1 without a span."""
        if not len(self._order):
            return np.full(len(rows), -1)
        names = self._records.codes["connection"][rows]
        ends = np.searchsorted(self._connection[self._order], np.arange(len(self._records.tables["connection"]) + 1))
        if len(self._order) == len(np.unique(self._connection)):
            at = ends[:-1][names]
        else:
            # A row before all spans belongs to the first one.
            at = np.maximum(np.searchsorted(self._places, self._place(names, rows), side="right") - 1, ends[names])
        return np.where(ends[names] < ends[names + 1], np.append(self._order, -1)[at], -1)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """For each row the number of its client; rows without a connection get the number of their user, see `of_user`."""
        codes, known = self._records.codes, len(self.opened)
        users, names = codes["user"][rows], codes["connection"][rows]
        spans = self.span_of(rows)
        holder = np.where(spans >= 0, np.append(self.user, -1)[spans], self._holder[names])
        numbers = np.where(spans >= 0, np.append(self.client, -1)[spans], known + names)
        is_theirs = (users == holder) & self._records.has("connection", rows)
        return np.where(is_theirs, numbers, self.of_user(users))

    def of_user(self, users: np.ndarray) -> np.ndarray:
        """The client numbers that stand for all clients of a user together."""
        return np.asarray(len(self.opened) + len(self._records.tables["connection"]) + users.astype(np.int64))

    @cached_property
    def first(self) -> np.ndarray:
        """For each client its first span, or -1."""
        found = np.full(self.count, -1, np.int64)
        order = np.argsort(self.opened, kind="stable")[::-1]
        found[self.client[order]] = order
        return found

    @cached_property
    def last(self) -> np.ndarray:
        """For each client its last span, or -1."""
        found = np.full(self.count, -1, np.int64)
        order = np.argsort(self.opened, kind="stable")
        found[self.client[order]] = order
        return found

    def next_after(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each client its first span that began after the row, or -1."""
        order = np.lexsort((self.opened, self.client))
        places = self._place(self.client, self.opened)[order]
        found = np.append(order, -1)[np.searchsorted(places, self._place(clients, rows), side="right")]
        return np.where((found >= 0) & (np.append(self.client, -1)[found] == clients), found, -1)

    def _place(self, groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(groups.astype(np.int64) * (len(self._records) + 2) + rows + 1)

    def keys_for(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each row one number, made of its client, its run, how often its id was used before, and its sequence number.

        Within a client and run, the keys are in the order of the sequence numbers.
        """
        return np.asarray(self._group(clients, rows) * self.span + self.place_of(self._records.numbers["seq"][rows]))

    def end_of(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The upper bound of the keys of these clients and the rows' runs: all of them are less, all later ones are not."""
        return np.asarray((self._group(clients, rows) + 1) * self.span)

    def _group(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(clients.astype(np.int64) * self._runs + self._records.keys("run", "use")[rows])

    def place_of(self, numbers: np.ndarray) -> np.ndarray:
        """Sequence numbers as they count in keys: from 0, in the same order."""
        if self._ordered is None:
            return np.asarray(np.maximum(numbers, -1).astype(np.int64) + 1)
        return np.searchsorted(self._ordered, numbers, side="right").astype(np.int64)

    @cached_property
    def _runs(self) -> int:
        return int(self._records.keys("run", "use").max(initial=0)) + 1

    @cached_property
    def span(self) -> int:
        """How many keys each client and run has room for."""
        numbers = self._records.numbers["seq"]
        return (int(numbers.max(initial=0)) if self._ordered is None else len(self._ordered)) + 2

    @cached_property
    def _ordered(self) -> np.ndarray | None:
        """The distinct sequence numbers, ascending, if they are too large for keys; else None."""
        numbers = self._records.numbers["seq"]
        size = self.count * self._runs * (int(numbers.max(initial=0)) + 2)
        return np.unique(numbers) if size >= 1 << 62 else None


def _spans(records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each span the code of its connection, and the rows at which it began and ended."""
    connections = records.codes["connection"]
    changes = records.rows(Kind.CONNECTED, Kind.DISCONNECTED)
    changes = changes[np.argsort(connections[changes], kind="stable")]
    names, is_opening = connections[changes], records.numbers["kind"][changes] == Kind.CONNECTED
    is_first = np.diff(names, prepend=-1) != 0
    was_open = np.append(False, is_opening[:-1]) & ~is_first
    # A log may begin while a connection is open.
    is_open_before = is_first & ~is_opening & (not records.is_whole)
    begins = (is_opening & ~was_open) | is_open_before
    ends = ~is_opening & (was_open | is_open_before)
    opened = np.where(is_open_before, -1, changes)[begins]
    closed = np.full(len(opened), len(records), np.int64)
    closed[(np.cumsum(begins) - 1)[ends]] = changes[ends]
    found = names[begins]
    if records.is_whole:
        return found, opened, closed
    events = records.rows(Kind.SENT, Kind.RECEIVED)
    unopened = records.without_repeats("connection", events[records.has("connection", events)])
    unopened = connections[unopened][records.first_of_each("connection", changes)[connections[unopened]] < 0]
    more = len(unopened)
    closed = np.append(closed, np.full(more, len(records), np.int64))
    return np.append(found, unopened), np.append(opened, np.full(more, -1)), closed


def _clients(
    records: Records, connection: np.ndarray, user: np.ndarray, opened: np.ndarray, closed: np.ndarray
) -> tuple[np.ndarray, bool]:
    """For each span the first span of its client, and whether every span has a named client."""
    own = np.arange(len(opened))
    says = records.rows(Kind.ATTACHED, Kind.CONNECTED)
    says = records.last_of_each("connection", says[records.has("detail", says)])[connection]
    is_named = says >= 0
    if is_named.any():
        named = own[is_named]
        names = user[named].astype(np.int64) * len(records.tables["detail"]) + records.codes["detail"][says[named]]
        _, firsts, places = np.unique(names, return_index=True, return_inverse=True)
        own[named] = named[firsts[places]]
        return own, bool(is_named.all())
    before = _continued(records, user, opened, closed)
    client = np.where(before >= 0, before, own)
    while not np.array_equal(client, client[client]):
        client = client[client]
    return client, False


def _continued(records: Records, user: np.ndarray, opened: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """For each span the span that it continues, as the module's docstring says, or -1."""
    spans = np.arange(len(opened))
    is_over = closed < len(records)
    rows, of = np.append(opened, closed[is_over]), np.append(spans, spans[is_over])
    steps = np.append(np.ones(len(opened), np.int64), np.full(int(is_over.sum()), -1))
    order = np.lexsort((rows, user[of]))
    of, steps, users = of[order], steps[order], user[of[order]]
    # The running sum is the number of a user's open connections after each step.
    follows = (steps > 0) & (running_sum(steps, users) == 1) & (np.diff(users, prepend=-1) == 0)
    at = np.flatnonzero(follows)
    previous = of[at - 1]
    broke = ~np.isin(records.numbers["value"][closed[previous]], LEAVING)
    found = np.full(len(opened), -1, np.int64)
    found[of[at[broke]]] = previous[broke]
    return found


_NONE = np.zeros(0, np.int64)

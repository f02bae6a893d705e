"""Which connections belong to one client, what each client has received, and which gaps it was told of.

A client is one browser tab or one program: it has one connection at a time, and the next one goes on where the last one
broke off. Where a history names clients, they are as it says. Where it does not, a connection goes on with the client of
the user's connection before it, if that one had broken and was the user's only one; any other connection is another client.
"""

from functools import cached_property

import numpy as np

from netra_sim.checks.records import Records, is_in, running_max
from netra_sim.history import Kind

LEAVING = (1000, 1001)
"""The close codes of a client that leaves of its own will: a tab that is closed, a page that is left (RFC 6455, 7.4.1)."""


class Clients:
    """The clients of a history.

    Attributes:
        of_row: for every row of the history the number of its client; rows without a connection share one for each user.
        count: how many numbers there are.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        codes, connections = records.codes, len(records.tables["connection"])
        of_connection = _named(records) if records.records(Kind.CONNECTED) else None
        users = codes["user"].astype(np.int64)
        if of_connection is None:
            # Without a word of when connections open and close, nobody can tell a second tab from a second try.
            self.of_row, self.count = users, len(records.tables["user"])
            return
        has_connection = records.has("connection", np.arange(len(records)))
        self.of_row = np.where(has_connection, of_connection[codes["connection"]], connections + users)
        self.count = connections + len(records.tables["user"])

    def first_rows(self, rows: np.ndarray) -> np.ndarray:
        """For each client the first of the rows, or -1."""
        return self.last_rows(rows[::-1])

    def last_rows(self, rows: np.ndarray) -> np.ndarray:
        """For each client the last of the rows, or -1."""
        found = np.full(self.count, -1, np.int64)
        found[self.of_row[rows]] = rows
        return found

    def keys(self, rows: np.ndarray, *, with_seq: bool = True) -> np.ndarray:
        """For each of the rows one number: equal for the same client, run, use of the run's id and, if wanted, number."""
        return self._combined(self.of_row[rows], rows, with_seq)

    def keys_for(self, clients: np.ndarray, rows: np.ndarray, *, with_seq: bool = True) -> np.ndarray:
        """As `keys`, for rows as they would be if these clients had them."""
        return self._combined(clients, rows, with_seq)

    def _combined(self, clients: np.ndarray, rows: np.ndarray, with_seq: bool) -> np.ndarray:
        records = self._records
        keys = clients.astype(np.int64) * len(records.tables["run"]) + records.codes["run"][rows]
        keys = keys * self._uses + records.uses[rows]
        return np.asarray(keys * self._span + self.place_of(records.numbers["seq"][rows]) if with_seq else keys)

    def place_of(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers of events as they count in `keys`: from 0, in the same order."""
        if self._ordered is None:
            return np.asarray(np.maximum(numbers, -1).astype(np.int64) + 1)
        return np.searchsorted(self._ordered, numbers, side="right").astype(np.int64)

    @property
    def _uses(self) -> int:
        return int(self._records.uses.max(initial=0)) + 1

    @cached_property
    def _span(self) -> int:
        numbers = self._records.numbers["seq"]
        return (int(numbers.max(initial=0)) if self._ordered is None else len(self._ordered)) + 2

    @cached_property
    def _ordered(self) -> np.ndarray | None:
        """The numbers of events in ascending order, where they are so large that keys could not hold them as they are."""
        numbers = self._records.numbers["seq"]
        groups = self.count * max(1, len(self._records.tables["run"])) * self._uses
        return np.unique(numbers) if groups * (int(numbers.max(initial=0)) + 2) >= 1 << 62 else None

    @cached_property
    def gaps(self) -> np.ndarray:
        """The rows of gaps that clients learned of: as they read them, or as the server says where no client is asked."""
        records = self._records
        return records.rows(Kind.GAP_RECEIVED if len(records.rows(Kind.ATTACHED)) else Kind.GAP)

    def announced(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether a gap that covers it was announced to that client."""
        gaps, records = self.gaps, self._records
        if not len(gaps) or not len(rows):
            return np.zeros(len(rows), bool)
        starts, groups = self.keys(gaps), self.keys(gaps, with_seq=False)
        order = np.argsort(starts, kind="stable")
        gaps, starts, groups = gaps[order], starts[order], groups[order]
        first, last = records.numbers["seq"][gaps], records.numbers["value"][gaps]
        last = np.where((last < first) | np.isnan(last), np.inf, last)  # A gap that ends before it begins has no end.
        furthest = running_max(last, groups)
        before = np.searchsorted(starts, self.keys_for(clients, rows), side="right") - 1
        same = (before >= 0) & (groups[before] == self.keys_for(clients, rows, with_seq=False))
        return np.asarray(same & (furthest[before] >= records.numbers["seq"][rows]))

    def is_overtaken(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether the client has received a later event of the run: then this one is lost."""
        records = self._records
        received = records.rows(Kind.RECEIVED)
        groups = self.keys(received, with_seq=False)
        order = np.lexsort((records.numbers["seq"][received], groups))
        ends = np.append(np.flatnonzero(np.diff(groups[order])), len(order) - 1) if len(order) else order
        last_of_group, highest = groups[order][ends], records.numbers["seq"][received][order][ends]
        wanted = self.keys_for(clients, rows, with_seq=False)
        at = np.minimum(np.searchsorted(last_of_group, wanted), max(0, len(ends) - 1))
        if not len(ends):
            return np.zeros(len(rows), bool)
        return np.asarray((last_of_group[at] == wanted) & (highest[at] > records.numbers["seq"][rows]))

    def has_received(self, clients: np.ndarray, rows: np.ndarray, *, any_of_run: bool = False) -> np.ndarray:
        """For each event and client whether the client has received it, or anything of its run."""
        received = self._records.rows(Kind.RECEIVED)
        with_seq = not any_of_run
        return is_in(self.keys_for(clients, rows, with_seq=with_seq), self.keys(received, with_seq=with_seq))


def _named(records: Records) -> np.ndarray:
    """For each connection, by its code, the code of the first connection of its client."""
    own = np.arange(len(records.tables["connection"]))
    says = records.rows(Kind.ATTACHED, Kind.CONNECTED)
    says = says[records.has("detail", says)]
    if not len(says):
        return _in_succession(records)
    names = own.copy()
    connections, clients = records.codes["connection"][says], records.codes["detail"][says]
    firsts = np.full(len(records.tables["detail"]), -1, np.int64)
    firsts[clients[::-1]] = connections[::-1]
    names[connections] = firsts[clients]
    return names


def _in_succession(records: Records) -> np.ndarray:
    """The same where clients have no names: by which connection of a user followed one that had broken."""
    names = np.arange(len(records.tables["connection"]))
    kinds, users, connections = records.numbers["kind"], records.codes["user"], records.codes["connection"]
    open_of: dict[int, set[int]] = {}
    broken: dict[int, int] = {}
    for row in records.rows(Kind.CONNECTED, Kind.DISCONNECTED).tolist():
        user, connection = int(users[row]), int(connections[row])
        live = open_of.setdefault(user, set())
        if kinds[row] == Kind.DISCONNECTED:
            live.discard(connection)
            if records.numbers["value"][row] not in LEAVING:
                broken[user] = connection
            continue
        before = broken.pop(user, None)
        if before is not None and not live:
            names[connection] = names[before]
        live.add(connection)
    return names

"""What each client has received, and which gaps it was told of, in an order in which both are quickly found."""

import numpy as np

from netra_sim.checks.clients import Clients
from netra_sim.checks.records import Records, places, running_max
from netra_sim.history import Kind


class Receipts:
    """Numbered events that were received, by client, run and number.

    Args:
        records: whose.
        clients: who receives.
        of: for each received row, in order, the number of its client.

    Attributes:
        rows: of what was received, by client, run and number, and what came first before what came again.
        keys: of these rows, as `Clients.keys_for` makes them.
    """

    def __init__(self, records: Records, clients: Clients, of: np.ndarray) -> None:
        self._records = records
        self._clients = clients
        received = records.rows(Kind.RECEIVED)
        is_numbered = records.numbers["seq"][received] >= 0
        received, of = received[is_numbered], of[is_numbered]
        keys = clients.keys_for(of, received)
        order = np.argsort(keys, kind="stable")
        self.rows, self.keys = received[order], keys[order]

    @property
    def repeated(self) -> np.ndarray:
        """The rows of what a client had already received."""
        return np.asarray(self.rows[1:][self.keys[1:] == self.keys[:-1]])

    def first_of(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client the row at which the client received the event, or -1."""
        return np.asarray(np.append(self.rows, -1)[places(self._clients.keys_for(clients, rows), self.keys)])

    def is_overtaken(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether the client has received a later event of the run: then this one is lost."""
        after = np.searchsorted(self.keys, self._clients.keys_for(clients, rows), side="right")
        return np.asarray(after < np.searchsorted(self.keys, self._clients.end_of(clients, rows)))

    def knows_run(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether the client has received anything of the event's run."""
        end = self._clients.end_of(clients, rows)
        return np.asarray(np.searchsorted(self.keys, end - self._clients.span) < np.searchsorted(self.keys, end))

    def within(self, clients: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """For each gap and client whether the client has an event that the gap covers.

        A gap whose last number is not known covers all from its first on that the client had before the gap.
        """
        records, clients_ = self._records, self._clients
        first = clients_.keys_for(clients, gaps)
        last, end = records.numbers["value"][gaps], clients_.end_of(clients, gaps)
        is_closed = last >= records.numbers["seq"][gaps]
        places = clients_.place_of(np.where(is_closed, last, 0)) - clients_.place_of(records.numbers["seq"][gaps])
        until = np.where(is_closed, first + places + 1, end)
        begin, stop = np.searchsorted(self.keys, first), np.searchsorted(self.keys, until)
        holds = stop > begin
        # Of those that a gap without an end covers, one that came before it is wrong; the first came first.
        earliest = np.append(self.rows, -1)[np.minimum(begin, len(self.rows))]
        return np.asarray(holds & (is_closed | (earliest < gaps)))


def announced(
    records: Records, clients: Clients, of_gaps: np.ndarray, gaps: np.ndarray, of: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """For each event and client whether a gap that covers the event was announced to the client.

    Args:
        records: whose.
        clients: who was told.
        of_gaps: for each gap its client.
        gaps: their rows.
        of: the clients.
        rows: the events.
    """
    if not len(gaps) or not len(rows):
        return np.zeros(len(rows), bool)
    starts = clients.keys_for(of_gaps, gaps)
    order = np.argsort(starts, kind="stable")
    gaps, starts = gaps[order], starts[order]
    groups = starts // clients.span
    first, last = records.numbers["seq"][gaps], records.numbers["value"][gaps]
    last = np.where((last < first) | np.isnan(last), np.inf, last)  # A gap that ends before it begins has no end.
    furthest = running_max(last, groups)
    keys = clients.keys_for(of, rows)
    before = np.searchsorted(starts, keys, side="right") - 1
    same = (before >= 0) & (groups[before] == keys // clients.span)
    return np.asarray(same & (furthest[before] >= records.numbers["seq"][rows]))

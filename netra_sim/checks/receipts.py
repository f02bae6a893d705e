"""What each client received, and which gaps were announced to it, in an order that makes lookups fast."""

import numpy as np

from netra_sim.checks.clients import Clients
from netra_sim.checks.records import Records, places, running_max
from netra_sim.history import Kind


class Receipts:
    """Received events with a number, ordered by client, run and number.

    Args:
        records: of the history.
        clients: of the same history.
        of: for each received row, in order, the number of its client.

    Attributes:
        rows: of the events; of repeated ones the first arrival comes first.
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
        """The rows at which a client received an event again."""
        return np.asarray(self.rows[1:][self.keys[1:] == self.keys[:-1]])

    def first_of(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client the row at which the client received the event, or -1."""
        return np.asarray(np.append(self.rows, -1)[places(self._clients.keys_for(clients, rows), self.keys)])

    def is_overtaken(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether the client received a later event of the run; then this one cannot come."""
        after = np.searchsorted(self.keys, self._clients.keys_for(clients, rows), side="right")
        return np.asarray(after < np.searchsorted(self.keys, self._clients.end_of(clients, rows)))

    def knows_run(self, clients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each event and client whether the client received any event of the run."""
        end = self._clients.end_of(clients, rows)
        return np.asarray(np.searchsorted(self.keys, end - self._clients.span) < np.searchsorted(self.keys, end))

    def within(self, clients: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """For each gap and client whether the client received an event that the gap covers.

        A gap without a known last number covers all numbers from its first on; of these, only events that arrived before
        the gap count.
        """
        records, clients_ = self._records, self._clients
        first = clients_.keys_for(clients, gaps)
        last, end = records.numbers["value"][gaps], clients_.end_of(clients, gaps)
        is_closed = last >= records.numbers["seq"][gaps]
        places = clients_.place_of(np.where(is_closed, last, 0)) - clients_.place_of(records.numbers["seq"][gaps])
        until = np.where(is_closed, first + places + 1, end)
        begin, stop = np.searchsorted(self.keys, first), np.searchsorted(self.keys, until)
        holds = stop > begin
        # The first event of the gap stands for all that follow it: in order, it arrived before them.
        earliest = np.append(self.rows, -1)[np.minimum(begin, len(self.rows))]
        return np.asarray(holds & (is_closed | (earliest < gaps)))


def announced(
    records: Records, clients: Clients, of_gaps: np.ndarray, gaps: np.ndarray, of: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """For each event and client whether a gap that covers the event was announced to the client.

    Args:
        records: of the history.
        clients: of the same history.
        of_gaps: for each gap the number of its client.
        gaps: the rows of the gaps.
        of: for each event the number of the client in question.
        rows: the rows of the events.
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

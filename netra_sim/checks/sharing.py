"""Which data of other runs, and of other users, an event may hold.

"isolated_by" in the meta of a history says it: with "run", the default, none. With "thread", data of its reader's other runs
in the same thread. With "room", data of everybody in the room. A user is in each room in which the user has asked, or to
which a client of the user has connected; the thread of a request is its room.
"""

from functools import cached_property

import numpy as np

from netra_sim.checks.membership import is_in
from netra_sim.checks.records import Records
from netra_sim.history import Kind


class Sharing:
    """Answers for rows of received events whether what they hold is allowed.

    Args:
        records: of the history.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        by = records.meta.get("isolated_by")
        self._has_threads, self._has_rooms = by in ("thread", "room"), by == "room"

    def allows_users(self, rows: np.ndarray, users: np.ndarray) -> np.ndarray:
        """For each row whether its reader may see data of another user: both are in its room, or in any if it has none."""
        if not self._has_rooms:
            return np.zeros(len(rows), bool)
        readers, rooms = self._records.codes["user"][rows], self._room_of(rows)
        both = self._is_in(readers, rooms) & self._is_in(users, rooms)
        return np.where(rooms != self._none, both, self._share_a_room(readers, users))

    def allows_runs(self, rows: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """For each row whether its reader may see data of a run: it is of the same thread, or of the same room."""
        if not self._has_threads:
            return np.zeros(len(rows), bool)
        records, asked = self._records, self._asked
        first = np.append(asked, -1)[np.maximum(runs, -1)]
        threads = np.where(first >= 0, records.codes["thread"][first], self._none)
        readers, rooms = records.codes["user"][rows], self._room_of(rows)
        if self._has_rooms:
            rooms = np.where(rooms == self._none, threads, rooms)
            may_read = self._is_in(readers, threads)
        else:
            may_read = records.codes["user"][first] == readers
        return np.asarray((threads != self._none) & (threads == rooms) & may_read)

    @cached_property
    def _none(self) -> int:
        return self._records.code("thread", "")

    @cached_property
    def _asked(self) -> np.ndarray:
        return self._records.first_of_each("run", self._records.rows(Kind.REQUESTED))

    @cached_property
    def _members(self) -> np.ndarray:
        """The pairs of a user and a room that the user is in, as numbers."""
        rows = self._records.rows(Kind.REQUESTED, Kind.ATTACHED)
        rows = rows[self._records.has("thread", rows)]
        return np.unique(self._pair(self._records.codes["user"][rows], self._records.codes["thread"][rows]))

    def _pair(self, users: np.ndarray, rooms: np.ndarray) -> np.ndarray:
        return np.asarray(users.astype(np.int64) * len(self._records.tables["thread"]) + rooms)

    def _is_in(self, users: np.ndarray, rooms: np.ndarray) -> np.ndarray:
        return is_in(self._pair(users, rooms), self._members) & (users >= 0)

    def _share_a_room(self, users: np.ndarray, others: np.ndarray) -> np.ndarray:
        rooms: dict[int, set[int]] = {}
        for pair in self._members.tolist():
            user, room = divmod(pair, len(self._records.tables["thread"]))
            rooms.setdefault(user, set()).add(room)
        pairs = zip(users.tolist(), others.tolist(), strict=True)
        return np.array([bool(rooms.get(one, set()) & rooms.get(other, set())) for one, other in pairs], bool)

    def _room_of(self, rows: np.ndarray) -> np.ndarray:
        """For each row the room of its run, or else of its connection, or else the one that the event names; or `_none`."""
        records = self._records
        threads, size = records.codes["thread"], len(records)
        asked = self._asked[records.codes["run"][rows]]
        attached = records.last_of_each("connection", records.rows(Kind.ATTACHED))[records.codes["connection"][rows]]
        found = threads[rows]
        for source in (attached, asked):
            named = np.where(source >= 0, threads[np.minimum(source, size - 1)], self._none)
            found = np.where(named != self._none, named, found)
        return np.asarray(found)

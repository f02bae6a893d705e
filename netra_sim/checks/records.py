"""`Records`: a history as the checks read it, in row numbers and codes; texts are looked up for what is found only."""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise

import numpy as np

from netra_sim.checks.results import FINDINGS_SHOWN, Finding
from netra_sim.history import History, Kind
from netra_sim.history.history import TEXT_COLUMNS

NOBODY = -1
"""The code of a user who is not known."""

FINAL = ("agent_completed", "agent_error")
"""The events that end a run."""

_ROOM = 1 << 62


class Records(History):
    """A history and what several checks need of it, each worked out once, when it is first asked for.

    "Rows" are numbers of rows in the history; "codes" are those of the history's text columns. Nothing is copied from the
    history that it is made of.

    Args:
        history: whatever made it. Its meta may say under "recorded" which kinds of record, by name, its source writes;
            without that it writes all, and a kind of which there is no row did not happen.
    """

    def __init__(self, history: History) -> None:
        self.numbers = history.numbers
        self.codes = history.codes
        self.tables = history.tables
        self.meta = history.meta
        self._keys: dict[tuple[str, ...], np.ndarray] = {}
        self._rows: dict[tuple[Kind, ...], np.ndarray] = {}
        recorded = history.meta.get("recorded")
        self._recorded = None if recorded is None else frozenset(recorded)

    def records(self, *kinds: Kind) -> bool:
        """Whether the history would tell of each of these kinds: only then does it mean something if there is none."""
        return self._recorded is None or all(kind.name.lower() in self._recorded for kind in kinds)

    def rows(self, *kinds: Kind) -> np.ndarray:
        """The rows of some kinds, in the order in which they happened."""
        found = self._rows.get(kinds)
        if found is None:
            parts = [self._by_kind.get(kind, _NONE) for kind in kinds]
            found = parts[0] if len(parts) == 1 else np.sort(np.concatenate([_NONE, *parts]))
            self._rows[kinds] = found
        return found

    def numbered(self, kind: Kind) -> np.ndarray:
        """The rows of one kind that tell of an event with a number of its run."""
        rows = self.rows(kind)
        return np.asarray(rows[self.numbers["seq"][rows] >= 0])

    def code(self, column: str, text: str) -> int:
        """The code of a text in a column, or -1 where it does not occur."""
        try:
            return self.tables[column].index(text)
        except ValueError:
            return -1

    def has(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each of the rows whether the column holds a text."""
        return np.asarray(self.codes[column][rows] != self.code(column, ""))

    def one_of(self, column: str, rows: np.ndarray, *texts: str) -> np.ndarray:
        """For each of the rows whether the column holds one of the texts."""
        wanted = np.zeros(len(self.tables[column]) + 1, bool)
        wanted[[self.code(column, text) for text in texts]] = True
        wanted[-1] = False  # is what the texts that do not occur have set
        return np.asarray(wanted[self.codes[column][rows]])

    def text(self, column: str, row: int) -> str:
        """What a column of one row says."""
        found: str = self.tables[column][self.codes[column][row]]
        return found

    def as_users(self, column: str, rows: np.ndarray) -> np.ndarray:
        """The texts of another column as codes of users; a text that is no user's name has a code that no user has."""
        users = {name: code for code, name in enumerate(self.tables["user"])}
        codes = [users.get(name, -2 - code) for code, name in enumerate(self.tables[column])]
        return np.asarray(np.array(codes, np.int64)[self.codes[column][rows]])

    def first_of_each(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each text of a column, by its code, the first of the rows that holds it, or -1."""
        return self._last_written(column, rows[::-1])

    def last_of_each(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each text of a column, by its code, the last of the rows that holds it, or -1."""
        return self._last_written(column, rows)

    def without_repeats(self, column: str, rows: np.ndarray) -> np.ndarray:
        """Of the rows that hold the same text in a column, the first."""
        firsts = self.first_of_each(column, rows)
        return np.sort(firsts[firsts >= 0])

    def keys(self, *columns: str) -> np.ndarray:
        """For every row of the history one number: equal where the columns are equal, and ordered as the columns are.

        Args:
            columns: text columns, which are ordered by their codes, "seq", and "use" for `uses`.
        """
        found = self._keys.get(columns)
        if found is None:
            found, size = np.zeros(len(self), np.int64), 1
            for column in columns:
                values, span = self._compact(column)
                if size * span >= _ROOM:
                    found, size = _ranks(found)
                if size * span >= _ROOM:
                    values, span = _ranks(values)
                found, size = found * span + values, size * span
            self._keys[columns] = found
        return found

    @property
    def is_whole(self) -> bool:
        """Whether the history is a whole one, kept from the system's start; another system's log may begin in the middle."""
        return self._recorded is None

    @cached_property
    def uses(self) -> np.ndarray:
        """For every row how often its run's id had been used before: an id may be used again once it is forgotten.

        A use begins where an event is published under the number 0 after the run has ended, or with the request or the
        scope that comes between the two. Where the history does not tell what was published, a use begins for each
        connection where it receives the number 0, with a later timestamp, after the run has ended: a client's reader takes
        such an event for a new run's (`EventReader`).
        """
        is_by_client = not self.records(Kind.PUBLISHED)
        columns = ("connection", "run") if is_by_client else ("run",)
        events = self.rows(Kind.RECEIVED if is_by_client else Kind.PUBLISHED)
        groups = self.keys(*columns)
        order = events[np.argsort(groups[events], kind="stable")]
        before, after = order[:-1], order[1:]
        is_new = (groups[before] == groups[after]) & (self.numbers["seq"][after] == 0)
        is_new[is_new] = self.one_of("event", before[is_new], *FINAL)
        if is_by_client:
            is_new &= self.numbers["value"][after] > self.numbers["value"][before]
        ends, begins = before[is_new], after[is_new]
        if not len(begins):
            return np.zeros(len(self), np.int64)
        size = np.int64(len(self))
        preludes = self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED)
        preludes = np.append(np.sort(groups[preludes] * size + preludes), np.iinfo(np.int64).max)
        prelude = preludes[np.searchsorted(preludes, groups[ends] * size + ends)]
        places = np.sort(np.minimum(groups[begins] * size + begins, prelude))
        count = np.searchsorted(places, groups * size + np.arange(len(self)), side="right")
        return np.asarray(count - np.searchsorted(places, groups * size))

    @cached_property
    def owners(self) -> np.ndarray:
        """For each run, by its code, the code of the user who first asked for it, or `NOBODY`."""
        firsts = self.first_of_each("run", self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED))
        return np.where(firsts >= 0, self.codes["user"][firsts], NOBODY) if len(self) else firsts

    @cached_property
    def users_at_once(self) -> int:
        """The most users of whom runs went on at the same time: from its first event or request to its last."""
        rows = self.rows(Kind.REQUESTED, Kind.PUBLISHED, Kind.RECEIVED)
        rows = rows[self.has("run", rows)]
        first, last = self.first_of_each("run", rows), self.last_of_each("run", rows)
        is_there = first >= 0
        users = np.where(is_there, self.owners[: len(first)], NOBODY)[is_there]
        changes = np.concatenate([first[is_there], last[is_there]])
        steps = np.repeat([1, -1], len(users))
        order = np.argsort(changes, kind="stable")
        live: dict[int, int] = {}
        most = 0
        for user, step in zip(np.tile(users, 2)[order].tolist(), steps[order].tolist(), strict=True):
            live[user] = live.get(user, 0) + step
            if not live[user]:
                del live[user]
            most = max(most, len(live))
        return most

    def askers_of(self, rows: np.ndarray) -> np.ndarray:
        """The code of the user who asked for each row's use of its run's id, or `NOBODY`."""
        if not self.uses.any():
            return np.asarray(self.owners[self.codes["run"][rows]])
        firsts = self.first_of_run(rows, self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED))
        return np.where(firsts >= 0, self.codes["user"][firsts], NOBODY)

    def first_of_run(self, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        """For each of the rows the first of others that tells of the same use of the same run's id, or -1."""
        if not self.uses.any():
            return np.asarray(self.first_of_each("run", among)[self.codes["run"][rows]])
        keys = self.keys("run", "use")
        return np.asarray(np.append(among, -1)[places(keys[rows], keys[among])])

    def last_of_run(self, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        """For each of the rows the last of others that tells of the same use of the same run's id, or -1."""
        return self.first_of_run(rows, among[::-1])

    def is_begun_here(self, rows: np.ndarray) -> np.ndarray:
        """For each of the rows whether its run began within the history: asked for, in a scope, or published from 0 on.

        In a history that has been kept from the system's start every run did, and in a log of which no record tells.
        """
        published = self.rows(Kind.PUBLISHED)
        begins = published[self.numbers["seq"][published] <= 0]
        marks = np.sort(np.concatenate([self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED), begins]))
        if self.is_whole or (not len(marks) and not len(published)):
            return np.ones(len(rows), bool)
        return np.asarray(self.first_of_run(rows, marks) >= 0)

    def owners_of(self, rows: np.ndarray) -> np.ndarray:
        """The code of the owner of each row's run, or `NOBODY`: whom an event's row itself names, else as in `owners`."""
        owners = self.askers_of(rows)
        is_named = self.has("detail", rows)
        return np.where(is_named, self.as_users("detail", rows), owners) if is_named.any() else owners

    @cached_property
    def arrivals(self) -> "Arrivals":
        """What was received, by connection and run."""
        rows = self.rows(Kind.RECEIVED)
        keys = self.keys("connection", "user", "run", "use")[rows]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = keys[1:] != keys[:-1]
        return Arrivals(rows[order], is_first)

    @cached_property
    def first_arrivals(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of numbered events as they were published, and as they first reached their owners, or -1."""
        published, received = self.numbered(Kind.PUBLISHED), self.rows(Kind.RECEIVED)
        keys = self.keys("user", "run", "use", "seq")
        at = places(keys[published], keys[received])
        return published, np.append(received, -1)[at]

    @property
    def deliveries(self) -> tuple[np.ndarray, np.ndarray]:
        """Of `first_arrivals` those that there were."""
        published, arrived = self.first_arrivals
        return published[arrived >= 0], arrived[arrived >= 0]

    def finding(self, row: int, message: str) -> Finding:
        """A finding about what a row tells: with its user, run, event, number and time."""
        time = float(self.numbers["time"][row])
        return Finding(
            message=message,
            user=self.text("user", row),
            run=self.text("run", row),
            event=self.text("event", row),
            seq=int(self.numbers["seq"][row]),
            time=None if np.isnan(time) else time,
            row=row,
        )

    def findings(self, rows: np.ndarray, describe: Callable[[int], str]) -> tuple[Finding, ...]:
        """The first findings, each described by what is wrong with its row."""
        return tuple(self.finding(row, describe(row)) for row in rows[:FINDINGS_SHOWN].tolist())

    @cached_property
    def _by_kind(self) -> dict[int, np.ndarray]:
        kinds = self.numbers["kind"]
        order = np.argsort(kinds, kind="stable")
        ends = np.cumsum(np.bincount(kinds))
        return {kind: order[start:end] for kind, (start, end) in enumerate(pairwise([0, *ends.tolist()]))}

    def _last_written(self, column: str, rows: np.ndarray) -> np.ndarray:
        found = np.full(len(self.tables[column]), -1, np.int64)
        found[self.codes[column][rows]] = rows
        return found

    def _compact(self, column: str) -> tuple[np.ndarray, int]:
        if column in TEXT_COLUMNS:
            return self.codes[column], max(1, len(self.tables[column]))
        values = self.uses if column == "use" else self.numbers[column]
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        return values - low, high - low + 1


class Arrivals:
    """Received events in the order of their connection and run, and within those of their arrival.

    Attributes:
        rows: their rows.
        is_first: for each whether it is the first of its run on its connection.
    """

    def __init__(self, rows: np.ndarray, is_first: np.ndarray) -> None:
        self.rows = rows
        self.is_first = is_first

    def steps(self, values: np.ndarray) -> np.ndarray:
        """For each how far a value is from that of the arrival before it; NaN for the first of its run.

        Args:
            values: of every row of the history.
        """
        steps = np.full(len(self.rows), np.nan)
        steps[1:] = np.diff(values[self.rows])
        steps[self.is_first] = np.nan
        return steps


def is_in(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of the values whether it is among the others."""
    # What is looked up in ascending order is found in the cache; what is missing is little, as a rule.
    ascending = np.sort(values)
    missing = ascending[~_found(ascending, np.sort(others))[0]]
    return ~_found(values, missing)[0]


def places(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of the values where it comes first among the others, or -1."""
    order, ascending = np.argsort(others, kind="stable"), np.argsort(values)
    is_found, at = _found(values[ascending], others[order])
    positions = np.full(len(values), -1)
    positions[ascending[is_found]] = order[at[is_found]]
    return positions


def _found(values: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the values whether it is among ordered ones, and where it is or would be."""
    if not len(ordered):
        return np.zeros(len(values), bool), np.zeros(len(values), np.int64)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[at] == values, at


def running_max(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The largest value so far within each group.

    Args:
        values: any numbers.
        groups: the group of each, in ascending order.
    """
    ordered, ranks = np.unique(values, return_inverse=True)
    _, numbers = np.unique(groups, return_inverse=True)
    # A later group's numbers are larger than all of an earlier one's, so that one pass serves all groups.
    return np.asarray(ordered[np.maximum.accumulate(numbers * len(ordered) + ranks) % max(1, len(ordered))])


def _ranks(values: np.ndarray) -> tuple[np.ndarray, int]:
    distinct, ranks = np.unique(values, return_inverse=True)
    return ranks.astype(np.int64), max(1, len(distinct))


_NONE = np.zeros(0, np.int64)

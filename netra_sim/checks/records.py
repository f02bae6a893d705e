"""`Records`: a history as the checks read it, in row numbers and codes; texts are looked up for findings only."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from netra_sim.checks.results import FINDINGS_SHOWN, Finding
from netra_sim.history import History, Kind
from netra_sim.history.history import LOST, TEXT_COLUMNS

NOBODY = -1
"""The code of an unknown user."""

FINAL = ("agent_completed", "agent_error")
"""The events that end a run."""

_LARGEST_KEY = 1 << 62


class Records(History):
    """A history with what several checks derive from it; each is computed once, at its first use.

    "Rows" are row numbers of the history; "codes" are those of its text columns. No column is copied.

    Args:
        history: of any source. "recorded" in its meta names the kinds of record that the source writes. Without it the
            source writes all kinds, and a kind without a row did not happen.
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
        """Whether the source writes each of these kinds: only then does a missing record mean that nothing happened."""
        return self._recorded is None or all(kind.name.lower() in self._recorded for kind in kinds)

    def says_that_it_records(self, kind: Kind) -> bool:
        """Whether the source names this kind among those that it writes; a simulation names none."""
        return self._recorded is not None and self.records(kind)

    @property
    def is_foreign(self) -> bool:
        """Whether the history is of another system, as the clients and services of this project recorded it."""
        return self.meta.get("source") == "system"

    @property
    def names_runs(self) -> bool:
        """Whether received events name their run; if not, the client takes them for events of the run that it waits for."""
        return bool(self.meta.get("names_runs", True))

    def rows(self, *kinds: Kind) -> np.ndarray:
        """The rows of some kinds, in the order in which they happened."""
        found = self._rows.get(kinds)
        if found is None:
            found = np.flatnonzero(np.logical_or.reduce([self.numbers["kind"] == int(kind) for kind in kinds]))
            self._rows[kinds] = found
        return found

    def numbered(self, kind: Kind) -> np.ndarray:
        """The rows of one kind with a sequence number."""
        rows = self.rows(kind)
        return np.asarray(rows[self.numbers["seq"][rows] >= 0])

    def rows_with(self, kind: Kind, column: str, *texts: str) -> np.ndarray:
        """The rows of one kind that hold one of the texts in a column."""
        rows = self.rows(kind)
        return np.asarray(rows[self.one_of(column, rows, *texts)])

    def samples(self, gauge: str) -> np.ndarray:
        """The rows at which a gauge was read."""
        return self.rows_with(Kind.SAMPLE, "detail", gauge)

    def code(self, column: str, text: str) -> int:
        """The code of a text in a column, or -1 if it does not occur."""
        try:
            return self.tables[column].index(text)
        except ValueError:
            return -1

    def has(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each row whether the column holds a text, and not ""."""
        return np.asarray(self.codes[column][rows] != self.code(column, ""))

    def one_of(self, column: str, rows: np.ndarray, *texts: str) -> np.ndarray:
        """For each row whether the column holds one of the texts."""
        wanted = np.zeros(len(self.tables[column]) + 1, bool)
        wanted[[self.code(column, text) for text in texts]] = True
        wanted[-1] = False  # texts that do not occur have set it
        return np.asarray(wanted[self.codes[column][rows]])

    def text(self, column: str, row: int) -> str:
        """The text in a column of one row."""
        found: str = self.tables[column][self.codes[column][row]]
        return found

    def as_users(self, column: str, rows: np.ndarray) -> np.ndarray:
        """The texts of another column as codes of users; a text that names no user gets a code below `NOBODY`."""
        return self._as_codes_of("user", column, rows)

    def as_runs(self, column: str, rows: np.ndarray) -> np.ndarray:
        """The texts of another column as codes of runs; a text that names no run gets a code below -1."""
        return self._as_codes_of("run", column, rows)

    def _as_codes_of(self, other: str, column: str, rows: np.ndarray) -> np.ndarray:
        known = {name: code for code, name in enumerate(self.tables[other])}
        codes = [known.get(name, -2 - code) for code, name in enumerate(self.tables[column])]
        return np.asarray(np.array(codes, np.int64)[self.codes[column][rows]])

    def first_of_each(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each text of a column, by its code, the first of the rows that holds it, or -1."""
        return self.last_of_each(column, rows[::-1])

    def last_of_each(self, column: str, rows: np.ndarray) -> np.ndarray:
        """For each text of a column, by its code, the last of the rows that holds it, or -1."""
        found = np.full(len(self.tables[column]), -1, np.int64)
        found[self.codes[column][rows]] = rows
        return found

    def without_repeats(self, column: str, rows: np.ndarray) -> np.ndarray:
        """The rows without those that repeat the text of an earlier one in a column."""
        firsts = self.first_of_each(column, rows)
        return np.sort(firsts[firsts >= 0])

    def keys(self, *columns: str) -> np.ndarray:
        """One number for every row of the history: equal for equal columns, and in the order of the columns.

        Args:
            columns: text columns, which count by their codes; "seq"; and "use", which stands for `uses`.
        """
        found = self._keys.get(columns)
        if found is None:
            found, size = np.zeros(len(self), np.int64), 1
            for column in columns:
                values, span = self._compact(column)
                if size * span >= _LARGEST_KEY:
                    found, size = _ranks(found)
                if size * span >= _LARGEST_KEY:
                    values, span = _ranks(values)
                found, size = found * span + values, size * span
            self._keys[columns] = found
        return found

    @property
    def is_whole(self) -> bool:
        """Whether the history was recorded from the system's start; a log of another system may begin later."""
        return self._recorded is None

    @cached_property
    def uses(self) -> np.ndarray:
        """For every row how often its run id was used before: a server that has forgotten a run accepts its id again.

        A new use begins when the number 0 is published after the run has ended, or, if earlier, with the first request or
        scope after the end. If published events are not recorded, uses are counted for each connection: a new one begins
        when the number 0 is received, with a later timestamp than the final event before it. Clients tell runs apart in the
        same way (`EventReader`).
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
        """For each run, by its code, the user of its first request, scope or published event, or `NOBODY`."""
        firsts = self.first_of_each("run", self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED))
        return np.where(firsts >= 0, self.codes["user"][firsts], NOBODY) if len(self) else firsts

    def awaited(self, requested: np.ndarray) -> np.ndarray:
        """The requests without those of runs that their user left by choice before the end, and never read again."""
        left = self.rows(Kind.LEFT)
        left = left[~self.one_of("detail", left, LOST)]
        if not len(left):
            return requested
        gone, read = self.last_of_each("run", left), self.last_of_each("run", self.rows(Kind.RECEIVED))
        return np.asarray(requested[~(gone > read)[self.codes["run"][requested]]])

    @cached_property
    def users_at_once(self) -> int:
        """The most users with a live run at the same time. A run lives from its first request or event to its last one."""
        rows = self.rows(Kind.REQUESTED, Kind.PUBLISHED, Kind.RECEIVED)
        rows = rows[self.has("run", rows)]
        first, last = self.first_of_each("run", rows), self.last_of_each("run", rows)
        occurs = first >= 0
        users = self.owners[occurs]
        changes = np.concatenate([first[occurs], last[occurs]])
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
        """For each row the user of the first request, scope or published event of its run, or `NOBODY`."""
        if not self.uses.any():
            return np.asarray(self.owners[self.codes["run"][rows]])
        firsts = self.first_of_run(rows, self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED))
        return np.where(firsts >= 0, self.codes["user"][firsts], NOBODY)

    def meets_a_fault(self, began: np.ndarray, ended: np.ndarray, kind: str = "") -> np.ndarray:
        """For each time span whether a fault was on at any moment of it; with a kind, a fault of that kind."""
        times = self.numbers["time"]
        changes = self.rows(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
        if kind:
            changes = changes[self.one_of("detail", changes, kind)]
        if not len(changes):
            return np.zeros(len(began), bool)
        on = np.cumsum(np.where(self.numbers["kind"][changes] == Kind.FAULT_BEGAN, 1, -1)) > 0
        before = np.searchsorted(times[changes], began, side="right") - 1
        is_on_then = (before >= 0) & on[before]
        begins_meanwhile = np.searchsorted(times[changes], ended, side="left") - 1 > before
        return np.asarray(is_on_then | begins_meanwhile)

    def first_of_run(self, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        """For each row the first row in ``among`` of the same run, or -1. Each use of a run id is a run."""
        if not self.uses.any():
            return np.asarray(self.first_of_each("run", among)[self.codes["run"][rows]])
        keys = self.keys("run", "use")
        return np.asarray(np.append(among, -1)[places(keys[rows], keys[among])])

    def last_of_run(self, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        """For each row the last row in ``among`` of the same run, or -1; ``among`` must be ascending."""
        return self.first_of_run(rows, among[::-1])

    def is_begun_here(self, rows: np.ndarray) -> np.ndarray:
        """For each row whether its run began within the history: with a request, a scope, or a published number 0.

        Always true in a history that was recorded from the system's start, and in a log without any of these records and
        without published events.
        """
        published = self.rows(Kind.PUBLISHED)
        begins = published[self.numbers["seq"][published] <= 0]
        starts = np.sort(np.concatenate([self.rows(Kind.REQUESTED, Kind.SCOPE_OPENED), begins]))
        if self.is_whole or (not len(starts) and not len(published)):
            return np.ones(len(rows), bool)
        return np.asarray(self.first_of_run(rows, starts) >= 0)

    def owners_of(self, rows: np.ndarray) -> np.ndarray:
        """For each event the owner of its run, or `NOBODY`: the user that the row itself names, else as in `askers_of`."""
        owners = self.askers_of(rows)
        is_named = self.has("detail", rows)
        return np.where(is_named, self.as_users("detail", rows), owners) if is_named.any() else owners

    @cached_property
    def arrivals(self) -> "Arrivals":
        """Received events, by connection and run."""
        rows = self.rows(Kind.RECEIVED)
        keys = self.keys("connection", "user", "run", "use")[rows]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = keys[1:] != keys[:-1]
        return Arrivals(rows[order], is_first)

    @cached_property
    def first_arrivals(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of published numbered events, and for each the row of its first arrival at its owner, or -1."""
        published, received = self.numbered(Kind.PUBLISHED), self.rows(Kind.RECEIVED)
        keys = self.keys("user", "run", "use", "seq")
        at = places(keys[published], keys[received])
        return published, np.append(received, -1)[at]

    @property
    def deliveries(self) -> tuple[np.ndarray, np.ndarray]:
        """`first_arrivals` without the events that did not arrive."""
        published, arrived = self.first_arrivals
        return published[arrived >= 0], arrived[arrived >= 0]

    def finding(self, row: int, message: str) -> Finding:
        """A finding about a row, with its user, run, event, number and time."""
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
        """The findings about the first of the rows, at most `FINDINGS_SHOWN`; ``describe`` says what is wrong with a row."""
        return tuple(self.finding(row, describe(row)) for row in rows[:FINDINGS_SHOWN].tolist())

    def _compact(self, column: str) -> tuple[np.ndarray, int]:
        if column in TEXT_COLUMNS:
            return self.codes[column], max(1, len(self.tables[column]))
        values = self.uses if column == "use" else self.numbers[column]
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        return values - low, high - low + 1


class Arrivals(NamedTuple):
    """Received events by connection and run, and within these in the order of arrival.

    Attributes:
        rows: their rows.
        is_first: for each whether it is the first of its run on its connection.
    """

    rows: np.ndarray
    is_first: np.ndarray

    def steps(self, values: np.ndarray) -> np.ndarray:
        """For each arrival its value minus that of the arrival before it; NaN for the first of its run.

        Args:
            values: of every row of the history.
        """
        steps = np.full(len(self.rows), np.nan)
        steps[1:] = np.diff(values[self.rows])
        steps[self.is_first] = np.nan
        return steps


def places(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each value the index of its first occurrence in ``others``, or -1."""
    # numpy looks up ascending values ten times as fast as unordered ones.
    order, ascending = np.argsort(others, kind="stable"), np.argsort(values)
    found = np.searchsorted(others[order], values[ascending])
    positions = np.empty(len(values), np.int64)
    positions[ascending] = np.append(order, -1)[found]
    positions[np.append(others, 0)[positions] != values] = -1
    return positions


def running_sum(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The sum so far within each group; equal groups stand beside each other, and none is negative."""
    total, starts = np.cumsum(values), np.flatnonzero(np.diff(groups, prepend=-1))
    return np.asarray(total - np.repeat((total - values)[starts], np.diff(np.append(starts, len(groups)))))


def running_max(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The largest value so far within each group.

    Args:
        values: any numbers.
        groups: the group of each, in ascending order.
    """
    ordered, ranks = np.unique(values, return_inverse=True)
    _, numbers = np.unique(groups, return_inverse=True)
    # The combined numbers of a later group exceed those of all earlier groups, so that one pass serves all groups.
    return np.asarray(ordered[np.maximum.accumulate(numbers * len(ordered) + ranks) % max(1, len(ordered))])


def _ranks(values: np.ndarray) -> tuple[np.ndarray, int]:
    distinct, ranks = np.unique(values, return_inverse=True)
    return ranks.astype(np.int64), max(1, len(distinct))

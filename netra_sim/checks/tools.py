"""The check of tools: every tool that begins completes, not before it begins, and in a possible time."""

from functools import cached_property

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records, running_sum
from netra_sim.checks.results import Observation, counted
from netra_sim.history import Kind, Objectives

BEGUN, DONE = "tool_executing", "tool_completed"
_STARTED, _COMPLETED = "agent_started", "agent_completed"

_PUBLISHED_TOLERANCE = 0.050
"""Seconds by which a tool's own duration may be longer than the events allow: the Windows clock ticks every 16 ms."""

_RECEIVED_TOLERANCE = 1.0
"""The same if only the arrivals of events are known: the network may delay the first event more than the last."""


@define(
    "tools",
    question="Did every tool that began complete before its run ended, in a time that is possible?",
    unit="tools",
)
def tools(records: Records, objectives: Objectives) -> Observation:
    """Judge the tools of every run, as published, or as received if the history has no published events.

    The findings are:

    - a tool_completed with which more tools of the run have completed than begun;
    - an agent_completed while some tools have not completed. A run that ends with agent_error may leave tools;
    - a duration below 0, or a longer one than any tool can have taken: at most since the run last went from no running tool
      to one. Example: tools begin at 1 s and 3 s, and one completes at 4 s: it can have taken 3 s. The tolerance is 50 ms,
      or 1 s for received events.

    The first two are judged only for runs that are known from their beginning: in a log, the first number must be 0; of
    received events, no number may be missing.
    """
    events = _Events(records)
    unbegun, undone = events.unbegun, events.undone
    rows, took, longest = events.durations
    impossible = (took < 0) | (took > longest + events.tolerance)
    messages: dict[int, str] = {}
    for row, seconds, most in zip(*(part[impossible].tolist() for part in (rows, took, longest)), strict=True):
        since = "" if np.isnan(most) else f", and began {most:.3f} s before at the earliest"
        messages[row] = f"the tool says that it took {seconds:.3f} s{since}"
    for row, left in undone.items():
        messages[row] = f"the run ended while tools had begun and not completed: {left}"
    for row in unbegun.tolist():
        messages[row] = "a tool completed before it had begun"
    wrong = np.array(sorted(messages), np.int64)
    return Observation(
        looked_at=events.looked_at,
        found=len(wrong),
        findings=records.findings(wrong, messages.__getitem__),
        measured={"with a duration": counted(len(rows))},
    )


class _Events:
    """The events of every run in their order, run after run; received ones by connection and run.

    Attributes:
        tolerance: seconds by which a tool's own duration may be longer than the events allow.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._is_published = records.records(Kind.PUBLISHED) and len(records.rows(Kind.PUBLISHED)) > 0
        self.tolerance = _PUBLISHED_TOLERANCE if self._is_published else _RECEIVED_TOLERANCE
        if self._is_published:
            rows = records.rows(Kind.PUBLISHED)
            groups = records.keys("user", "run", "use")[rows]
            order = np.argsort(groups, kind="stable")
            self._rows, groups = rows[order], groups[order]
        else:
            self._rows = records.arrivals.rows
            groups = np.cumsum(records.arrivals.is_first)
        self._starts = np.flatnonzero(np.diff(groups, prepend=-1))
        self._lengths = np.diff(np.append(self._starts, len(self._rows)))
        self._begun = records.one_of("event", self._rows, BEGUN)
        self._done = records.one_of("event", self._rows, DONE)
        steps = self._begun.astype(np.int64) - self._done
        self._live = running_sum(steps, groups)
        self._is_whole = np.repeat(self._are_whole(), self._lengths)

    @property
    def looked_at(self) -> int:
        """How many events of tools there are in runs known from their beginning, or durations, if these are more."""
        tools = (self._begun | self._done) & self._is_whole
        return max(int(tools.sum()), len(self.durations[0]))

    @property
    def unbegun(self) -> np.ndarray:
        """The rows of tool_completed at which more tools have completed than begun."""
        return np.asarray(self._rows[(self._live < 0) & self._done & self._is_whole])

    @property
    def undone(self) -> dict[int, int]:
        """The rows of agent_completed before which some tools did not complete, and how many."""
        ends = self._records.one_of("event", self._rows, _COMPLETED) & (self._live > 0) & self._is_whole
        return dict(zip(self._rows[ends].tolist(), self._live[ends].tolist(), strict=True))

    @cached_property
    def durations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows of completed tools with a duration; the duration, and the longest possible one, in seconds."""
        records, rows = self._records, self._rows
        says = rows
        if self._is_published:
            published, arrived = records.deliveries
            received = np.full(len(records), -1, np.int64)
            received[published] = arrived
            says = received[rows]
        took = np.where(says >= 0, records.numbers["duration"][says], np.nan)
        at = np.arange(len(rows))
        alone = self._begun & (self._live == 1)
        since = np.maximum.accumulate(np.where(alone, at, -1)) if len(rows) else at
        is_own = since >= np.repeat(self._starts, self._lengths)
        times = records.numbers["time"][rows]
        longest = np.where(is_own, times - times[since], np.nan)
        chosen = self._done & ~np.isnan(took)
        return says[chosen], took[chosen], longest[chosen]

    def _are_whole(self) -> np.ndarray:
        """For each run whether it is known from its beginning, and, if only arrivals are known, without a missing number."""
        records, starts = self._records, self._starts
        if not len(starts):
            return np.zeros(0, bool)
        first = records.numbers["seq"][self._rows[starts]]
        begins = (first == 0) | ((first < 0) & records.one_of("event", self._rows[starts], _STARTED))
        if self._is_published:
            return np.asarray(begins | (records.meta.get("source") != "log"))
        numbers = records.numbers["seq"][self._rows]
        position = np.arange(len(numbers)) - np.repeat(starts, self._lengths)
        return np.asarray(begins & np.logical_and.reduceat((numbers == position) | (numbers < 0), starts))

"""Checks of a run's life: it ends, once, and its critical events are complete and in order."""

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.records import FINAL, Records
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation, counted
from netra_sim.history import Kind, Objectives

TOOL_EVENTS = ("tool_executing", "tool_completed")
CRITICAL = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")


@define(
    "critical-events",
    question="Did every run publish its critical events completely and in order, and end exactly once?",
    unit="runs",
)
def critical_events(records: Records, objectives: Objectives) -> Observation:
    """Look at what every run published: numbered without a gap, begun once, ended once, all five events, in order.

    A run without a tool is complete where "tools_required" of the history's meta is false. Where the meta says nothing, as
    that of a log, a run must use a tool if any other run does. A run that a log has from its middle on, by the number of its
    first event, is judged by its end alone.
    """
    published = records.rows(Kind.PUBLISHED)
    opened = records.rows(Kind.SCOPE_OPENED) if records.records(Kind.PUBLISHED) else records.rows()
    runs, keys = records.codes["run"], records.keys("run", "use")
    by_run = published[np.argsort(keys[published], kind="stable")]
    starts = np.flatnonzero(np.diff(keys[by_run], prepend=-1))
    is_wrong = np.append(_are_wrong(records, by_run, starts), True)  # The last is for runs that published nothing.
    # Of an id that was used several times, the first use that is wrong counts.
    place = np.full(len(records.tables["run"]), -1)
    for chosen in (~is_wrong[:-1], is_wrong[:-1]):
        numbers = np.flatnonzero(chosen)[::-1]
        place[runs[by_run[starts[numbers]]]] = numbers
    wrong = opened[is_wrong[place[runs[opened]]]]
    ends = np.append(starts, len(by_run))

    def find(row: int) -> Finding:
        number = place[runs[row]]
        if number < 0:
            return records.finding(row, "the run published nothing")
        at, message = _problem(records, by_run[ends[number] : ends[number + 1]].tolist())
        return records.finding(at, message)

    completed = records.one_of("event", published, "agent_completed").sum()
    failed = records.one_of("event", published, "agent_error").sum()
    return Observation(
        looked_at=len(opened),
        found=len(wrong),
        findings=tuple(find(row) for row in wrong[:FINDINGS_SHOWN].tolist()),
        measured={
            "runs": counted(len(opened)),
            "events": counted(len(published)),
            "ended with an answer": counted(completed),
            "ended with an error": counted(failed),
        },
    )


def _are_wrong(records: Records, by_run: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """For each run whether `_problem` would find anything in its events.

    Args:
        records: whose events.
        by_run: the rows of what was published, run by run.
        starts: where each run begins in them.
    """
    if not len(starts):
        return np.zeros(0, bool)
    lengths = np.diff(np.append(starts, len(by_run)))
    position = np.arange(len(by_run)) - np.repeat(starts, lengths)
    numbers = records.numbers["seq"][by_run]
    before = _unseen(records, numbers[starts])
    is_cut = before > 0
    misnumbered = np.logical_or.reduceat((numbers != position + np.repeat(before, lengths)) & (numbers >= 0), starts)
    began = records.one_of("event", by_run, CRITICAL[0])
    ended = records.one_of("event", by_run, *FINAL)
    last = starts + lengths - 1
    framed = (began[starts] | is_cut) & ended[last]
    begins = np.add.reduceat(began, starts, dtype=int)
    once = (np.add.reduceat(ended, starts, dtype=int) == 1) & (begins == np.where(is_cut, 0, 1))
    latest = np.full(len(starts), -1)
    in_order = np.ones(len(starts), bool)
    for event in CRITICAL:
        first = np.minimum.reduceat(np.where(records.one_of("event", by_run, event), position, _NEVER), starts)
        in_order &= (first >= latest) & (first < _NEVER)
        latest = first
    in_order |= records.one_of("event", by_run[last], FINAL[1]) | is_cut
    if not _takes_tools(records):
        in_order |= ~np.logical_or.reduceat(records.one_of("event", by_run, *TOOL_EVENTS), starts)
    return np.asarray(misnumbered | ~framed | ~once | ~in_order)


def _unseen(records: Records, first_numbers: np.ndarray) -> np.ndarray:
    """For each run how many of its events came before the log that it is in; 0 in any history but a log's."""
    return np.asarray(np.maximum(first_numbers, 0) * (records.meta.get("source") == "log"))


def _takes_tools(records: Records) -> bool:
    """Whether every run must use a tool: as the history's meta says, or else if any run in it does."""
    required = records.meta.get("tools_required")
    return any(records.code("event", name) >= 0 for name in TOOL_EVENTS) if required is None else bool(required)


def _problem(records: Records, rows: list[int]) -> tuple[int, str]:
    """What is wrong first with the events of one run, and at which row."""
    names = [records.text("event", row) for row in rows]
    before = int(_unseen(records, records.numbers["seq"][rows[:1]])[0])
    for index, number in enumerate(records.numbers["seq"][rows].tolist(), before):
        if number not in (index, -1):
            return rows[index - before], f"event {index} is numbered {number}"
    if names[0] != CRITICAL[0] and not before:
        return rows[0], f"the run begins with {names[0]} instead of {CRITICAL[0]}"
    ends = [index for index, name in enumerate(names) if name in FINAL]
    if len(ends) != 1:
        return rows[-1], f"the run ends {len(ends)} times instead of once"
    if ends[0] != len(names) - 1:
        return rows[-1], f"{names[-1]} comes after the end of the run"
    if names.count(CRITICAL[0]) != (0 if before else 1):
        return rows[-1], "the run begins more than once"
    is_free_of_tools = not _takes_tools(records) and not any(name in TOOL_EVENTS for name in names)
    missing = [name for name in CRITICAL if name not in names and not (is_free_of_tools and name in TOOL_EVENTS)]
    if missing:
        return rows[-1], f"the run completed without {missing[0]}"
    return rows[-1], "the critical events come in the wrong order"


@define("every-run-ends", question="Did every user learn how every request ended?", unit="requests")
def every_run_ends(records: Records, objectives: Objectives) -> Observation:
    """Look at every request: did its user's client learn how it ended, or that it was refused, and why?"""
    requested, ends = _requests_and_ends(records)
    runs = records.codes["run"]
    refused = records.first_of_each("run", records.rows(Kind.REFUSED)) >= 0
    answered = ends[runs[requested]] >= 0
    silent = requested[~answered & ~refused[runs[requested]]]
    silent = np.sort(np.append(silent, _unanswered_again(records, ends)))
    scopes = records.first_of_each("run", records.rows(Kind.SCOPE_OPENED))
    declined = records.first_of_each("run", records.rows(Kind.SCOPE_REFUSED))

    def describe(row: int) -> str:
        state = "its run was begun" if scopes[runs[row]] >= 0 else "no run was begun"
        if declined[runs[row]] >= 0:
            state = "the runtime declined it without a word to the client"
        return f"{records.text('user', row)} asked and never learned how it ended; {state}"

    return Observation(
        looked_at=len(requested),
        found=len(silent),
        findings=records.findings(silent, describe),
        measured={
            "requests": counted(len(requested)),
            "answered": counted(answered.sum()),
            "told of a refusal": counted(refused.sum()),
        },
    )


def _unanswered_again(records: Records, ends: np.ndarray) -> np.ndarray:
    """Later requests for a run that was asked for before, after which its user has learned nothing more."""
    requested, runs = records.rows(Kind.REQUESTED), records.codes["run"]
    if not records.records(Kind.RECEIVED):
        return requested[:0]
    first = records.first_of_each("run", requested)[runs[requested]]
    told = np.maximum(ends, records.last_of_each("run", records.rows(Kind.REFUSED)))[runs[requested]]
    return np.asarray(requested[(requested > first) & (told < requested) & (told >= 0)])


@define("completion", question="Did enough requests end with an answer?", unit="requests")
def completion(records: Records, objectives: Objectives) -> Observation:
    """Hold the share of requests that ended with an answer against its objective; the findings name the others."""
    requested, ends = _requests_and_ends(records)
    end = ends[records.codes["run"][requested]]
    is_complete = end >= 0
    is_complete[is_complete] = records.one_of("event", end[is_complete], "agent_completed")
    without = requested[~is_complete]
    share = 1.0 - len(without) / len(requested) if len(requested) else 1.0
    findings: tuple[Finding, ...] = ()
    if share < objectives.completed:
        message = f"{share:.2%} of the requests ended with an answer; the objective is {objectives.completed:.2%}"

        def describe(row: int) -> str:
            last = ends[records.codes["run"][row]]
            return f"the request ended with {records.text('event', last) if last >= 0 else 'no end'}"

        findings = (Finding(message=message), *records.findings(without, describe))
    return Observation(
        looked_at=len(requested),
        found=1 + len(without) if findings else 0,
        findings=findings,
        measured={"completed": Measurement(share, "share", "higher")},
    )


def _requests_and_ends(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """The first request for each run, and for each run, by its code, the row at which its end was received, or -1.

    There are no requests where the history does not tell what was received.
    """
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    received = records.rows(Kind.RECEIVED)
    ends = records.last_of_each("run", received[records.one_of("event", received, *FINAL)])
    return requested if records.records(Kind.RECEIVED) else requested[:0], ends


_NEVER = np.iinfo(np.int64).max

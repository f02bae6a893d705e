"""Checks of a run's course: its critical events are complete and in order, and it ends exactly once."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import FINAL, Records
from netra_sim.checks.refusal_words import turned_away
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
    """Judge the published events of every run that has a scope.

    The numbers must be 0, 1, 2, ... The first event must be agent_started, which occurs once; the last must be
    agent_completed or agent_error, and only one of these occurs, once. A run that completes must have all five critical
    events, and the first ones of each must be in their order. A run with a scope must publish something.

    A run without tool events is complete if "tools_required" in the history's meta is false. Without that entry, as in a
    log, tools are required if any run in the history uses one. A run whose first number in a log is above 0 began before
    the log: its numbers must go on from there, and it must not begin again, and end once; missing critical events and their
    order do not count.

    Of several runs with the same id, the first wrong one counts.
    """
    published = records.rows(Kind.PUBLISHED)
    opened = records.rows(Kind.SCOPE_OPENED) if records.records(Kind.PUBLISHED) else records.rows()
    runs, keys = records.codes["run"], records.keys("run", "use")
    by_run = published[np.argsort(keys[published], kind="stable")]
    starts = np.flatnonzero(np.diff(keys[by_run], prepend=-1))
    is_wrong = np.append(
        _are_wrong(records, by_run, starts), True
    )  # The last entry stands for runs that published nothing.
    # If an id was used several times, its first wrong use counts.
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
    """For each run whether `_problem` finds anything wrong with its events.

    Args:
        records: of the history.
        by_run: the rows of published events, run after run.
        starts: for each run the index of its first event in ``by_run``.
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
    """For each run how many of its events came before the log; 0 in a history that is not a log."""
    return np.asarray(np.maximum(first_numbers, 0) * (records.meta.get("source") == "log"))


def _takes_tools(records: Records) -> bool:
    """Whether every run must use a tool: as the history's meta says, else whether any run in it does."""
    required = records.meta.get("tools_required")
    return any(records.code("event", name) >= 0 for name in TOOL_EVENTS) if required is None else bool(required)


def _problem(records: Records, rows: list[int]) -> tuple[int, str]:
    """The first thing that is wrong with the events of one run: the row and a message."""
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
    """A client of the user must receive the final event of every request, or its refusal.

    A later request for the same run is a finding if its user received a final event or refusal before it and none after it.
    A request does not count if the user left its run by choice before the end.
    """
    requested, ends = _requests_and_ends(records)
    runs = records.codes["run"]
    refused = records.first_of_each("run", records.rows(Kind.REFUSED)) >= 0
    answered = ends[runs[requested]] >= 0
    silent = requested[~answered & ~refused[runs[requested]]]
    silent = np.sort(np.append(silent, _unanswered_repeats(records, ends)))
    scopes = records.first_of_each("run", records.rows(Kind.SCOPE_OPENED))
    declined = records.first_of_each("run", records.rows(Kind.SCOPE_REFUSED))

    def describe(row: int) -> str:
        state = "its run was begun" if scopes[runs[row]] >= 0 else "no beginning of its run is recorded"
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


def _unanswered_repeats(records: Records, ends: np.ndarray) -> np.ndarray:
    """Repeated requests for a run after which no final event or refusal came, although one had come before."""
    requested, runs = records.rows(Kind.REQUESTED), records.codes["run"]
    if not records.records(Kind.RECEIVED):
        return requested[:0]
    first = records.first_of_each("run", requested)[runs[requested]]
    last = np.maximum(ends, records.last_of_each("run", records.rows(Kind.REFUSED)))[runs[requested]]
    return np.asarray(requested[(requested > first) & (last < requested) & (last >= 0)])


@define("completion", question="Did enough requests end with an answer?", unit="requests")
def completion(records: Records, objectives: Objectives) -> Observation:
    """The share of requests that end with agent_completed must reach the objective `completed`.

    If it does not, the findings name the requests that ended otherwise. A request does not count if the user left its run by
    choice before the end.
    """
    requested, ends = _requests_and_ends(records)
    end = ends[records.codes["run"][requested]]
    is_complete = end >= 0
    is_complete[is_complete] = records.one_of("event", end[is_complete], "agent_completed")
    without = requested[~is_complete]
    share = 1.0 - len(without) / len(requested) if len(requested) else 1.0
    refusals = records.last_of_each("run", records.rows(Kind.REFUSED))
    findings: tuple[Finding, ...] = ()
    if share < objectives.completed:
        message = f"{share:.2%} of the requests ended with an answer; the objective is {objectives.completed:.2%}"

        def describe(row: int) -> str:
            run = records.codes["run"][row]
            if ends[run] >= 0:
                return f"the request ended with {records.text('event', ends[run])}"
            if refusals[run] >= 0:
                return f"the request {turned_away(records.text('detail', refusals[run]))}"
            return "the request never ended"

        findings = (Finding(message=message), *records.findings(without, describe))
    return Observation(
        looked_at=len(requested),
        found=1 + len(without) if findings else 0,
        findings=findings,
        measured={"completed": Measurement(share, "share", "higher", objectives.completed)},
    )


def _requests_and_ends(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """The first request for each run, and for each run, by its code, the row at which its final event arrived, or -1.

    Requests for runs that their user left are not among them. There are none if received events are not recorded.
    """
    requested = records.awaited(records.without_repeats("run", records.rows(Kind.REQUESTED)))
    ends = records.last_of_each("run", records.rows_with(Kind.RECEIVED, "event", *FINAL))
    return requested if records.records(Kind.RECEIVED) else requested[:0], ends


_NEVER = np.iinfo(np.int64).max

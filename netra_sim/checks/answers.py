"""Checks of what a user gets to see: whole answers that belong to their questions, tools that complete, no long silence."""

import numpy as np

from netra_sim.checks.records import Records
from netra_sim.checks.results import CheckResult, Measurement
from netra_sim.history import Kind, Objectives

_AT_ONCE = 0.05
"""The part of a run's time, at its end, in which its events arrive if something has held them back."""


def answers(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every final answer that a client held against its question: is it there, whole and the right one?"""
    held = records.rows(Kind.ANSWERED)
    wrong = held[~records.one_of("event", held, "complete")]
    return CheckResult(
        check="answers",
        question="Did every run that completed bring the whole answer to its own question?",
        looked_at=len(held),
        unit="answers",
        found=len(wrong),
        findings=records.findings(wrong, lambda row: f"{records.text('event', row)}: {records.text('detail', row)}"),
    )


def tools(records: Records, objectives: Objectives) -> CheckResult:
    """Look at every tool: does it complete after it has begun and before its run does, in a time that is possible?

    A run that ends with an error may leave tools open. A tool's duration, as its event says, is no less than nothing and no
    more than the time since the run's first event. Of a run whose beginning is not in the history nothing is said.
    """
    events = records.rows(Kind.PUBLISHED)
    if not len(events):
        received = records.rows(Kind.RECEIVED)
        _, places = np.unique(records.keys("run", "seq")[received], return_index=True)
        events = np.sort(received[places])
    runs = records.codes["run"]
    events = events[np.argsort(runs[events], kind="stable")]
    starts = np.flatnonzero(np.diff(runs[events], prepend=-1))
    lengths = np.diff(np.append(starts, len(events)))
    begins, completes = (
        records.one_of("event", events, "tool_executing"),
        records.one_of("event", events, "tool_completed"),
    )
    is_whole = np.repeat(records.numbers["seq"][events[starts]] <= 0, lengths) if len(starts) else begins
    open_tools = np.cumsum(begins.astype(np.int64) - completes)
    before = np.append(0, open_tools)[starts]
    open_tools -= np.repeat(before, lengths)
    is_last = np.zeros(len(events), bool)
    is_last[starts + lengths - 1] = True
    faults = {
        "completes before it has begun": events[completes & (open_tools < 0) & is_whole],
        "comes while a tool has not completed": events[
            is_last & (open_tools > 0) & is_whole & records.one_of("event", events, "agent_completed")
        ],
        "says that its tool took a time that is impossible": _impossible(records),
    }
    messages = {row: fault for fault, rows in faults.items() for row in rows.tolist()}
    wrong = np.sort(np.array(list(messages), np.int64))
    return CheckResult(
        check="tools",
        question="Did every tool complete after it had begun, before its run ended, and in a time that is possible?",
        looked_at=int(begins.sum()),
        unit="tools",
        found=len(wrong),
        findings=records.findings(wrong, lambda row: f"{records.text('event', row)} {messages[row]}"),
    )


def _impossible(records: Records) -> np.ndarray:
    received = records.rows(Kind.RECEIVED)
    took, times = records.numbers["duration"], records.numbers["time"]
    timed = received[~np.isnan(took[received])]
    first = records.first_of_each("run", records.rows(Kind.PUBLISHED, Kind.RECEIVED))[records.codes["run"][timed]]
    since = times[timed] - times[first]
    return np.asarray(timed[(took[timed] < 0) | (took[timed] > since + _TOLERANCE)])


_TOLERANCE = 0.05
"""Seconds by which two clocks of one machine may disagree, a coarse tick of Windows' (0.0156 s) included."""


def silence(records: Records, objectives: Objectives) -> CheckResult:
    """Look at the time between the events of each run as its client sees them: is it ever left waiting without a sign?

    Wrong are a longer time than the objective from a request to its run's first event, or from one event to the next, and
    events that something has held back: of a run with five at least, that goes on for a second or more, all but the first
    arrive within the last twentieth of that time, on a connection that had been open all the while.
    """
    arrivals, times = records.arrivals, records.numbers["time"]
    waits = arrivals.steps(times)
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    asked = records.first_of_each("run", requested)[records.codes["run"][arrivals.rows]]
    is_first = records.first_of_each("run", records.rows(Kind.RECEIVED))[records.codes["run"][arrivals.rows]]
    first = arrivals.is_first & (asked >= 0) & (is_first == arrivals.rows)
    waits[first] = times[arrivals.rows[first]] - times[asked[first]]
    late = np.flatnonzero(waits > objectives.silence)
    held = _held_back(records)
    seconds = dict(zip(arrivals.rows[late].tolist(), waits[late].tolist(), strict=True))
    wrong = np.sort(np.concatenate([arrivals.rows[late], held]))

    def describe(row: int) -> str:
        if row in seconds:
            return f"{records.text('event', row)} comes after {seconds[row]:.1f} s without a sign"
        return "all events of the run but its first arrive together at its end"

    known = waits[~np.isnan(waits)]
    return CheckResult(
        check="silence",
        question="Did every user get a sign of a run often enough, as it went on?",
        looked_at=len(known),
        unit="waits for an event",
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={"longest wait": Measurement(float(known.max()), "s", "lower")} if len(known) else {},
    )


def _held_back(records: Records) -> np.ndarray:
    """The last events of runs of which all but the first arrive at the end."""
    published, arrived = records.deliveries
    connections, runs, times = records.codes["connection"], records.codes["run"], records.numbers["time"]
    order = np.lexsort((arrived, connections[arrived], runs[arrived]))
    published, arrived = published[order], arrived[order]
    groups = runs[arrived].astype(np.int64) * len(records.tables["connection"]) + connections[arrived]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    if not len(starts):
        return arrived
    ends = np.append(starts[1:], len(arrived)) - 1
    began, ended = times[published[starts]], times[arrived[ends]]
    second = times[arrived[np.minimum(starts + 1, ends)]]
    opened = records.last_of_each("connection", records.rows(Kind.CONNECTED))[connections[arrived[starts]]]
    was_open = (opened < published[starts]) & (records.numbers["seq"][published[starts]] == 0)
    over = ended - began
    is_held = (ends - starts >= 4) & (over >= 1.0) & (ended - second < _AT_ONCE * over) & was_open
    return np.asarray(arrived[ends[is_held]])

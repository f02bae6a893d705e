"""Checks of a run's life: it ends, once, and its critical events are complete and in order."""

import pandas as pd

from netra_sim.checks.results import FINDINGS_SHOWN, CheckResult, Finding
from netra_sim.checks.table import finding_at, findings_of, rows
from netra_sim.history import History, Kind, Objectives

CRITICAL = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
FINAL = ("agent_completed", "agent_error")


def critical_events(history: History, objectives: Objectives) -> CheckResult:
    """Look at what every run published: numbered without a gap, begun once, ended once, all five events, in order."""
    published = rows(history, Kind.PUBLISHED)
    opened = rows(history, Kind.SCOPE_OPENED)
    wrong: list[Finding] = []
    by_run = dict(iter(published.groupby("run", sort=False)))
    for run, user, time in opened[["run", "user", "time"]].itertuples(index=False):
        events = by_run.get(run)
        if events is None:
            wrong.append(Finding(message="the run published nothing", user=user, run=run, time=time))
        elif problem := _problem(events):
            event, seq, at, message = problem
            wrong.append(Finding(message=message, user=user, run=run, event=event, seq=seq, time=at))
    ends = published[published["event"].isin(FINAL)]
    return CheckResult(
        check="critical-events",
        question="Did every run publish its critical events completely and in order, and end exactly once?",
        looked_at=len(opened),
        unit="runs",
        found=len(wrong),
        findings=tuple(wrong[:FINDINGS_SHOWN]),
        measured={
            "runs": float(len(opened)),
            "events": float(len(published)),
            "completed": float((ends["event"] == "agent_completed").sum()),
            "ended with an error": float((ends["event"] == "agent_error").sum()),
        },
    )


def _problem(events: pd.DataFrame) -> tuple[str, int, float, str] | None:
    names, numbers, times = events["event"].tolist(), events["seq"].tolist(), events["time"].tolist()
    last = (names[-1], numbers[-1], times[-1])
    for index, number in enumerate(numbers):
        if number != index:
            return names[index], number, times[index], f"event {index} is numbered {number}"
    if names[0] != "agent_started":
        return names[0], numbers[0], times[0], f"the run begins with {names[0]} instead of agent_started"
    ends = [index for index, name in enumerate(names) if name in FINAL]
    if len(ends) != 1:
        return (*last, f"the run ends {len(ends)} times instead of once")
    if ends[0] != len(names) - 1:
        return names[-1], numbers[-1], times[-1], f"{names[-1]} comes after the end of the run"
    if names.count("agent_started") != 1:
        return (*last, "the run begins more than once")
    if names[-1] == "agent_error":
        return None
    firsts = [names.index(name) if name in names else -1 for name in CRITICAL]
    if -1 in firsts:
        return (*last, f"the run completed without {CRITICAL[firsts.index(-1)]}")
    if firsts != sorted(firsts):
        return (*last, "the critical events come in the wrong order")
    return None


def every_run_ends(history: History, objectives: Objectives) -> CheckResult:
    """Look at every request: did its user's client learn how it ended, or that it was refused, and why?"""
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")
    received = rows(history, Kind.RECEIVED)
    ended = set(received.loc[received["event"].isin(FINAL), "run"])
    refused = set(rows(history, Kind.REFUSED)["run"])
    silent = requested[~requested["run"].isin(ended | refused)]
    scopes = set(rows(history, Kind.SCOPE_OPENED)["run"])
    declined = set(rows(history, Kind.SCOPE_REFUSED)["run"])

    def describe(row: pd.Series) -> Finding:
        state = "its run was begun" if row["run"] in scopes else "no run was begun"
        if row["run"] in declined:
            state = "the runtime declined it without a word to the client"
        message = f"{row['user']} asked and never learned how it ended; {state}"
        return finding_at(row, message)

    answered = requested["run"].isin(ended)
    return CheckResult(
        check="every-run-ends",
        question="Did every user learn how every request ended?",
        looked_at=len(requested),
        unit="requests",
        found=len(silent),
        findings=findings_of(silent, describe),
        measured={
            "requests": float(len(requested)),
            "answered": float(answered.sum()),
            "told of a refusal": float(len(refused)),
        },
    )


def completion(history: History, objectives: Objectives) -> CheckResult:
    """Hold the share of requests that ended with an answer against its objective; the findings name the others."""
    requested = rows(history, Kind.REQUESTED).drop_duplicates("run")
    received = rows(history, Kind.RECEIVED)
    finals = received[received["event"].isin(FINAL)]
    ends = dict(zip(finals["run"], finals["event"], strict=True))
    judged = requested.assign(outcome=[ends.get(run, "no end") for run in requested["run"]])
    without = judged[judged["outcome"] != "agent_completed"]
    share = 1.0 - len(without) / len(requested) if len(requested) else 1.0
    findings: list[Finding] = []
    if share < objectives.completed:
        message = f"{share:.2%} of the requests ended with an answer; the objective is {objectives.completed:.2%}"
        findings.append(Finding(message=message))

        def describe(row: pd.Series) -> Finding:
            return finding_at(row, f"the request ended with {row['outcome']}")

        findings.extend(findings_of(without, describe))
    return CheckResult(
        check="completion",
        question="Did enough requests end with an answer?",
        looked_at=len(requested),
        unit="requests",
        found=1 + len(without) if findings else 0,
        findings=tuple(findings),
        measured={"completed": share},
    )


def timestamps(history: History, objectives: Objectives) -> CheckResult:
    """Look at the timestamps that clients see: do they run forward within each run?"""
    received = rows(history, Kind.RECEIVED)
    steps = received.groupby(["connection", "run"], sort=False)["value"].diff()
    wrong = received.assign(step=steps)[steps < 0]

    def describe(row: pd.Series) -> Finding:
        return finding_at(row, f"{row['event']} is stamped {-row['step']:.3f} s before the event before it")

    return CheckResult(
        check="timestamps",
        question="Did the timestamps of every run go forward?",
        looked_at=len(received),
        unit="events received",
        found=len(wrong),
        findings=findings_of(wrong, describe),
    )

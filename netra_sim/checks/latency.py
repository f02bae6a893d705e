"""Checks of objectives: how long events and answers take, and how many requests are refused."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import UNSET

from netra_sim.checks.definition import define
from netra_sim.checks.judging import BUSY, LEAST_EVIDENCE, SLOWEST_SHOWN, Judgement, Sample, figure_of
from netra_sim.checks.records import FINAL, Records
from netra_sim.checks.refusal_words import turned_away
from netra_sim.checks.results import FINDINGS_SHOWN, Finding, Measurement, Observation
from netra_sim.checks.times import received_too_early
from netra_sim.history import CONTROL_LATENCY, History, Kind, Objectives, bounds_of
from netra_sim.near_names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def delivery_latencies(history: History) -> "pd.DataFrame":
    """One row for each event that its owner received; `latency` is the seconds from publishing to the first arrival."""
    records = Records(history)
    published, received = records.deliveries
    times = records.numbers["time"]
    return _table(records, published, "user", "run", "seq", "event", "time").assign(
        time_received=times[received], latency=times[received] - times[published]
    )


def request_latencies(history: History, *, keep: Literal["first", "content", "last"]) -> "pd.DataFrame":
    """One row for each answered request; `latency` is the seconds from its due time to its first or final event.

    With ``keep="content"`` it ends with the first piece of the answer, where the clients record that.

    The due time counts, and not the time of sending, so that a late sender does not hide waiting.
    """
    records = Records(history)
    requested, received = _first_pieces(records) if keep == "content" else _answers(records, keep)
    asked = _table(records, requested, "user", "run", "due")
    answered = asked.assign(**_table(records, received, "event", "seq", "time"))
    return answered.assign(latency=answered["time"] - answered["due"])


@define(
    "latency",
    question="Did events and first answers come within their objectives?",
    unit="latencies",
    minimum=LEAST_EVIDENCE,
)
def latency(records: Records, objectives: Objectives) -> Observation:
    """Compare latencies with their objectives: of all events, of those of a type, and of requests.

    The objectives `delivery` are about events, each for the average (`_mean`), for 50, 95 or 99 of 100 (`_p50`, `_p95`,
    `_p99`) or for all (`_max`); those in the table `events` about the events of one type. `first_event`, `first_content` and
    `response` are about requests: from when a request was due to its first event, to the first piece of its answer, such as
    the first token, where clients record that, and to its final event. Without an objective, the p95 of the first piece is
    measured and not judged.

    An objective is about the server. If the latency of a connection's line is known, it is subtracted: once from the latency
    of an event, twice from that of a request. A request without a final event has no response latency; it is counted.

    A figure above its objective is a miss only if chance and single slow lines do not explain it; else it is inconclusive:

    - A p95 is missed if, each with a confidence of 95 %, more than 5 % of the values are above the objective, and more than
      5 % of the connections are slow. A connection is slow if more than 5 % of its values are above the objective. For a p50
      and a p99, read 50 % and 1 % instead of 5 %.
    - A mean is missed if the values without those of the connection with the largest excess still exceed it.
    - A maximum is missed by any value above it: it speaks of all of them.
    - A busy machine raises the bound: if a bare echo was measured and its p95 (twice its p95 for requests) exceeds half of
      the objective, a miss of the objective plus that echo is a finding, and a lesser miss is inconclusive. For a p99 and a
      maximum, those of the echo count.

    A figure within its objective is inconclusive with fewer than 20 values, a p99 with fewer than 100, or on fewer than 5
    connections: of fewer than 20 values, the p95 is the slowest one, and of fewer than 100 the p99. That no value was above
    a maximum says nothing about values to come. An objective for a type without an event is inconclusive. The result is
    inconclusive as well if events were received before their cause.

    Example: the objective is 100 ms, and 3 of 40 events on 8 connections take longer. The p95 is above 100 ms, but with a
    true share of 5 %, 3 or more of 40 are late in a third of all cases: inconclusive.
    """
    control = records.numbers["value"][records.samples(CONTROL_LATENCY)]
    judgement, way = Judgement(), _way(records)
    events = _deliveries(records, way)
    judgement.judge(records, events, bounds_of(objectives, "delivery"), control)
    for kind, own in ({} if objectives.events is UNSET else objectives.events).items():
        of_kind = records.one_of("event", events.rows, kind)
        if not of_kind.any():
            judgement.weak.append(_no_event(records, events.rows, kind))
        few = events.rows[of_kind], events.arrivals[of_kind], events.seconds[of_kind]
        judgement.judge(records, Sample(f"delivery of {kind}", *few), bounds_of(own, "delivery"), control)
    last_asked, lasts = _answers(records, "last")
    pieces = _of_requests(records, way, "first content", *_first_pieces(records))
    for measure, sample in (
        ("first_event", _of_requests(records, way, "first event", *_answers(records, "first"))),
        ("first_content", pieces),
        ("response", _of_requests(records, way, "last event", last_asked, lasts)),
    ):
        judgement.judge(records, sample, bounds_of(objectives, measure), control)
    measured, weak = judgement.measured, judgement.weak
    if len(pieces.seconds):
        measured.setdefault(f"{pieces.name}, p95", Measurement(figure_of("p95", pieces.seconds), "s", "lower"))
    if len(control):
        measured["bare echo, p95"] = Measurement(figure_of("p95", control), "s")
    if len(last_asked):
        asked = records.without_repeats("run", records.rows(Kind.REQUESTED))
        unanswered = len(np.union1d(records.awaited(asked), last_asked)) - len(last_asked)
        measured["requests without an end"] = Measurement(float(unanswered), "count", "lower")
    if too_early := received_too_early(records):
        weak.insert(0, f"{too_early:,} events were received before what caused them, so that no latency is certain")
    return Observation(
        looked_at=judgement.looked_at,
        found=len(judgement.findings),
        findings=tuple(judgement.findings[:FINDINGS_SHOWN]),
        measured=measured,
        inconclusive="; ".join(sorted(weak, key=lambda reason: reason.startswith(BUSY))),
    )


def _deliveries(records: Records, way: np.ndarray) -> Sample:
    published, arrived = records.deliveries
    times = records.numbers["time"]
    return Sample("delivery of events", published, arrived, times[arrived] - times[published] - way[arrived])


def _of_requests(records: Records, way: np.ndarray, what: str, asked: np.ndarray, arrived: np.ndarray) -> Sample:
    seconds = records.numbers["time"][arrived] - records.numbers["due"][asked] - 2 * way[arrived]
    return Sample(f"{what} of a request", arrived, arrived, seconds, 2)


def _no_event(records: Records, published: np.ndarray, kind: str) -> str:
    """Why the objectives for the events of a type are not judged."""
    kinds = [records.tables["event"][code] for code in np.unique(records.codes["event"][published])]
    hint = did_you_mean(kind, kinds, f"there are {', '.join(kinds) or 'none'}")
    return f"no event of type {kind} was delivered, so that its objectives are not judged; {hint}"


@define(
    "refusals",
    question="Were no more requests and connections refused than the objective allows?",
    unit="requests and connections",
)
def refusals(records: Records, objectives: Objectives) -> Observation:
    """The shares of refused requests and of refused attempts to connect must each not exceed the objective `refused`."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    refused = records.without_repeats("run", records.rows(Kind.REFUSED))
    connected, rejected = records.rows(Kind.CONNECTED), records.rows(Kind.CONNECT_REFUSED)
    findings: list[Finding] = []
    measured: dict[str, Measurement] = {}
    looked_at = 0
    for one, what, kind, asked, declined, all_of_them in (
        ("request", "requests", Kind.REFUSED, len(requested), refused, len(requested)),
        (
            "attempt to connect",
            "attempts to connect",
            Kind.CONNECT_REFUSED,
            len(connected),
            rejected,
            len(connected) + len(rejected),
        ),
    ):
        if not records.records(kind):
            continue
        looked_at += asked
        share = len(declined) / all_of_them if all_of_them else 0.0
        measured[f"share of {what} refused"] = Measurement(share, "share", "lower", objectives.refused)
        if share <= objectives.refused:
            continue
        message = f"{share:.2%} of the {what} were refused; the objective is {objectives.refused:.2%} at most"
        findings.append(Finding(message=message))
        for row in declined[:SLOWEST_SHOWN].tolist():
            findings.append(records.finding(row, f"the {one} {turned_away(records.text('detail', row))}"))
    return Observation(
        looked_at=looked_at,
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def _answers(records: Records, keep: Literal["first", "last"]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of answered requests, and the rows of their first or final event at a client."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    received = records.rows_with(Kind.RECEIVED, "event", *FINAL) if keep == "last" else records.rows(Kind.RECEIVED)
    events = records.first_of_each("run", received)[records.codes["run"][requested]]
    return requested[events >= 0], events[events >= 0]


def _first_pieces(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """The rows of requests, and the rows at which their user received the first piece of the answer."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    firsts = records.first_of_each("run", records.rows(Kind.FIRST_CONTENT))[records.codes["run"][requested]]
    return requested[firsts >= 0], firsts[firsts >= 0]


def _way(records: Records) -> np.ndarray:
    """For every row the latency of its connection's line, in seconds; 0 if not known."""
    attached = records.rows(Kind.ATTACHED)
    attached = attached[records.has("connection", attached)]
    of_connection = np.zeros(len(records.tables["connection"]))
    of_connection[records.codes["connection"][attached]] = np.nan_to_num(records.numbers["value"][attached])
    return np.asarray(of_connection[records.codes["connection"]])


def _table(records: Records, rows: np.ndarray, *columns: str) -> "pd.DataFrame":
    """Some columns of some rows as a DataFrame, with texts instead of codes."""
    import pandas as pd  # the checks do without it; it takes longer to import than they take for a small history

    values = {}
    for name in columns:
        is_text = name in records.codes
        values[name] = (
            np.array(records.tables[name], object)[records.codes[name][rows]]
            if is_text
            else records.numbers[name][rows]
        )
    return pd.DataFrame(values)

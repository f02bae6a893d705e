"""Checks of objectives: how long events and answers take, and how many requests are refused."""

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from msgspec import UNSET

from netra_sim.checks.check import define
from netra_sim.checks.records import FINAL, Records
from netra_sim.checks.results import Finding, Measurement, Observation
from netra_sim.checks.statistics import QUANTILE, is_beyond_chance, nearest_rank
from netra_sim.checks.times import received_too_early
from netra_sim.history import CONTROL_LATENCY, History, Kind, Objectives

if TYPE_CHECKING:
    import pandas as pd

SLOWEST_SHOWN = 10

CLOCK_TOLERANCE = 1e-6
"""Seconds by which a latency may exceed an objective: rounding errors of times that are seconds since 1970."""

LEAST_VALUES, LEAST_CONNECTIONS = 20, 5
"""The fewest values, and the fewest connections that they come from, with which an objective can be met."""

BUSY = "the machine was busy"
"""The beginning of the reason for an inconclusive result that is due only to a busy machine."""

BUSY_SHARE = 0.5
"""The share of an objective that the p95 of a bare echo exceeds on a busy machine."""


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
    minimum=f"{LEAST_VALUES} values on {LEAST_CONNECTIONS} connections for each objective",
)
def latency(records: Records, objectives: Objectives) -> Observation:
    """Compare latencies with their objectives: delivery (mean, p95), first event (p95) and final event of a request (p95).

    If clients record the first piece of each answer, such as the first token, its time is measured as well (p95). It is
    judged only if the objective `first_content_p95` is given.

    An objective is about the server. If the latency of a connection's line is known, it is subtracted: once from the latency
    of an event, twice from that of a request. A request without a final event has no response latency; it is counted.

    A figure above its objective is a miss only if chance and single slow lines do not explain it; else it is inconclusive:

    - A p95 is missed if, each with a confidence of 95 %, more than 5 % of the values are above the objective, and more than
      5 % of the connections are slow. A connection is slow if more than 5 % of its values are above the objective.
    - A mean is missed if the values without those of the connection with the largest excess still exceed it.
    - A busy machine raises the bound: if a bare echo was measured and its p95 (twice its p95 for requests) exceeds half of
      the objective, a miss of the objective plus that echo is a finding, and a lesser miss is inconclusive.

    A figure within its objective is inconclusive with fewer than 20 values or fewer than 5 connections: of fewer than 20
    values, the p95 is the slowest one. The result is inconclusive as well if events were received before their cause.

    Example: the objective is 100 ms, and 3 of 40 events on 8 connections take longer. The p95 is above 100 ms, but with a
    true share of 5 %, 3 or more of 40 are late in a third of all cases: inconclusive.
    """
    (first_asked, firsts), (last_asked, lasts) = _answers(records, "first"), _answers(records, "last")
    published, arrived = records.deliveries
    times, due = records.numbers["time"], records.numbers["due"]
    way = _way(records)
    events = _Sample("delivery of events", published, arrived, times[arrived] - times[published] - way[arrived])
    first = _Sample("first event of a request", firsts, firsts, times[firsts] - due[first_asked] - 2 * way[firsts], 2)
    last = _Sample("last event of a request", lasts, lasts, times[lasts] - due[last_asked] - 2 * way[lasts], 2)
    piece_asked, pieces = _first_pieces(records)
    piece = _Sample("first content of a request", pieces, pieces, times[pieces] - due[piece_asked] - 2 * way[pieces], 2)
    samples = records.rows(Kind.SAMPLE)
    control = records.numbers["value"][samples[records.one_of("detail", samples, CONTROL_LATENCY)]]
    measured: dict[str, Measurement] = {}
    findings: list[Finding] = []
    weak: list[str] = []
    looked_at = 0
    for sample, figure, allowed in (
        (events, "mean", objectives.delivery_mean),
        (events, "p95", objectives.delivery_p95),
        (first, "p95", objectives.first_event_p95),
        *(() if objectives.first_content_p95 is UNSET else ((piece, "p95", objectives.first_content_p95),)),
        (last, "p95", objectives.response_p95),
    ):
        judged = _Judged(records, sample, figure, allowed, control)
        if judged.values:
            looked_at += judged.values if figure == "p95" else 0
            measured[f"{sample.name}, {figure}"] = Measurement(judged.value, "s", "lower", allowed)
            findings += judged.findings()
            weak += judged.weaknesses()
    if objectives.first_content_p95 is UNSET and len(piece.seconds):
        measured[f"{piece.name}, p95"] = Measurement(_figure("p95", piece.seconds), "s", "lower")
    if len(control):
        measured["bare echo, p95"] = Measurement(nearest_rank(control, QUANTILE), "s")
    if len(last_asked):
        asked = records.without_repeats("run", records.rows(Kind.REQUESTED))
        unanswered = len(np.union1d(records.awaited(asked), last_asked)) - len(last_asked)
        measured["requests without an end"] = Measurement(float(unanswered), "count", "lower")
    if too_early := received_too_early(records):
        weak.insert(0, f"{too_early:,} events were received before what caused them, so that no latency is certain")
    return Observation(
        looked_at=looked_at,
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
        inconclusive="; ".join(sorted(weak, key=lambda reason: reason.startswith(BUSY))),
    )


class _Sample(NamedTuple):
    """Latencies of one kind.

    Attributes:
        name: what they are the latencies of.
        rows: for each the row that a finding names.
        arrivals: for each the row of the arrival, which has the connection.
        seconds: the latencies, less the known latency of the line.
        crossings: how often each includes a pass over the line.
    """

    name: str
    rows: np.ndarray
    arrivals: np.ndarray
    seconds: np.ndarray
    crossings: int = 1


class _Judged:
    """One figure of a sample, compared with its objective.

    Attributes:
        values: how many values the sample has.
        value: the figure, in seconds.
    """

    def __init__(self, records: Records, sample: _Sample, figure: str, allowed: float, control: np.ndarray) -> None:
        is_known = ~np.isnan(sample.seconds)
        self._records, self._name, self._figure, self._allowed = records, sample.name, figure, allowed
        self._rows, self._seconds = sample.rows[is_known], sample.seconds[is_known]
        self._of_connection = np.unique(_readers(records, sample.arrivals[is_known]), return_inverse=True)[1]
        self._of = np.bincount(self._of_connection)
        self.values = len(self._seconds)
        self.value = _figure(figure, self._seconds) if self.values else 0.0
        echo = nearest_rank(control, QUANTILE) * sample.crossings if len(control) else 0.0
        self._echo = echo if echo > BUSY_SHARE * allowed else 0.0

    def findings(self) -> list[Finding]:
        """The miss of the objective and the slowest events; nothing if it is not missed."""
        if not self._is_missed(self._allowed + self._echo):
            return []
        slow = np.flatnonzero(self._seconds > self._allowed + CLOCK_TOLERANCE)
        slow = slow[np.argsort(-self._seconds[slow], kind="stable")[:SLOWEST_SHOWN]]
        return [Finding(message=self._description())] + [
            self._records.finding(row, f"{self._records.text('event', row)} took {took * 1000:.1f} ms")
            for row, took in zip(self._rows[slow].tolist(), self._seconds[slow].tolist(), strict=True)
        ]

    def weaknesses(self) -> list[str]:
        """The reasons why the objective is neither met nor missed."""
        if self._is_missed(self._allowed + self._echo):
            return []
        if self._is_missed(self._allowed):
            return [f"{BUSY}: a bare echo took p95 {_ms(self._echo)} at the same time ({self._description()})"]
        if self.value > self._allowed + CLOCK_TOLERANCE:
            return [f"{self._description()}: chance, or one slow line, explains as much"]
        if len(self._of) < LEAST_CONNECTIONS or self.values < LEAST_VALUES:
            needs = f"needs {LEAST_VALUES} values on {LEAST_CONNECTIONS} connections"
            return [f"{self._name}: {self._figure} {needs}, and has {self.values:,} on {len(self._of):,}"]
        return []

    def _is_missed(self, allowed: float) -> bool:
        """Whether the figure exceeds the bound by more than chance and one slow connection explain."""
        bound = allowed + CLOCK_TOLERANCE
        if self.value <= bound:
            return False
        if self._figure == "mean":
            beyond = np.bincount(self._of_connection, self._seconds - bound)
            return bool(len(beyond) > 1 and beyond.sum() - beyond.max() > 0)
        late = self._seconds > bound
        return is_beyond_chance(int(late.sum()), self.values) and is_beyond_chance(
            self._late_connections(late), len(self._of)
        )

    def _late_connections(self, is_late: np.ndarray) -> int:
        late = np.bincount(self._of_connection[is_late], minlength=len(self._of))
        return int((late > (1.0 - QUANTILE) * self._of).sum())

    def _description(self) -> str:
        by, is_late = self.value - self._allowed, self._seconds > self._allowed + CLOCK_TOLERANCE
        return (
            f"{self._name}: {self._figure} is {_ms(self.value, by)}, {_ms(by, by)} over the objective of "
            f"{_ms(self._allowed)}; {is_late.sum()} of {self.values} took longer, and too many of them on "
            f"{self._late_connections(is_late)} of {len(self._of)} connections"
        )


@define(
    "refusals",
    question="Were no more requests and connections refused than the objective allows?",
    unit="requests and connections",
)
def refusals(records: Records, objectives: Objectives) -> Observation:
    """The shares of refused requests and of refused attempts to connect must each not exceed the objective `refused`."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    refused = records.without_repeats("run", records.rows(Kind.REFUSED))
    connected, turned_away = records.rows(Kind.CONNECTED), records.rows(Kind.CONNECT_REFUSED)
    findings: list[Finding] = []
    measured: dict[str, Measurement] = {}
    looked_at = 0
    for what, kind, asked, declined, all_of_them in (
        ("requests", Kind.REFUSED, len(requested), refused, len(requested)),
        ("attempts to connect", Kind.CONNECT_REFUSED, len(connected), turned_away, len(connected) + len(turned_away)),
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
            findings.append(records.finding(row, f"refused with {records.text('detail', row)}"))
    return Observation(
        looked_at=looked_at,
        found=len(findings),
        findings=tuple(findings),
        measured=measured,
    )


def _answers(records: Records, keep: Literal["first", "last"]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of answered requests, and the rows of their first or final event at a client."""
    requested = records.without_repeats("run", records.rows(Kind.REQUESTED))
    received = records.rows(Kind.RECEIVED)
    if keep == "last":
        received = received[records.one_of("event", received, *FINAL)]
    events = records.first_of_each("run", received)
    events = events[records.codes["run"][requested]]
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


def _readers(records: Records, arrivals: np.ndarray) -> np.ndarray:
    """The connection of each arrival as a number; without a connection, a number that stands for the user."""
    connections, users = records.codes["connection"][arrivals], records.codes["user"][arrivals]
    return np.asarray(
        np.where(records.has("connection", arrivals), connections, len(records.tables["connection"]) + users)
    )


def _figure(figure: str, seconds: np.ndarray) -> float:
    return float(seconds.mean()) if figure == "mean" else nearest_rank(seconds, QUANTILE)


def _ms(seconds: float, smallest: float = 1.0) -> str:
    """Milliseconds; with more digits if ``smallest``, the smallest time in the same sentence, needs them."""
    return f"{seconds * 1000:.{1 if smallest >= 1e-4 else 3}f} ms"


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

"""Compares the figures of a sample of times with their objectives, as far as the number of values allows."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from netra_sim.checks.records import Records
from netra_sim.checks.results import Finding, Measurement
from netra_sim.checks.statistics import QUANTILE, is_beyond_chance, nearest_rank

SLOWEST_SHOWN = 10

CLOCK_TOLERANCE = 1e-6
"""Seconds by which a time may exceed an objective: rounding errors of times that are seconds since 1970."""

LEAST_VALUES, LEAST_CONNECTIONS = 20, 5
"""The fewest values, and the fewest connections that they come from, with which an objective can be met."""

LEAST_VALUES_OF_P99 = 100
"""The fewest values with which an objective for 99 of 100 can be met; of fewer, their p99 is the slowest one."""

LEAST_EVIDENCE = (
    f"{LEAST_VALUES} values on {LEAST_CONNECTIONS} connections for each objective, {LEAST_VALUES_OF_P99} for a p99"
)

BUSY = "the machine was busy"
"""The beginning of the reason for an inconclusive result that is due only to a busy machine."""

BUSY_SHARE = 0.5
"""The share of an objective that a bare echo exceeds on a busy machine."""

QUANTILES = {"p50": 0.5, "p95": QUANTILE, "p99": 0.99}
"""The share of the values that each quantile is not below."""

_NONE = np.zeros(0)


class Sample(NamedTuple):
    """Times of one kind, such as latencies.

    Attributes:
        name: what they are the times of.
        rows: for each the row that a finding names.
        arrivals: for each the row of the arrival, which has the connection.
        seconds: the times, less the known latency of the line; NaN where not known.
        crossings: how often each includes a pass over the line.
    """

    name: str
    rows: np.ndarray
    arrivals: np.ndarray
    seconds: np.ndarray
    crossings: int = 1


class Judgement:
    """What comes of comparing figures with their objectives.

    Attributes:
        measured: the figures, by name.
        findings: the objectives that are missed, each with the slowest times.
        weak: the reasons why an objective is neither met nor missed.
        looked_at: how many times were examined.
    """

    def __init__(self) -> None:
        self.measured: dict[str, Measurement] = {}
        self.findings: list[Finding] = []
        self.weak: list[str] = []
        self.looked_at = 0

    def judge(
        self, records: Records, sample: Sample, bounds: Iterable[tuple[str, float]], control: np.ndarray = _NONE
    ) -> None:
        """Compare figures of a sample, each by its name and its bound in seconds.

        Args:
            records: of the history.
            sample: the times.
            bounds: the names of the figures, which are "mean", "p50", "p95", "p99" and "max", with their objectives.
            control: the times of a bare echo on the same machine, in seconds.
        """
        figures = [Judged(records, sample, figure, allowed, control) for figure, allowed in bounds]
        self.looked_at += max((one.values for one in figures), default=0)
        for one in figures:
            if one.values:
                self.measured[f"{sample.name}, {one.figure}"] = Measurement(one.value, "s", "lower", one.allowed)
                self.findings += one.findings()
                self.weak += one.weaknesses()


class Judged:
    """One figure of a sample, compared with its objective.

    The figure of a "p95" and the like is a quantile by nearest rank.

    - A quantile is missed if, each with a confidence of 95 %, more values than it leaves are above the objective, and more
      than that share of the connections are slow; a p95 leaves 5 %. A connection is slow if more than that share of its
      values are above the objective.
    - A mean is missed if the values without those of the connection with the largest excess still exceed it.
    - A maximum is missed by any value above it.

    Attributes:
        figure: its name.
        allowed: the objective, in seconds.
        values: how many values the sample has.
        value: the figure, in seconds.
    """

    def __init__(self, records: Records, sample: Sample, figure: str, allowed: float, control: np.ndarray) -> None:
        is_known = ~np.isnan(sample.seconds)
        self.figure, self.allowed = figure, allowed
        self._records, self._name = records, sample.name
        self._quantile = QUANTILES.get(figure, QUANTILE)
        self._rows, self._seconds = sample.rows[is_known], sample.seconds[is_known]
        self._of_connection = np.unique(_readers(records, sample.arrivals[is_known]), return_inverse=True)[1]
        self._of = np.bincount(self._of_connection)
        self.values = len(self._seconds)
        self.value = figure_of(figure, self._seconds) if self.values else 0.0
        self._echo_figure = "p95" if figure in ("mean", "p50") else figure
        echo = figure_of(self._echo_figure, control) * sample.crossings if len(control) else 0.0
        self._echo = echo if echo > BUSY_SHARE * allowed else 0.0

    def findings(self) -> list[Finding]:
        """The miss of the objective and the slowest events; nothing if it is not missed."""
        if not self._is_missed(self.allowed + self._echo):
            return []
        slow = np.flatnonzero(self._seconds > self.allowed + CLOCK_TOLERANCE)
        slow = slow[np.argsort(-self._seconds[slow], kind="stable")[:SLOWEST_SHOWN]]
        return [Finding(message=self._description())] + [
            self._records.finding(row, f"{self._records.text('event', row)} took {took * 1000:.1f} ms")
            for row, took in zip(self._rows[slow].tolist(), self._seconds[slow].tolist(), strict=True)
        ]

    def weaknesses(self) -> list[str]:
        """The reasons why the objective is neither met nor missed."""
        if self._is_missed(self.allowed + self._echo):
            return []
        if self._is_missed(self.allowed):
            return [
                f"{BUSY}: a bare echo took {self._echo_figure} {_ms(self._echo)} at the same time ({self._description()})"
            ]
        if self.value > self.allowed + CLOCK_TOLERANCE:
            return [f"{self._description()}: chance, or one slow line, explains as much"]
        least = LEAST_VALUES_OF_P99 if self.figure == "p99" else LEAST_VALUES
        if len(self._of) < LEAST_CONNECTIONS or self.values < least:
            needs = f"needs {least} values on {LEAST_CONNECTIONS} connections"
            return [f"{self._name}: {self.figure} {needs}, and has {self.values:,} on {len(self._of):,}"]
        return []

    def _is_missed(self, allowed: float) -> bool:
        """Whether the figure exceeds the bound by more than chance and one slow connection explain."""
        bound = allowed + CLOCK_TOLERANCE
        if self.value <= bound:
            return False
        if self.figure == "mean":
            beyond = np.bincount(self._of_connection, self._seconds - bound)
            return bool(len(beyond) > 1 and beyond.sum() - beyond.max() > 0)
        if self.figure == "max":
            return True
        late = self._seconds > bound
        return is_beyond_chance(int(late.sum()), self.values, self._quantile) and is_beyond_chance(
            self._late_connections(late), len(self._of), self._quantile
        )

    def _late_connections(self, is_late: np.ndarray) -> int:
        late = np.bincount(self._of_connection[is_late], minlength=len(self._of))
        return int((late > (1.0 - self._quantile) * self._of).sum())

    def _description(self) -> str:
        by, is_late = self.value - self.allowed, self._seconds > self.allowed + CLOCK_TOLERANCE
        return (
            f"{self._name}: {self.figure} is {_ms(self.value, by)}, {_ms(by, by)} over the objective of "
            f"{_ms(self.allowed)}; {is_late.sum()} of {self.values} took longer, and too many of them on "
            f"{self._late_connections(is_late)} of {len(self._of)} connections"
        )


def _readers(records: Records, arrivals: np.ndarray) -> np.ndarray:
    """The connection of each arrival as a number; without a connection, a number that stands for the user."""
    connections, users = records.codes["connection"][arrivals], records.codes["user"][arrivals]
    return np.asarray(
        np.where(records.has("connection", arrivals), connections, len(records.tables["connection"]) + users)
    )


def figure_of(figure: str, seconds: np.ndarray) -> float:
    """A figure of at least one value, by its name."""
    if figure in QUANTILES:
        return nearest_rank(seconds, QUANTILES[figure])
    return float(seconds.mean() if figure == "mean" else seconds.max())


def _ms(seconds: float, smallest: float = 1.0) -> str:
    """Milliseconds; with more digits if ``smallest``, the smallest time in the same sentence, needs them."""
    return f"{seconds * 1000:.{1 if smallest >= 1e-4 else 3}f} ms"

"""`Bound`: what a figure of a history must not exceed, such as "delivery p95 <= 200 ms"."""

import re
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import numpy as np

from netra_sim.checks import POOLED, Records, SteadyState, nearest_rank, steady_state, visits
from netra_sim.exceptions import NetraSimError
from netra_sim.history import History, Kind

LEAST_VALUES = 20
"""The fewest values that a steady state must have; with fewer, all of the history counts."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_FORM = re.compile(r"\s*([a-z][a-z ]*?)\s+(mean|max|p\d+(?:\.\d+)?)\s*<=\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


class BoundError(NetraSimError, ValueError):
    """A text is no bound; the message says what one looks like, and which measures there are."""


class Figure(msgspec.Struct, frozen=True):
    """A figure of one history.

    Attributes:
        seconds: the figure; infinite if too many of the values never came.
        values: how many values it is of.
        part: the steady state that it is of; None for all of the history.
    """

    seconds: float
    values: int
    part: SteadyState | None


class Bound(msgspec.Struct, frozen=True):
    """A bound of one figure.

    What never comes takes infinitely long: an event that does not reach its owner, a request without an answer or with
    ``agent_error``, and a step that was refused or gave up waiting. So a system does not look fast because it fails.

    Attributes:
        measure: a name in `MEASURES`.
        statistic: "mean", "max" or a percentile by the nearest rank, such as "p95".
        seconds: the most that the figure may be.
    """

    measure: str
    statistic: str
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Bound":
        """Read a bound, such as "delivery p95 <= 200 ms".

        Raises:
            BoundError: the text is no bound.
        """
        found = _FORM.fullmatch(text)
        if found is None or found[1] not in MEASURES or found[4] not in _UNITS or not _is_statistic(found[2]):
            raise BoundError(
                f'a bound is MEASURE STATISTIC <= TIME, such as "delivery p95 <= 200 ms", and this is "{text}"; '
                f"measures are {', '.join(MEASURES)}; statistics are mean, max and p1 to p99.99; units are us, ms and s"
            )
        return cls(found[1], found[2], float(found[3]) * _UNITS[found[4]])

    def __str__(self) -> str:
        unit = "s" if self.seconds >= 1 else "ms" if self.seconds >= 1e-3 else "us"
        return f"{self.measure} {self.statistic} <= {self.seconds / _UNITS[unit]:g} {unit}"

    def figure(self, history: History, *, is_steady: bool) -> Figure:
        """The figure of a history.

        Args:
            history: of a simulation.
            is_steady: whether to leave out warm-up and drain, if `LEAST_VALUES` are left.
        """
        times, seconds = MEASURES[self.measure](history)
        part = steady_state(history) if is_steady else None
        if part is not None:
            within = part.has(times)
            seconds, part = (seconds[within], part) if within.sum() >= LEAST_VALUES else (seconds, None)
        return Figure(self._of(seconds) if len(seconds) else np.inf, len(seconds), part)

    def _of(self, seconds: np.ndarray) -> float:
        if self.statistic in ("mean", "max"):
            return float(seconds.mean() if self.statistic == "mean" else seconds.max())
        return nearest_rank(seconds, float(self.statistic[1:]) / 100)


def _is_statistic(text: str) -> bool:
    return text in ("mean", "max") or 0 < float(text[1:]) < 100


def _delivery(history: History) -> tuple[np.ndarray, np.ndarray]:
    records = Records(history)
    published, arrived = records.first_arrivals
    times = records.numbers["time"]
    return times[published], np.where(arrived >= 0, times[arrived] - times[published], np.inf)


def _request(history: History, *finals: str) -> tuple[np.ndarray, np.ndarray]:
    """From the due time of each request to its first event, or to the first of these events."""
    records = Records(history)
    asked = records.without_repeats("run", records.rows(Kind.REQUESTED))
    events = records.rows(Kind.RECEIVED)
    if finals:
        events = events[records.one_of("event", events, *finals)]
    answered = records.first_of_each("run", events)[records.codes["run"][asked]]
    due = records.numbers["due"][asked]
    return due, np.where(answered >= 0, records.numbers["time"][answered] - due, np.inf)


def _silence(history: History) -> tuple[np.ndarray, np.ndarray]:
    records = Records(history)
    times = records.numbers["time"]
    pauses = records.arrivals.steps(times)
    return times[records.arrivals.rows][~np.isnan(pauses)], pauses[~np.isnan(pauses)]


def _wait(resource: str, history: History) -> tuple[np.ndarray, np.ndarray]:
    found = visits(history, resource)
    return found.asked, np.where(np.isnan(found.began), np.inf, found.waited)


MEASURES: Mapping[str, Callable[[History], tuple[np.ndarray, np.ndarray]]] = {
    "delivery": _delivery,
    "first event": _request,
    "response": lambda history: _request(history, "agent_completed"),
    "silence": _silence,
    **{f"{resource} wait": partial(_wait, resource) for resource in POOLED},
}
"""For each measure the function that returns when each value began, and the values, in seconds.

"delivery" is from publishing to the owner's client, "first event" and "response" from when a request was due to its first
event and to its answer, "silence" between two events of a run, "model wait" and the like from asking for a slot to getting
it.
"""

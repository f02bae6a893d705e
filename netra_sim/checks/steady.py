"""The steady state of a history: what is left without warm-up and drain."""

from typing import NamedTuple

import numpy as np

from netra_sim.checks.records import FINAL, Records
from netra_sim.history import History, Kind


class SteadyState(NamedTuple):
    """The part of a history that counts.

    Attributes:
        begins: seconds.
        ends: seconds.
    """

    begins: float
    ends: float

    def has(self, times: np.ndarray) -> np.ndarray:
        """For each time whether it is in the part."""
        return np.asarray((times >= self.begins) & (times <= self.ends))


def steady_state(history: History) -> SteadyState:
    """The part between warm-up and drain, by when requests are due.

    The warm-up lasts from the first due time as long as the longest response takes, but for half of the time between the
    first and the last due time at most. The drain begins at the last due time. Without requests the part is empty.
    """
    records = Records(history)
    asked = records.without_repeats("run", records.rows(Kind.REQUESTED))
    if not len(asked):
        return SteadyState(0.0, 0.0)
    due = records.numbers["due"][asked]
    ends = records.first_of_each("run", records.rows_with(Kind.RECEIVED, "event", *FINAL))
    ended = ends[records.codes["run"][asked]]
    took = np.where(ended >= 0, records.numbers["time"][ended] - due, np.inf)
    first, last = float(due.min()), float(due.max())
    return SteadyState(first + min(float(took.max()), (last - first) / 2), last)

"""What a latency is measured of, and from when to when."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from netra_sim.checks import delivery_latencies, request_latencies
from netra_sim.history import History


class Measure(StrEnum):
    """Which latencies; the value is the plural of what has them."""

    DELIVERY = "events"
    FIRST_EVENT = "first events"
    LAST_EVENT = "last events"

    @property
    def described(self) -> str:
        """From when to when, as a sentence for captions."""
        if self is Measure.DELIVERY:
            return "Measured from the publishing of an event to its first arrival at a client of its owner."
        which = "first" if self is Measure.FIRST_EVENT else "last"
        return (
            f"Measured from when a request was due, so that no waiting is left out, to its {which} event at the client."
        )


class Measured(NamedTuple):
    """Latencies of one history: whose, from when, to when, and how long, in seconds."""

    users: np.ndarray
    began: np.ndarray
    arrived: np.ndarray
    took: np.ndarray


Latencies = History | Sequence[float] | np.ndarray
"""A history, or latencies in seconds."""


def measured(history: History, measure: Measure) -> Measured:
    """The latencies of a history."""
    if measure is Measure.DELIVERY:
        table, began, arrived = delivery_latencies(history), "time", "time_received"
    else:
        table = request_latencies(history, keep="first" if measure is Measure.FIRST_EVENT else "last")
        began, arrived = "due", "time"
    numbers = (table[column].to_numpy(float) for column in (began, arrived, "latency"))
    return Measured(table["user"].to_numpy(object), *numbers)


def seconds(one: Latencies, measure: Measure) -> np.ndarray:
    """The latencies of either kind, those that are known."""
    took = measured(one, measure).took if isinstance(one, History) else np.asarray(one, float)
    known: np.ndarray = took[np.isfinite(took)]
    return known

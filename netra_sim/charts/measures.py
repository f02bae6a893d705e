"""The measures of latency: what begins and what ends each one."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np

from netra_sim.checks import delivery_latencies, request_latencies
from netra_sim.history import History


class Measure(StrEnum):
    """A measure of latency; its value names the measured things in the plural."""

    DELIVERY = "events"
    FIRST_EVENT = "first events"
    FIRST_CONTENT = "first pieces of answers"
    LAST_EVENT = "last events"

    @property
    def described(self) -> str:
        """What the measure spans, as a sentence for captions."""
        if self is Measure.DELIVERY:
            return "From the publishing of an event to its first arrival at a client of its owner."
        to = {Measure.FIRST_EVENT: "its first event", Measure.FIRST_CONTENT: "the first piece of its answer"}
        which = to.get(self, "its last event")
        return f"From the time when a request was due, which includes all waiting, to {which} at the client."


_KEEPS: Mapping[Measure, Literal["first", "content", "last"]] = {
    Measure.FIRST_EVENT: "first",
    Measure.FIRST_CONTENT: "content",
    Measure.LAST_EVENT: "last",
}


class Measured(NamedTuple):
    """Latencies of one history: the user, beginning, arrival and duration of each, in seconds."""

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
        table = request_latencies(history, keep=_KEEPS[measure])
        began, arrived = "due", "time"
    numbers = (table[column].to_numpy(float) for column in (began, arrived, "latency"))
    return Measured(table["user"].to_numpy(object), *numbers)


def seconds(one: Latencies, measure: Measure) -> np.ndarray:
    """The finite latencies of a history or an array, in seconds."""
    took = measured(one, measure).took if isinstance(one, History) else np.asarray(one, float)
    known: np.ndarray = took[np.isfinite(took)]
    return known

"""How the resources of a simulation were used, and which of them saturates."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from netra_sim.checks.records import Records
from netra_sim.checks.statistics import QUANTILE, nearest_rank
from netra_sim.checks.steady import SteadyState
from netra_sim.history import CPU_BUSY, STEPS_READY, History, wait_for
from netra_sim.quantities import counted

POOLED = ("model", "tools", "database")
"""The resources with slots that steps of runs hold."""

SATURATED = 0.9
"""The share of a resource's slots that is busy when the resource is saturated, whatever its queue does."""

BUSY = 0.7
"""The share of a resource's slots that is busy when the resource is saturated, if its queue grows."""

GROWTH = 1.5
"""A queue grows if this many times as many wait in the last quarter of the time as in the first, and at least one."""

_PARTS = 4


class ResourceUse(msgspec.Struct, frozen=True, kw_only=True):
    """How one resource was used during a part of a history.

    Attributes:
        resource: its name in the scenario.
        slots: how many steps it serves at the same time; for the CPU the number of processes.
        utilisation: the share of its slots that is busy, on average over the time.
        queue: how many steps wait, on average over the time; NaN if not recorded.
        queue_began: the same in the first quarter of the time.
        queue_ended: the same in the last quarter.
        wait_p95: the 95th percentile of the seconds that steps wait, for those that ask in the time; NaN if not recorded.
        refused: how many steps are refused in the time, because the queue is full or the model's rate limit is reached.
    """

    resource: str
    slots: int
    utilisation: float
    queue: float
    queue_began: float
    queue_ended: float
    wait_p95: float
    refused: int

    @property
    def is_saturated(self) -> bool:
        """Whether at least `SATURATED` of the slots are busy, or `BUSY` with a queue that grows."""
        is_growing = self.queue_ended >= max(1.0, GROWTH * self.queue_began)
        return self.utilisation >= (BUSY if is_growing else SATURATED)

    @property
    def size(self) -> str:
        """The slots in words."""
        return counted(self.slots, *(("process", "processes") if self.resource == "cpu" else ("slot", "slots")))

    @property
    def share(self) -> str:
        """The utilisation in words."""
        return f"{self.utilisation:.1%} of {self.size} {'is' if self.slots == 1 else 'are'} busy"

    def __str__(self) -> str:
        text = self.share
        if not np.isnan(self.queue_began + self.queue_ended):
            text += f"; waiting: {self.queue_began:.1f} in the first quarter of the time, {self.queue_ended:.1f} in the last"
        return text + (f"; {self.refused:,} refused" if self.refused else "")


def resource_use(history: History, part: SteadyState | None = None) -> list[ResourceUse]:
    """How each resource that the scenario limits was used.

    Args:
        history: of a simulation; other histories have no resources.
        part: the part to look at; by default all of the history.
    """
    if part is None:
        part = SteadyState(0.0, float(history.numbers["time"].max(initial=0.0)))
    settings = history.meta.get("scenario", {}).get("resources", {})
    return [_use(history, name, settings[name]["slots"], part) for name in (*POOLED, "cpu") if name in settings]


def which_saturates(uses: Sequence[ResourceUse]) -> str:
    """Which resource saturates, in a sentence; the busiest one if none does."""
    if not uses:
        return "no resource is limited, and none can saturate"
    busiest = max(uses, key=lambda use: (use.utilisation, use.queue_ended))
    saturated = [use.resource for use in uses if use.is_saturated]
    if not saturated:
        wait = "" if np.isnan(busiest.wait_p95) else f", and 95 of 100 steps wait {busiest.wait_p95:.3g} s at most"
        return f"no resource saturates; the busiest is {busiest.resource}: {busiest.share}{wait}"
    if len(saturated) > 1:
        names = f"{', '.join(saturated[:-1])} and {saturated[-1]}"
        return f"{names} saturate; the busiest is {busiest.resource}: {busiest.share}"
    saturates = next(use for use in uses if use.is_saturated)
    return f"{saturates.resource} saturates: {saturates.share}"


class Visits(NamedTuple):
    """The visits to a resource with slots, in the order in which they ended; times in seconds, NaN for "never".

    Attributes:
        asked: when each asked for a slot.
        waited: how long each waited.
        began: when each got a slot.
        ended: when each ended.
        is_refused: whether the queue was full.
    """

    asked: np.ndarray
    waited: np.ndarray
    began: np.ndarray
    ended: np.ndarray
    is_refused: np.ndarray


def visits(history: History, resource: str) -> Visits:
    """The visits to a resource with slots; none if it is not limited."""
    records = Records(history)
    rows = records.samples(wait_for(resource))
    ended, waited, held = (records.numbers[name][rows] for name in ("time", "value", "duration"))
    began = ended - held
    asked = np.where(np.isnan(held), ended, began) - waited
    return Visits(asked, waited, began, ended, records.one_of("event", rows, "refused"))


def use_over_time(history: History, resource: str, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many slots are busy and how many steps wait, on average between each two edges.

    For the CPU, the first is in processes, and the second in steps of the loop, sampled once a second.

    Args:
        history: of a simulation that limits the resource.
        resource: its name.
        edges: times in seconds, ascending.
    """
    if resource == "cpu":
        records = Records(history)
        times, busy = (np.append(0.0, values) for values in _gauge(records, CPU_BUSY))
        at, ready = _gauge(records, STEPS_READY)
        processes = history.meta["scenario"]["resources"]["cpu"]["slots"]
        shares = _per_second(np.interp(edges, times, busy), edges)
        return np.minimum(shares, 1.0) * processes, _means(at, ready, edges)
    found = visits(history, resource)
    left_queue = np.where(np.isnan(found.began), found.ended, found.began)
    return _mean_present(found.began, found.ended, edges), _mean_present(found.asked, left_queue, edges)


def _use(history: History, resource: str, slots: int, part: SteadyState) -> ResourceUse:
    whole, quarters = np.array(part), np.linspace(*part, _PARTS + 1)
    busy, queue = use_over_time(history, resource, whole)
    queues = use_over_time(history, resource, quarters)[1]
    found = visits(history, resource)
    asks = part.has(found.asked)
    waits = found.waited[asks & ~found.is_refused]
    return ResourceUse(
        resource=resource,
        slots=slots,
        utilisation=float(busy[0]) / slots,
        queue=float(queue[0]),
        queue_began=float(queues[0]),
        queue_ended=float(queues[-1]),
        wait_p95=nearest_rank(waits, QUANTILE) if len(waits) else np.nan,
        refused=int((asks & found.is_refused).sum()),
    )


def _mean_present(came: np.ndarray, went: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many are present on average between each two edges, if each is present from when it came until it went."""
    is_known = ~np.isnan(came)
    return _per_second(_time_since(came[is_known], edges) - _time_since(went[is_known], edges), edges)


def _time_since(begins: np.ndarray, at: np.ndarray) -> np.ndarray:
    """For each time the sum of the seconds since all of the beginnings before it."""
    begins = np.sort(begins)
    before = np.searchsorted(begins, at)
    return np.asarray(before * at - np.append(0.0, np.cumsum(begins))[before])


def _per_second(total: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The growth of a total between each two edges, per second, without rounding errors below 0; 0 between equal edges."""
    growth, seconds = np.maximum(np.diff(total), 0.0), np.diff(edges)
    return np.asarray(np.divide(growth, seconds, out=np.zeros(len(seconds)), where=seconds > 0))


def _means(at: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean of the values between each two edges; NaN without any."""
    firsts, sums = np.searchsorted(at, edges), np.append(0.0, np.cumsum(values))
    counts = np.diff(firsts)
    return np.asarray(np.divide(np.diff(sums[firsts]), counts, out=np.full(len(counts), np.nan), where=counts > 0))


def _gauge(records: Records, gauge: str) -> tuple[np.ndarray, np.ndarray]:
    """The times and the values of a gauge's samples."""
    rows = records.samples(gauge)
    return records.numbers["time"][rows], records.numbers["value"][rows]

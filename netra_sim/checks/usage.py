"""How the resources of a simulation were used, and which of them saturates."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from netra_sim.checks.records import Records
from netra_sim.checks.statistics import QUANTILE, nearest_rank
from netra_sim.checks.steady import SteadyState
from netra_sim.history import CPU_BUSY, STEPS_READY, History, Kind, wait_for

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
        queue_most: the most that wait at once.
        wait_p95: the 95th percentile of the seconds that steps wait, for those that ask in the time; NaN if not recorded.
        refused: how many steps are refused in the time, because the queue is full.
    """

    resource: str
    slots: int
    utilisation: float
    queue: float
    queue_began: float
    queue_ended: float
    queue_most: float
    wait_p95: float
    refused: int

    @property
    def is_saturated(self) -> bool:
        """Whether at least `SATURATED` of the slots are busy, or `BUSY` with a queue that grows."""
        is_growing = self.queue_ended >= max(1.0, GROWTH * self.queue_began)
        return self.utilisation >= (BUSY if is_growing else SATURATED)

    @property
    def share(self) -> str:
        """The utilisation in words."""
        one, many = ("process", "processes") if self.resource == "cpu" else ("slot", "slots")
        slots = f"1 {one} is" if self.slots == 1 else f"{self.slots:,} {many} are"
        return f"{self.utilisation:.1%} of {slots} busy"

    def __str__(self) -> str:
        text = self.share
        if not np.isnan(self.queue_ended):
            text += f"; waiting: {self.queue_began:.1f} in the first quarter of the time, {self.queue_ended:.1f} in the last"
        return text + (f"; {self.refused:,} refused" if self.refused else "")


def resource_use(history: History, part: SteadyState | None = None) -> list[ResourceUse]:
    """How each resource that the scenario limits was used.

    Args:
        history: of a simulation; other histories have no resources.
        part: the part to look at; by default all of the history.
    """
    records = Records(history)
    if part is None:
        part = SteadyState(0.0, float(records.numbers["time"].max(initial=0.0)))
    scenario = history.meta.get("scenario", {})
    settings = scenario.get("resources", {})
    found = [_pool_use(records, name, settings[name]["slots"], part) for name in POOLED if name in settings]
    if "cpu" in settings:
        found.append(_cpu_use(records, settings["cpu"]["slots"], part))
    return found


def which_saturates(uses: Sequence[ResourceUse]) -> str:
    """Which resource saturates, in a sentence; the busiest one if none does."""
    if not uses:
        return "no resource is limited, and none can saturate"
    busiest = max(uses, key=lambda use: (use.utilisation, use.queue_ended))
    saturated = [use.resource for use in uses if use.is_saturated]
    if not saturated:
        return f"no resource saturates; the busiest is {busiest.resource}: {busiest.share}"
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
    samples = records.rows(Kind.SAMPLE)
    rows = samples[records.one_of("detail", samples, wait_for(resource))]
    ended, waited, held = (records.numbers[name][rows] for name in ("time", "value", "duration"))
    began = ended - held
    asked = np.where(np.isnan(held), ended, began) - waited
    return Visits(asked, waited, began, ended, records.one_of("event", rows, "refused"))


def _pool_use(records: Records, name: str, slots: int, part: SteadyState) -> ResourceUse:
    found = visits(records, name)
    left_queue = np.where(np.isnan(found.began), found.ended, found.began)
    quarters = np.linspace(part.begins, part.ends, _PARTS + 1)
    asks = part.has(found.asked)
    waits = found.waited[asks & ~found.is_refused]
    return ResourceUse(
        resource=name,
        slots=slots,
        utilisation=_mean_present(found.began, found.ended, part.begins, part.ends) / slots,
        queue=_mean_present(found.asked, left_queue, part.begins, part.ends),
        queue_began=_mean_present(found.asked, left_queue, quarters[0], quarters[1]),
        queue_ended=_mean_present(found.asked, left_queue, quarters[-2], quarters[-1]),
        queue_most=float(_most_present(found.asked, left_queue, part)),
        wait_p95=nearest_rank(waits, QUANTILE) if len(waits) else np.nan,
        refused=int((asks & found.is_refused).sum()),
    )


def _mean_present(came: np.ndarray, went: np.ndarray, begins: float, ends: float) -> float:
    """How many are present on average between two times, if each is present from when it came until it went."""
    if ends <= begins:
        return 0.0
    return float(np.nansum(np.maximum(np.minimum(went, ends) - np.maximum(came, begins), 0.0)) / (ends - begins))


def _most_present(came: np.ndarray, went: np.ndarray, part: SteadyState) -> int:
    """The most that are present at once, counted when one comes; who goes at that instant has gone."""
    comings, goings = np.sort(came[came < went]), np.sort(went[came < went])
    present = np.arange(1, len(comings) + 1) - np.searchsorted(goings, comings, side="right")
    return int(present[part.has(comings)].max(initial=0))


def _cpu_use(records: Records, processes: int, part: SteadyState) -> ResourceUse:
    times, busy = (np.append(0.0, values) for values in _gauge(records, CPU_BUSY))
    begins, ends = np.interp([part.begins, part.ends], times, busy)
    at, ready = _gauge(records, STEPS_READY)
    quarters = np.linspace(part.begins, part.ends, _PARTS + 1)

    def waiting(since: float, until: float) -> float:
        values = ready[SteadyState(since, until).has(at)]
        return float(values.mean()) if len(values) else np.nan

    length = part.ends - part.begins
    return ResourceUse(
        resource="cpu",
        slots=processes,
        utilisation=min(1.0, float(ends - begins) / length) if length > 0 else 0.0,
        queue=waiting(part.begins, part.ends),
        queue_began=waiting(quarters[0], quarters[1]),
        queue_ended=waiting(quarters[-2], quarters[-1]),
        queue_most=float(ready[part.has(at)].max(initial=0)),
        wait_p95=np.nan,
        refused=0,
    )


def _gauge(records: Records, gauge: str) -> tuple[np.ndarray, np.ndarray]:
    """The times and the values of a gauge's samples."""
    samples = records.rows(Kind.SAMPLE)
    rows = samples[records.one_of("detail", samples, gauge)]
    return records.numbers["time"][rows], records.numbers["value"][rows]

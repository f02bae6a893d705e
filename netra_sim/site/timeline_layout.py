"""The layout of the timeline of two runs: which steps it shows, in which lanes, and where."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from netra_sim.exploration.comparison import LoggedRun, PairOfRuns
from netra_sim.simulation.schedule import CALLBACK
from netra_sim.simulation.schedule_log import Span

MOST_STEPS = 160
"""Steps of a run that are all shown; of a longer run, those around holds, the first difference, findings and both ends."""

MOST_HOLDS = 3
"""Holds whose surroundings are shown in a long run."""

MOST_MOMENTS = 3
"""Moments of findings whose surroundings are shown in a long run."""

MOST_LANES = 12
"""Tasks with a lane each; more of them share the lane of their coroutine."""

STEP, GAP, MARGIN = 18, 96, 16
"""Pixels from one step to the next, of steps that are left out, and at both ends."""

_BEFORE, _AFTER, _END = 6, 14, 18
_OTHERS, _CALLBACKS = "other tasks", "callbacks of the loop"


Key = tuple[str, int]
"""A task of either run."""


class LeftOutSteps(NamedTuple):
    """Steps that are left out: where they would be, and how many they are."""

    x: float
    steps: int


def held(run: LoggedRun) -> list[Span]:
    """The holds of a run that took place, in the order in which they begin."""
    return sorted(run.log.spans(run.holds or ()))


@dataclass(frozen=True)
class Layout:
    """Where the steps of two runs are drawn; equal steps are at the same place in both.

    Attributes:
        places: for each index of a step that is shown, its distance from the left in pixels.
        gaps: what is left out between them.
        lanes: their names, from the top.
        width: in pixels.
    """

    places: Mapping[int, float]
    gaps: Sequence[LeftOutSteps]
    lanes: Sequence[str]
    width: float
    _lane_of: Mapping[Key, int]

    @classmethod
    def of(cls, comparison: PairOfRuns, found_at: Sequence[float] = ()) -> "Layout":
        """The layout of a comparison; ``found_at`` has the virtual times of what the failing run does wrong."""
        runs = [run for run in (comparison.passing, comparison.failing) if run is not None]
        places, gaps, width = _spread(_shown(comparison, runs, found_at), max(run.length for run in runs))
        lanes, lane_of = _lanes(runs, places)
        return cls(places, gaps, lanes, width, lane_of)

    def lane(self, run: LoggedRun, task: int) -> int:
        """The number of the lane of a task."""
        return self._lane_of[_keys(run)[task]]

    def place_at(self, run: LoggedRun, time: float) -> float | None:
        """Where the last step until a virtual time is; None if that step is not shown."""
        return self.places.get(_index_at(run, time))


def _index_at(run: LoggedRun, time: float) -> int:
    return max(0, bisect_right(run.log.steps, time, key=lambda step: step.time) - 1)


def _shown(comparison: PairOfRuns, runs: Sequence[LoggedRun], found_at: Sequence[float]) -> list[int]:
    longest = max(run.length for run in runs)
    if longest <= MOST_STEPS:
        return list(range(longest))
    spans = [(0, _BEFORE), *((run.length - _END, run.length) for run in runs)]
    if (at := comparison.divergence) is not None:
        spans.append((at - _BEFORE, at + _AFTER))
    for index in [_index_at(comparison.failing, time) for time in sorted(set(found_at))[:MOST_MOMENTS]]:
        spans.append((index - _AFTER, index + _BEFORE))
    for run in runs:
        for began, ended, _ in held(run)[:MOST_HOLDS]:
            spans += [(began - _BEFORE, began + _AFTER), (ended - _BEFORE, ended + _AFTER)]
    wanted = {index for low, high in spans for index in range(max(0, low), min(longest, high))}
    return sorted(wanted)


def _spread(shown: Sequence[int], longest: int) -> tuple[dict[int, float], list[LeftOutSteps], float]:
    places, gaps, x = {}, [], float(MARGIN)
    for index, following in pairwise([*shown, longest]):
        places[index] = x
        if left_out := following - index - 1:
            gaps.append(LeftOutSteps(x + GAP / 2, left_out))
        x += GAP if left_out else STEP
    return places, gaps, x + MARGIN


def _keys(run: LoggedRun) -> dict[int, Key]:
    """For each task its name, and how many tasks of this name came before.

    The number of a task would not do: after the first difference of two runs the same number may be another task.
    """
    before: Counter[str] = Counter()
    keys = {}
    for task, name in sorted(run.log.names.items()):
        keys[task] = (name, before[name])
        before[name] += 1
    return keys


def _lanes(runs: Sequence[LoggedRun], places: Mapping[int, float]) -> tuple[list[str], dict[Key, int]]:
    tasks: dict[Key, None] = {}
    own: set[Key] = set()
    busy: Counter[str] = Counter()
    for run in runs:
        keys = _keys(run)
        numbers = [step.task for index, step in enumerate(run.log.steps[: run.length]) if index in places]
        for task in [*numbers, *(hold.hold.task for hold in held(run))]:
            key = keys[task]
            if task != CALLBACK:
                tasks.setdefault(key)
                busy[_coroutine(key)] += 1
        own |= {keys[hold.hold.task] for hold in held(run)[:MOST_HOLDS]}
    names = dict(_named(list(tasks), own, busy))
    if any(step.task == CALLBACK for run in runs for step in run.log.steps[: run.length]):
        names[runs[0].log.name(CALLBACK), 0] = _CALLBACKS
    lanes = list(dict.fromkeys(sorted(names.values(), key=lambda name: (name == _CALLBACKS, name == _OTHERS))))
    return lanes, {key: lanes.index(name) for key, name in names.items()}


def _named(tasks: Sequence[Key], own: Collection[Key], busy: Counter[str]) -> Iterator[tuple[Key, str]]:
    """The name of the lane of each task; those with a lane of their own have it in any case."""
    is_crowded = len(tasks) > MOST_LANES
    alike = Counter(name for name, _ in tasks)
    shared = MOST_LANES - len(own)
    kept = {name for name, _ in busy.most_common(shared if len(busy) <= shared else shared - 1)}
    for key in tasks:
        name, number = key
        if not is_crowded or key in own:
            yield key, name if alike[name] == 1 else f"{name} #{number + 1}"
        else:
            yield key, _coroutine(key) if _coroutine(key) in kept else _OTHERS


def _coroutine(key: Key) -> str:
    return key[0].partition("(")[0]

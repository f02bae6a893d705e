"""Shrinks a failing order of steps to the fewest holds: who is passed over, where, while who else runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from netra_sim.simulation.schedule import CALLBACK, FOR_EVER, Hold
from netra_sim.simulation.schedule_log import ScheduleLog

MOST_RUNS = 200
"""Runs that shrinking one schedule may take."""

MOST_ALONE = 30
"""Tasks of which the holds are tried alone."""

LONGEST_TRIED = 2
"""Holds of each of these tasks that are tried as the only one, for ever."""

T = TypeVar("T")
Fails = Callable[[Sequence[Hold]], bool]
"""Whether the program fails in the same way in asyncio's order with these holds."""


class _Budget:
    """Counts the runs, and answers what was asked before without one."""

    def __init__(self, fails: Fails, most: int) -> None:
        self.left = most
        self._fails = fails
        self._known: dict[tuple[Hold, ...], bool] = {}

    def __call__(self, holds: Sequence[Hold]) -> bool:
        key = tuple(holds)
        if key not in self._known:
            if self.left <= 0:
                return False
            self.left -= 1
            self._known[key] = self._fails(holds)
        return self._known[key]


def shrink_holds(holds: Sequence[Hold], fails: Fails, most: int = MOST_RUNS) -> tuple[Hold, ...] | None:
    """The fewest holds found with which the program still fails; each is as short as it can be.

    Args:
        holds: what the log of the failing run says.
        fails: runs the program.
        most: runs to take at most.

    Returns:
        The holds, none if the program fails in asyncio's own order, or None if it does not fail with all the given holds.
    """
    budget = _Budget(fails, most)
    if budget(()):
        return ()
    found = [hold for hold in holds if hold.task != CALLBACK]
    if not budget(found):
        found = list(holds)
        if not budget(found):
            return None
    found = _of_few_tasks(found, budget)
    while True:
        smaller = _single(_absorbed(_fewer(found, budget), budget), budget)
        is_over = len(smaller) in (1, len(found))
        found = smaller
        if is_over:
            return tuple(_shorter(found, budget))


def _of_few_tasks(holds: list[Hold], fails: _Budget) -> list[Hold]:
    """Drop the holds of whole tasks: of many bystanders, few have to do with the failure."""
    by_task: dict[int, list[Hold]] = {}
    for hold in holds:
        by_task.setdefault(hold.task, []).append(hold)
    longest_first = sorted(by_task.values(), key=lambda own: -sum(hold.length for hold in own))[:MOST_ALONE]
    for own in longest_first:
        if fails(own):
            return own
    longest = [sorted(own, key=lambda hold: -hold.length)[:LONGEST_TRIED] for own in longest_first]
    for place in range(LONGEST_TRIED):
        for own in longest:
            if place < len(own) and fails(one := [_for_ever(own[place])]):
                return one

    def of(tasks: Sequence[list[Hold]]) -> list[Hold]:
        kept = {own[0].task for own in tasks}
        return [hold for hold in holds if hold.task in kept]

    return of(_fewer(list(by_task.values()), lambda tasks: fails(of(tasks))))


def _fewer(items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Drop halves, then quarters, and so on (delta debugging, Zeller and Hildebrandt, 2002)."""
    size = max(1, len(items) // 2)
    while items:
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if fails(rest):
                items = rest
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
            continue
        size = max(1, min(size, len(items) // 2))
    return items


def _absorbed(holds: list[Hold], fails: _Budget) -> list[Hold]:
    """Drop one hold and lengthen another instead: many short holds of one task are mostly one long hold."""
    for dropped in holds:
        rest = [hold for hold in holds if hold != dropped]
        for index, hold in enumerate(rest):
            for length in _longer(hold, dropped):
                if fails(longer := _with(rest, index, length)):
                    return _absorbed(longer, fails)
    return holds


def _single(holds: list[Hold], fails: _Budget) -> list[Hold]:
    """One hold in place of several, at a step that is held, or just before or after."""
    if len(holds) > 1:
        places = {
            (hold.task, hold.step + shift): None for shift in (0, 1, -1) for hold in holds if hold.task != CALLBACK
        }
        for length in (FOR_EVER, 16, 4, 8, 32, 2):
            for task, step in places:
                if step >= 0 and fails(one := [Hold(task, step, length)]):
                    return one
    return holds


def _shorter(holds: list[Hold], fails: _Budget) -> list[Hold]:
    """The least length of each hold that still fails, by bisection."""
    for index, hold in enumerate(holds):
        longest = 1
        while longest < hold.length and not fails(_with(holds, index, longest)):
            longest *= 2
            if longest > 1 << 20:
                break
        if longest >= hold.length or longest > 1 << 20:
            longest = hold.length
            if longest >= FOR_EVER:
                continue
        low, high = longest // 2, min(longest, hold.length)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fails(_with(holds, index, middle)) else (middle, high)
        if fails(shorter := _with(holds, index, high)):
            holds = shorter
    return holds


def _longer(hold: Hold, dropped: Hold) -> tuple[int, ...]:
    """Lengths to try in place of those of two holds; a pause is only as long as two pauses."""
    both = hold.length + dropped.length
    if hold.is_pause:
        return (both,) if dropped.is_pause else ()
    return both, 2 * hold.length, FOR_EVER


def _for_ever(hold: Hold) -> Hold:
    return hold if hold.is_pause else hold._replace(length=FOR_EVER)


def _with(holds: list[Hold], index: int, length: int) -> list[Hold]:
    return [*holds[:index], holds[index]._replace(length=length), *holds[index + 1 :]]


def sentence(holds: Sequence[Hold], log: ScheduleLog, step_cost: float = 0.0) -> str:
    """What has to happen for the failure, in words.

    Args:
        holds: the least holds.
        log: of the run with these holds.
        step_cost: seconds that every step must take.
    """
    cost = f" if each step takes {step_cost * 1000:g} ms" if step_cost else ""
    if not holds:
        return f"fails without any change to the order of steps{cost}"
    lines = [f"passes in asyncio's order; fails{cost + ' and' if cost else ' if'}"]
    for began, index, hold in log.spans(holds):
        step, others = log.steps[index], Counter(one.task for one in log.steps[began:index])
        how_long = f" for {hold.length} ms" if hold.is_pause else ""
        where = f" at {step.place}" if step.step else " before it starts"
        where = "" if step.task == CALLBACK else where
        lines.append(
            f"  t={log.steps[began].time:.3f}  {log.name(hold.task)} is held{where}{how_long}{_while(others, log)}"
        )
    return "\n".join(lines)


def _while(steps: Counter[int], log: ScheduleLog) -> str:
    if not steps:
        return ""
    ranked = steps.most_common()
    shown = [f"{log.name(task)} makes {_steps(count)}" for task, count in ranked[:2]]
    if len(ranked) > 2:
        shown.append(f"others make {_steps(sum(count for _, count in ranked[2:]))}")
    made = " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f" while {made}"


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"

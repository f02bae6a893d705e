"""What ran in which order: the log of one run, and the holds by which that order differs from asyncio's."""

import re
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from netra_sim.simulation.diagnosis import awaits_at, awaits_of
from netra_sim.simulation.schedule import CALLBACK, Entry, Hold, Strategy, number_of, owner_of

_DEFAULT_NAME = re.compile(r"Task-\d+")
_ROUNDING = 1e-9
MOST_SHOWN = 40
"""Characters of an argument in the name of a task."""


class Step(NamedTuple):
    """One step of a run.

    Attributes:
        task: the number of its task; `CALLBACK` for a plain callback.
        step: its number among the steps of the task, from 0.
        time: the virtual time at which it ran, in seconds.
        place: the line of its own coroutine at which the task was suspended before.
        is_choice: whether it is a task's, and another step was ready.
        is_new: whether the task was suspended at another await than before its last step.
    """

    task: int
    step: int
    time: float
    place: str
    is_choice: bool
    is_new: bool


class Span(NamedTuple):
    """Where a hold lasted: the indices of the first step that ran meanwhile and of the held step, and the hold."""

    began: int
    ended: int
    hold: Hold


class ScheduleLog:
    """The log of one run; hand it to a `VirtualTimeLoop`.

    Attributes:
        steps: all steps, in the order in which they ran.
        fingerprint: a hash over the number of the task and the instant of every step; equal runs have equal ones, in every
            process.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.fingerprint = 0
        self._names: dict[int, str] = {CALLBACK: "a callback of the loop"}
        self._became_ready: list[tuple[int, int]] = []  # for each arrival: the number of its task, the steps before it
        self._counts: Counter[int] = Counter()
        self._awaits: dict[int, tuple[object, ...]] = {}
        self._pauses: list[tuple[int, Hold]] = []  # each with the number of steps before it

    def __getstate__(self) -> dict[str, Any]:
        """Without the code of the program, so that the log of a run that has ended can go to another process."""
        return self.__dict__ | {"_awaits": {}}

    def name(self, task: int) -> str:
        """A task as its coroutine and arguments, such as ``book('ann')``, and its name if the program gave it one."""
        return self._names[task]

    @property
    def names(self) -> Mapping[int, str]:
        """The names of all tasks, and of `CALLBACK`."""
        return MappingProxyType(self._names)

    def watch(self, strategy: Strategy, clock: Callable[[], float]) -> Callable[[], Entry | None]:
        """Log what a strategy gets and hands out; returns the function to use in place of its `take`."""
        strategy.ready = _Queue(self._arrived)
        if not strategy.in_one_queue:
            strategy.tasks = _List(self._arrived)
        strategy.on_pause = self._paused
        take = strategy.take

        def logged() -> Entry | None:
            entry = take()
            if entry is None:
                return None
            number, now = number_of(entry), clock()
            if number >= 0 and not self._counts[number]:
                self._names[number] = _described(owner_of(entry))  # `asyncio.create_task` names a task after its making
            place, awaits = ("", ()) if number < 0 else (awaits_at(owner_of(entry)), awaits_of(owner_of(entry)))
            is_choice = number >= 0 and bool(strategy.ready or strategy.tasks)
            is_new = self._awaits.get(number) != awaits
            self._awaits[number] = awaits
            self.steps.append(Step(number, self._counts[number], now, place, is_choice, is_new))
            self._counts[number] += 1
            self.fingerprint = hash((self.fingerprint, number, now))
            return entry

        return logged

    def _arrived(self, entry: Entry) -> None:
        number = number_of(entry)
        if number not in self._names:
            self._names[number] = _described(owner_of(entry))
        self._became_ready.append((number, len(self.steps)))

    def _paused(self, hold: Hold) -> None:
        """A step pauses: it becomes ready when the pause is over, and not now."""
        self._pauses.append((len(self.steps), hold))
        arrivals = self._became_ready
        del arrivals[next(at for at in reversed(range(len(arrivals))) if arrivals[at][0] == hold.task)]

    def holds(self) -> list[Hold]:
        """The holds that turn asyncio's order into the logged one, in the order in which they begin."""
        ran = self._ran()
        arrivals, counts = deque(self._became_ready), Counter[int]()
        queue: deque[tuple[int, int]] = deque()
        holds = list(self._pauses)
        aside: set[int] = set()
        for index in range(len(self.steps)):
            while arrivals and arrivals[0][1] <= index:
                task = arrivals.popleft()[0]
                queue.append((task, counts[task]))
                counts[task] += 1
            while index not in aside and queue:
                key = queue.popleft()
                runs = ran.get(key, len(self.steps))
                if runs == index:
                    break
                aside.add(runs)
                holds.append((index, Hold(*key, runs - index)))
        return [hold for _, hold in sorted(holds, key=itemgetter(0))]

    def spans(self, holds: Iterable[Hold]) -> Iterator[Span]:
        """Where the holds of this run lasted, without those of steps that did not run."""
        ran = self._ran()
        for hold in holds:
            ended = ran.get((hold.task, hold.step))
            if ended is not None:
                yield Span(self._began(hold, ended), ended, hold)

    def _began(self, hold: Hold, ended: int) -> int:
        if not hold.is_pause:
            return max(0, ended - hold.length)
        began = self.steps[ended].time - hold.length / 1000
        return bisect_left(self.steps, began - _ROUNDING, hi=ended, key=attrgetter("time"))

    def _ran(self) -> dict[tuple[int, int], int]:
        """The index of each step, by the number of its task and its number there."""
        return {(step.task, step.step): index for index, step in enumerate(self.steps)}


class _Telling:
    """A queue or a list that tells what is appended."""

    def __init__(self, tell: Callable[[Entry], None]) -> None:
        super().__init__()
        self._tell = tell

    def append(self, entry: Entry, /) -> None:
        self._tell(entry)
        super().append(entry)  # type: ignore[misc]


class _Queue(_Telling, deque[Entry]):
    pass


class _List(_Telling, list[Any]):
    pass


def _described(task: Any) -> str:
    given = task.get_name()
    return _called(task) + ("" if _DEFAULT_NAME.fullmatch(given) else f" [{given}]")


def _called(task: Any) -> str:
    """The coroutine of a task with the plain values among its arguments; other arguments as their types."""
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", type(coroutine).__name__).rpartition("<locals>.")[2]
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return f"{name}()"
    code, values = frame.f_code, frame.f_locals
    shown = [_shown(values[one]) for one in code.co_varnames[: code.co_argcount] if one in values and one != "self"]
    return f"{name}({', '.join(shown)})"


def _shown(value: object) -> str:
    if value is None or isinstance(value, str | int | float | bytes):
        text = repr(value)
        return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
    return f"<{type(value).__name__}>"

"""Which ready step runs next: the strategies of a virtual-time loop, each written as a short text.

======================= ==============================================================================================
``fifo``                asyncio's own order
``random``              each ready task with the same probability
``sticky:P``            the task that ran last runs on with probability P, else as ``random``
``priorities:T.S,...``  the ready task with the highest drawn priority; task T drops to the lowest before its step S
``delays:T.S,...``      a task runs until it blocks, except that step S of task T goes to the back of the queue,
                        as often as it is named
``slow:T:M``            asyncio's order, except that task T is passed over before each step while up to M others run
``holds:T.S+M,...``     asyncio's order, except that step S of task T is passed over while M others run, without ``+M`` while
                        any can run, and with ``+Mms`` until so many milliseconds of virtual time are over
``pauses:P:M``          asyncio's order, except that tasks of the code under test pause for up to M milliseconds at some
                        of its awaits, which are a share P of all
======================= ==============================================================================================

Tasks are numbered in the order of their creation, and the steps of a task from 0. Plain callbacks keep their order among
themselves under every strategy, as asyncio documents.
"""

import math
import re
from asyncio import TimerHandle
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextvars import Context
from random import Random
from types import CodeType
from typing import Any, NamedTuple

from netra_sim.randomness import key, uniform
from netra_sim.simulation.diagnosis import await_under_test, place_of
from netra_sim.simulation.timers import run_handle

Entry = tuple[Context | None, Callable[..., object], Any]
"""For a task: its context, its wake-up, the future it waited for; or None, the `run` of its context, its step.

For anything else: None, `run_handle`, a handle.
"""

CALLBACK = -1
"""The number of a plain callback, where a task has its own number."""

_STEPS = r"(\d+\.\d+(,\d+\.\d+)*)?"
_HOLD = r"(-?\d{1,9}\.\d{1,9}(\+\d{1,18})?|\d{1,9}\.\d{1,9}\+\d{1,7}ms)"
_HOLDS = rf"({_HOLD}(,{_HOLD})*)?"
_SCHEDULE = re.compile(
    rf"fifo|random|sticky:(0|0?\.\d+)|priorities:{_STEPS}|delays:{_STEPS}|slow:\d+:[1-9]\d*|holds:{_HOLDS}"
    r"|pauses:(1|0?\.\d+):[1-9]\d{0,6}"
)

FAIR_STEPS = 50
"""Steps after which ``priorities`` and ``delays`` let the others run: code that polls with ``sleep(0)`` gets an answer."""

MOST_RANKED = 50
"""Ready tasks above which ``priorities`` goes on as ``sticky``: it looks at every ready task before each step."""

MOST_STEPS_IN_A_PAUSE = 2_000
"""Steps of others after which a pause ends: while code polls with ``sleep(0)``, virtual time stands still."""

FIRST_PAUSE = 0.5
"""Seconds after the beginning; a server that starts late refuses its first clients, and rightly so."""

FALLBACK_STICKINESS = 0.9
FOR_EVER = 1 << 62


def owner_of(entry: Entry) -> Any:
    """The task whose step an entry is; not to be called for a plain callback."""
    bound: Any = entry[2] if entry[0] is None else entry[1]
    return bound.__self__


def number_of(entry: Entry) -> int:
    """The number of the task whose step an entry is, in the order of creation; `CALLBACK` if it is no task's."""
    return CALLBACK if entry[1] is run_handle else getattr(owner_of(entry), "_number", CALLBACK)


def context_of(entry: Entry) -> Context:
    """The context in which a step runs."""
    context, callback, argument = entry
    if context is not None:
        return context
    step: Any = callback
    found: Context = argument._context if step is run_handle else step.__self__
    return found


class Hold(NamedTuple):
    """One deviation from asyncio's order.

    Attributes:
        task: the number of the task that is passed over; `CALLBACK` for plain callbacks.
        step: the number of its step, from 0.
        length: how many steps others make meanwhile; the hold ends earlier if no other step is ready.
        is_pause: whether the length is a number of milliseconds of virtual time instead.
    """

    task: int
    step: int
    length: int = FOR_EVER
    is_pause: bool = False

    def __str__(self) -> str:
        length = "" if self.length >= FOR_EVER else f"+{self.length}"
        return f"{self.task}.{self.step}{length}{'ms' * self.is_pause}"


def holds_text(holds: Iterable[Hold]) -> str:
    """The schedule that is asyncio's order with these holds."""
    return "holds:" + ",".join(map(str, holds))


class Strategy:
    """Holds the ready steps and hands them out.

    Attributes:
        ready: the plain callbacks; of a strategy `in_one_queue` all steps, in asyncio's order.
        tasks: the steps of tasks; of a strategy `in_one_queue` those put aside.
        call_later: calls back with an argument after so many milliseconds of virtual time, in a context; the loop sets it.
        clock: the virtual time in seconds; the loop sets it.
        on_pause: called with each hold that is a pause, as it begins.
    """

    in_one_queue = False
    call_later: Callable[[int, Callable[[int], None], int, Context], TimerHandle]
    clock: Callable[[], float]

    def __init__(self) -> None:
        self.ready: deque[Entry] = deque()
        self.tasks: list[Any] = []
        self.on_pause: Callable[[Hold], object] = bool

    def take(self) -> Entry | None:
        """Remove a ready step and return it; there is one. None if all of them pause."""
        raise NotImplementedError

    def end_pauses(self) -> None:
        """Let all tasks that pause go on now, and let no task pause any more."""


class Sticky(Strategy):
    """The task that ran last runs on with some probability; else each ready task is as likely.

    A uniform draw loses a factor of two for every step that one task must make alone; this loses little. O(1) a step.

    Attributes:
        stickiness: the probability.
        last: the number of the task that ran last; `CALLBACK` if none did.
    """

    def __init__(self, draw: Callable[[], float], stickiness: float) -> None:
        super().__init__()
        self._draw, self.stickiness, self.last = draw, stickiness, CALLBACK
        self._scale = 1.0 / (1.0 - stickiness)

    def take(self) -> Entry:
        """See `Strategy`."""
        tasks = self.tasks
        if not tasks:
            self.last = CALLBACK
            return self.ready.popleft()
        drawn = self._draw()
        if self.last >= 0 and number_of(tasks[-1]) == self.last:
            if drawn < self.stickiness:
                return tasks.pop()  # type: ignore[no-any-return]
            drawn = (drawn - self.stickiness) * self._scale
        index = int(drawn * (len(tasks) + len(self.ready)))
        if index >= len(tasks):
            self.last = CALLBACK
            return self.ready.popleft()
        entry: Entry = tasks[index]
        tasks[index] = tasks[-1]
        del tasks[-1]
        self.last = number_of(entry)
        return entry


class Priorities(Strategy):
    """Probabilistic concurrency testing: the ready task with the highest priority runs; drops happen at drawn steps.

    Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs",
    ASPLOS 2010: with n tasks and N steps to drop at, a bug of depth D is found with a probability of 1 / (n N^(D-1)) at
    least, for D - 1 drops. Here a task also drops below all others after `FAIR_STEPS` steps, which the paper does not do and
    which bounds every wait. Above `MOST_RANKED` ready tasks the bound does not hold.
    """

    def __init__(self, draw: Callable[[], float], drops: Iterable[tuple[int, int]]) -> None:
        super().__init__()
        self._draw, self._floor, self._drops = draw, 0.0, frozenset(drops)
        self._ranks: dict[int, float] = {}
        self._steps: Counter[int] = Counter()
        self._drops_at: Counter[int] = Counter()
        self._crowded = Sticky(draw, FALLBACK_STICKINESS)

    def take(self) -> Entry:
        """See `Strategy`."""
        tasks, ready = self.tasks, self.ready
        if len(tasks) > MOST_RANKED:
            self._crowded.ready, self._crowded.tasks = ready, tasks
            return self._crowded.take()
        while True:
            best, number, rank = -1, CALLBACK, self._rank(CALLBACK) if ready else -math.inf
            for index, entry in enumerate(tasks):
                if (its := self._rank(one := number_of(entry))) > rank:
                    best, number, rank = index, one, its
            step = self._steps[number]
            if step < self._drops_at[number] or (
                (number, step) not in self._drops and step % FAIR_STEPS < FAIR_STEPS - 1
            ):
                break
            self._drops_at[number] = step + 1
            self._floor -= 1.0
            self._ranks[number] = self._floor
        self._steps[number] += 1
        return tasks.pop(best) if best >= 0 else ready.popleft()

    def _rank(self, number: int) -> float:
        rank = self._ranks.get(number)
        if rank is None:
            rank = self._ranks[number] = self._draw()
        return rank


class Delays(Strategy):
    """A task runs until it blocks; then comes the next in asyncio's order. A delayed task goes to the back of the queue.

    Delay bounding: Emmi, Qadeer and Rakamaric, "Delay-bounded scheduling", POPL 2011. A task that runs on for `FAIR_STEPS`
    steps lets the others run.
    """

    in_one_queue = True

    def __init__(self, delayed: Iterable[tuple[int, int]]) -> None:
        super().__init__()
        self._delayed = Counter(delayed)
        self._steps: Counter[int] = Counter()
        self._last, self._in_a_row = CALLBACK, 0

    def take(self) -> Entry:
        """See `Strategy`."""
        ready = self.ready
        while True:
            runs_on = self._last >= 0 and self._in_a_row < FAIR_STEPS and number_of(ready[-1]) == self._last
            number = self._last if runs_on else number_of(ready[0])
            step = number, self._steps[number]
            if not self._delayed[step] or len(ready) == 1:
                break
            self._delayed[step] -= 1
            if not runs_on:
                ready.rotate(-1)
            self._last = CALLBACK
        self._steps[number] += 1
        self._in_a_row = self._in_a_row + 1 if runs_on else 0
        self._last = number
        return ready.pop() if runs_on else ready.popleft()


class _Pause(NamedTuple):
    """A step that waits for a timer, and how many steps had been taken before."""

    entry: Entry
    timer: TimerHandle
    began: int


class Holds(Strategy):
    """Asyncio's order, except that some steps are passed over for a while."""

    in_one_queue = True

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        super().__init__()
        self._holds = {(hold.task, hold.step): hold for hold in holds if hold.length}
        self._steps: Counter[int] = Counter()
        self._taken = 0
        self._pauses: dict[int, _Pause] = {}  # by the number of the task, in the order in which they began
        self._resumed: set[int] = set()
        self._may_pause = True

    def take(self) -> Entry | None:
        """See `Strategy`."""
        ready, aside = self.ready, self.tasks
        self._taken += 1
        if self._pauses:
            self._end_pauses_before(self._taken - MOST_STEPS_IN_A_PAUSE)
        if not aside or min(aside, key=_first)[0] > self._taken:
            while ready:
                entry = ready.popleft()
                hold = self._next_hold(entry)
                if hold is None:
                    return entry
                if hold.is_pause:
                    self._begin_pause(entry, hold)
                else:
                    aside.append((self._taken + hold.length, entry))
        return aside.pop(aside.index(min(aside, key=_first)))[1] if aside else None

    def end_pauses(self) -> None:
        """See `Strategy`."""
        self._may_pause = False
        self._end_pauses_before(math.inf)

    def _next_hold(self, entry: Entry) -> Hold | None:
        number = number_of(entry)
        if number in self._resumed:
            self._resumed.remove(number)
            return None
        step = self._steps[number]
        self._steps[number] = step + 1
        hold = self.hold(entry, number, step)
        return None if hold is not None and hold.is_pause and not self._may_pause else hold

    def _begin_pause(self, entry: Entry, hold: Hold) -> None:
        self.on_pause(hold)
        timer = self.call_later(hold.length, self._end_pause, hold.task, context_of(entry))
        self._pauses[hold.task] = _Pause(entry, timer, self._taken)

    def _end_pause(self, number: int) -> None:
        pause = self._pauses.pop(number)
        pause.timer.cancel()
        self._resumed.add(number)
        self.ready.append(pause.entry)

    def _end_pauses_before(self, taken: float) -> None:
        """End the pauses that began when at most so many steps had been taken."""
        for number, pause in list(self._pauses.items()):
            if pause.began > taken:
                return
            if pause.timer.cancelled():
                del self._pauses[number]  # the task's process is dead
            else:
                self._end_pause(number)

    def hold(self, entry: Entry, number: int, step: int) -> Hold | None:
        """The hold of a step, if it has one.

        Args:
            entry: the step.
            number: of its task.
            step: its number among those of the task.
        """
        return self._holds.get((number, step))


class Slow(Holds):
    """Asyncio's order, except that one task is slow: before each of its steps others make some, up to ``longest``.

    One slow participant is what many races need, however many awaits they need it for.
    """

    def __init__(self, draw: Callable[[], float], task: int, longest: int) -> None:
        super().__init__()
        self._draw, self._task, self._longest = draw, task, longest

    def hold(self, entry: Entry, number: int, step: int) -> Hold | None:
        """See `Holds`."""
        if number != self._task or (drawn := 2.0 * self._draw()) < 1.0:
            return None
        return Hold(number, step, int(self._longest ** (drawn - 1.0)))


class Pauses(Holds):
    """Asyncio's order, except that tasks of the code under test pause at some of its awaits.

    Users who act at different times meet only if one of them is held while time goes on. A pause stands for an await that
    takes longer than usual, as on a busy machine. The seed decides which awaits are slow, by their places in the code. So
    the tasks of all users pause at the same awaits, and nobody has to know the program's steps beforehand.

    A task pauses each second time that it passes a slow await, on average. After two pauses, each further pause halves how
    often it does so. A race needs few pauses, and a long-lived task with many of them would miss right deadlines.

    Args:
        draw: decides when a task pauses, and for how long.
        seed: decides which awaits are slow.
        share: how many of all awaits are slow, from 0 to 1.
        longest: milliseconds that a pause takes at most.
    """

    def __init__(self, draw: Callable[[], float], seed: int, share: float, longest: int) -> None:
        super().__init__()
        self._draw, self._seed, self._share, self._longest = draw, seed, share, longest
        self._times: Counter[int] = Counter()  # how often each task has paused
        self._slow: dict[tuple[int, int], tuple[CodeType, bool]] = {}  # with the code, as no other one may get its id

    def hold(self, entry: Entry, number: int, step: int) -> Hold | None:
        """See `Holds`."""
        if number < 0 or self.clock() < FIRST_PAUSE or not self._is_slow(owner_of(entry)):
            return None
        if self._draw() >= 0.5 ** max(1, self._times[number]):
            return None
        self._times[number] += 1
        return Hold(number, step, round(self._longest ** self._draw()), is_pause=True)

    def _is_slow(self, task: Any) -> bool:
        frame = await_under_test(task)
        if frame is None:
            return False
        at = id(frame.f_code), frame.f_lasti
        known = self._slow.get(at)
        if known is None:
            known = self._slow[at] = frame.f_code, uniform(key(self._seed, place_of(frame))) < self._share
        return known[1]


def _first(held: tuple[int, Entry]) -> int:
    return held[0]


IN_THE_LOOP = {"fifo": "holds:", "random": "sticky:0"}
"""What the loop does without a strategy, and the schedule that gives the same order with one."""


def refuse_unless_schedule(text: str) -> None:
    """Refuse what is no schedule.

    Raises:
        ValueError: the text is none.
    """
    if not _SCHEDULE.fullmatch(text):
        raise ValueError(
            f"the order is fifo, random, or a schedule such as sticky:0.75 or holds:3.12+5, and not {text!r}"
        )


def strategy_of(schedule: str, seed: int) -> Strategy:
    """The strategy of a schedule.

    Args:
        schedule: see the table above.
        seed: determines what the schedule leaves open.

    Raises:
        ValueError: the text is no schedule.
    """
    refuse_unless_schedule(schedule)
    kind, _, settings = IN_THE_LOOP.get(schedule, schedule).partition(":")
    draw = Random(seed).random
    parts = settings.split(",") if settings else []
    match kind:
        case "sticky":
            return Sticky(draw, float(settings))
        case "priorities":
            return Priorities(draw, map(_step, parts))
        case "delays":
            return Delays(map(_step, parts))
        case "slow":
            task, longest = map(int, settings.split(":"))
            return Slow(draw, task, longest)
        case "pauses":
            share, milliseconds = settings.split(":")
            return Pauses(draw, seed, float(share), int(milliseconds))
        case _:
            return Holds(parse_holds(parts))


def parse_holds(texts: Iterable[str]) -> list[Hold]:
    """Holds from texts such as ``3.12+5`` and ``3.12+20ms``."""
    split = (text.partition("+") for text in texts)
    return [
        Hold(*_step(step), int(length.removesuffix("ms")) if length else FOR_EVER, length.endswith("ms"))
        for step, _, length in split
    ]


def _step(text: str) -> tuple[int, int]:
    task, _, step = text.partition(".")
    return int(task), int(step)


def steps_text(steps: Iterable[tuple[int, int]]) -> str:
    """Steps as a schedule names them, such as ``3.12,4.0``."""
    return ",".join(f"{task}.{step}" for task, step in steps)

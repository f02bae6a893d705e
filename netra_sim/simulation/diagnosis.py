"""Errors that end a simulation, and the report of which task waits on what, and where."""

import asyncio
import gc
import inspect
import linecache
import re
from asyncio import all_tasks
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from netra_sim.exceptions import NetraSimError

_DIFFERS = re.compile(r"\S*<locals>\.| \(such as '[^']*'\)(?= at )| at 0x[0-9a-f]+$| 'Task-\d+'$")
_MOST_IN_A_LINE = 3
_STEPS_OF_GENERATORS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable"})
"""Types of what `__anext__`, `asend`, `athrow`, `aclose` and `anext` return."""

_OF_THEIR_CALLERS = frozenset(
    {
        *("asyncio", "contextlib", "concurrent", "anyio", "sniffio"),
        *("uvicorn", "starlette", "fastapi", "sse_starlette", "websockets", "wsproto", "aiohttp", "hypercorn"),
        *("httpx", "httpcore", "h11", "redis", "openai"),
    }
)
"""Packages with awaits that count as awaits of the code that calls them.

A pause in a task of their own, such as one that keeps a connection alive, would be a search for their defects.
"""

_OF_THE_SIMULATION = ("netra_sim.simulation.", "netra_sim.clients.", "netra_sim.services.", "netra_sim.recording.")
"""Modules of the simulation itself, which is not under test."""

_PRIMITIVES = (asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue, asyncio.Barrier)


class DeadlockError(NetraSimError, RuntimeError):
    """Nothing is ready and no timer runs, so the remaining tasks wait for ever.

    Attributes:
        report: which task waits on what, where.
        summary: the error in one line, the same in every process.
    """

    how = "deadlock"

    def __init__(self, now: float, report: str) -> None:
        super().__init__(f"deadlock at {now:.6f} s of virtual time; nothing is ready and no timer runs:\n{report}")
        self.report = report
        self.summary = f"deadlock at {now:.6f} s of virtual time: {_in_one_line(report)}"


class VirtualTimeLimitError(NetraSimError, RuntimeError):
    """The virtual time limit was reached, or very many steps ran without any progress of virtual time.

    Attributes:
        how: "time limit" or "spinning".
        report: which task waits on what, where.
        summary: the error in one line, the same in every process.
    """

    def __init__(self, reason: str, report: str, *, is_spinning: bool = False) -> None:
        super().__init__(f"{reason}:\n{report}")
        self.how = "spinning" if is_spinning else "time limit"
        self.report = report
        self.summary = f"{reason}: {_in_one_line(report)}"


class HarnessError(NetraSimError, RuntimeError):
    """A part of the simulation itself failed, such as a fault, a probe or a simulated user; there is no valid History."""


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn an error in the block into a `HarnessError` that names this part of the simulation."""
    try:
        yield
    except Exception as error:
        raise harness_error(what, error) from error


def harness_error(what: str, error: BaseException) -> HarnessError:
    """An error as a `HarnessError` that names the part that failed; if parts are nested, the innermost one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (
        error
        if isinstance(error, HarnessError)
        else HarnessError(f"{what} failed with {type(error).__name__}: {error}")
    )


def waits_report(loop: asyncio.AbstractEventLoop, limit: int = 20) -> str:
    """The suspended tasks of a loop, with equal waits counted together, the most frequent first.

    Each line names the task, the innermost line outside of asyncio at which it is suspended, and what it waits on.
    """
    groups: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], str] = {}
    for task in sorted(all_tasks(loop), key=lambda task: task.get_name()):
        where, what = _wait_of(task)
        group = (getattr(task.get_coro(), "__qualname__", "?"), where, what)
        groups[group] += 1
        example.setdefault(group, task.get_name())
    lines = [
        f"  {count} x {coroutine} (such as {example[(coroutine, where, what)]!r}) at {where} waits on {what}"
        for (coroutine, where, what), count in groups.most_common(limit)
    ]
    if len(groups) > limit:
        lines.append(f"  and {len(groups) - limit} more kinds of wait")
    return "\n".join(lines) or "  no task is left"


def _in_one_line(report: str) -> str:
    """The most frequent waits of a report, without what differs from run to run: the names of tasks and the addresses."""
    waits: Counter[str] = Counter()
    for line in report.splitlines():
        count, times, wait = _DIFFERS.sub("", line.strip()).partition(" x ")
        waits[wait if times else count] += int(count) if times else 1
    shown = [(f"{count} x " if count > 1 else "") + wait for wait, count in waits.most_common(_MOST_IN_A_LINE)]
    more = ["and others"] if len(waits) > _MOST_IN_A_LINE else []
    return "; ".join(shown + more)


def awaits_at(task: asyncio.Task[Any]) -> str:
    """The line of a task's own coroutine at which it is suspended, such as ``seats.py:19 (await paid(user))``."""
    return next((_place(frame) for frame in _frames(task)), "")


def awaits_of(task: asyncio.Task[Any]) -> tuple[tuple[CodeType, int], ...]:
    """The awaits at which a task is suspended, from the outermost, each as the code and the place in it."""
    return tuple((frame.f_code, frame.f_lasti) for frame in _frames(task))


def await_under_test(task: asyncio.Task[Any]) -> FrameType | None:
    """The frame of the code under test in which a task is suspended; None if other code called asyncio."""
    for frame in reversed([*_frames(task, in_steps_of_generators=True)]):
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _OF_THEIR_CALLERS and not module.startswith("netra_sim.runtime."):
            return None if module.startswith(_OF_THE_SIMULATION) else frame
    return None


def place_of(frame: FrameType) -> str:
    """The module and the line of a frame, which are the same in every process and for every version of Python."""
    return f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"


def _wait_of(task: asyncio.Task[Any]) -> tuple[str, str]:
    """The innermost line outside of asyncio at which a task is suspended, and what it waits on there."""
    where, primitive = "its beginning", ""
    for frame in _frames(task):
        owner = frame.f_locals.get("self")
        if isinstance(owner, _PRIMITIVES):
            primitive = f"{type(owner).__name__} at {id(owner):#x}"
        elif not frame.f_globals.get("__name__", "").startswith("asyncio."):
            where, primitive = _place(frame), ""
    return where, primitive or _awaited(task)


def _frames(task: asyncio.Task[Any], *, in_steps_of_generators: bool = False) -> Iterator[FrameType]:
    """The frames of a suspended task, from the outermost.

    By default they end at an asynchronous generator. So the tasks that wait inside of one are alike in the report of a
    deadlock, though each waits on its own lock.
    """
    awaited: Any = task.get_coro()
    while awaited is not None:
        if (frame := _frame(awaited)) is not None:
            yield frame
        awaited = _awaited_by(awaited, in_steps_of_generators)


def _awaited_by(awaited: Any, in_steps_of_generators: bool) -> Any:
    """What a coroutine, a generator, or a step of an asynchronous generator waits on; None if that cannot be seen."""
    if in_steps_of_generators and type(awaited).__name__ in _STEPS_OF_GENERATORS:  # they have no attribute for it
        inner = gc.get_referents(awaited)
        return next(
            (one for one in inner if inspect.isasyncgen(one) or type(one).__name__ in _STEPS_OF_GENERATORS), None
        )
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        if (found := getattr(awaited, name, None)) is not None:
            return found
    return None


def _awaited(task: asyncio.Task[Any]) -> str:
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        return "its next turn"
    if isinstance(waiter, asyncio.Task):
        return f"task {waiter.get_name()!r}"
    return "several tasks (gather)" if type(waiter).__name__ == "_GatheringFuture" else "a future"


def _frame(awaited: Any) -> FrameType | None:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        frame = getattr(awaited, name, None)
        if isinstance(frame, FrameType):
            return frame
    return None


def _place(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    source = linecache.getline(path, frame.f_lineno).strip()
    return f"{path.replace(chr(92), '/').rsplit('/', 1)[-1]}:{frame.f_lineno}" + (f" ({source})" if source else "")

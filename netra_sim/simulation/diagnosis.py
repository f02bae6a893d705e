"""Who waits on what, where: what a deadlock, a time limit or a hang is explained with."""

import asyncio
import linecache
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from netra_sim.exceptions import NetraSimError

_OF_THIS_PROCESS = re.compile(r" at 0x[0-9a-f]+|(?<=Task)-\d+")
_LONGEST_TEXT = 300
_PRIMITIVES = (asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue, asyncio.Barrier)


class DeadlockError(NetraSimError, RuntimeError):
    """Tasks are left, nothing is ready and no timer runs: they wait for each other, or for nobody.

    Attributes:
        report: which task waits on what, where.
    """

    how = "deadlock"

    def __init__(self, now: float, report: str) -> None:
        super().__init__(f"deadlock at {now:.6f} s of virtual time; nothing is ready and no timer runs:\n{report}")
        self.report = report


class VirtualTimeLimitError(NetraSimError, RuntimeError):
    """The virtual time limit was reached, or time stood still for very many steps.

    Attributes:
        how: "time limit" or "spinning".
        report: which task waits on what, where.
    """

    def __init__(self, reason: str, report: str, *, is_spinning: bool = False) -> None:
        super().__init__(f"{reason}:\n{report}")
        self.how = "spinning" if is_spinning else "time limit"
        self.report = report


class HarnessError(NetraSimError, RuntimeError):
    """A part of the simulation itself failed: a fault, a probe, a simulated user. There is no History to be trusted."""


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Raise an error of this part of the simulation as a `HarnessError` that names it."""
    try:
        yield
    except Exception as error:
        raise harness_error(what, error) from error


def harness_error(what: str, error: BaseException) -> HarnessError:
    """The error of a part of the simulation, of what is innermost if several parts handed it on."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, HarnessError) else HarnessError(f"{what} failed with {_told(error)}")


def process_independent(text: str) -> str:
    """A text without addresses and the numbers of nameless tasks, which differ from process to process."""
    return _OF_THIS_PROCESS.sub("", text)


def loop_error(context: Mapping[str, Any]) -> tuple[str, str]:
    """The type of an error that reached the event loop, and where and what it was, the same in every process.

    Args:
        context: what asyncio gives to a loop's exception handler.
    """
    error, task, handle = (context.get(name) for name in ("exception", "task", "handle"))
    what = (
        "Exception in a callback" if handle is not None else str(context.get("message", "Unhandled error")).lstrip("_")
    )
    if handle is None and task is None:
        task = context.get("future")
    source = getattr(handle, "_callback", None) if task is None else getattr(task, "get_coro", lambda: None)()
    where = getattr(source, "__qualname__", "")
    parts = [what, where, "" if error is None else _told(error)]
    text = process_independent(": ".join(part for part in parts if part))
    return "" if error is None else type(error).__name__, text[:_LONGEST_TEXT]


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def waits_report(loop: asyncio.AbstractEventLoop, limit: int = 20) -> str:
    """All suspended tasks of a loop, alike ones counted together, most frequent first.

    Each line tells the task, the innermost line of its own code that it is suspended at, and what it waits on.
    """
    groups: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], str] = {}
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
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


def _wait_of(task: asyncio.Task[Any]) -> tuple[str, str]:
    """The innermost place outside of asyncio at which a task is suspended, and what it waits on there."""
    where, primitive = "its beginning", ""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = _frame(awaited)
        if frame is not None:
            owner = frame.f_locals.get("self")
            if isinstance(owner, _PRIMITIVES):
                primitive = f"{type(owner).__name__} at {id(owner):#x}"
            elif not frame.f_globals.get("__name__", "").startswith("asyncio."):
                where, primitive = _place(frame), ""
        awaited = next(
            (
                inner
                for name in ("cr_await", "gi_yieldfrom", "ag_await")
                if (inner := getattr(awaited, name, None)) is not None
            ),
            None,
        )
    return where, primitive or _awaited(task)


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

"""Shows the code under test the clocks of its simulated host, and lets it sleep in virtual time."""

import datetime
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import time_machine

from netra_sim.simulation.hosts.gate import Member, here
from netra_sim.simulation.hosts.rebinding import rebound, replaced
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop
from netra_sim.simulation.virtual_time import EPOCH

_NANOSECONDS = 1_000_000_000


@contextmanager
def virtual_clocks(loop: WorkerThreadLoop, offset_of: Callable[[], float]) -> Generator[None]:
    """Make the clocks of `time` and `datetime` virtual for the threads of a loop; to other threads they are real.

    The wall clock is `EPOCH` plus the loop's time plus the host's offset, in the time zone UTC. The monotonic clock and
    `perf_counter` are the loop's time, as on asyncio's own loops. CPU clocks show the seconds for which the loop was busy.
    `time.sleep` blocks the calling thread in virtual time.

    The library time-machine changes the wall clock within CPython, however a program imported it. The other functions are
    replaced in all modules; whoever keeps one elsewhere, such as in a default argument, has the real one.

    Args:
        loop: the loop.
        offset_of: the seconds by which the wall clock of the running host is ahead.
    """
    began = datetime.datetime.fromtimestamp(EPOCH, datetime.UTC)

    def wall_ns() -> int:
        if not _is_in(loop):
            return time_machine.escape_hatch.time.time_ns()
        return int(EPOCH) * _NANOSECONDS + round((loop.time() + offset_of()) * _NANOSECONDS)

    with ExitStack() as undo:
        traveller = undo.enter_context(time_machine.travel(began, tick=False))
        traveller.time_ns = wall_ns  # type: ignore[method-assign]
        virtual = _stand_ins(loop)
        undo.enter_context(rebound({getattr(time, name): stand_in for name, stand_in in virtual.items()}))
        for name, stand_in in virtual.items():
            undo.enter_context(replaced(time, name, stand_in))
        yield


def _stand_ins(loop: WorkerThreadLoop) -> dict[str, Callable[..., Any]]:
    """The functions that replace those of `time`, by name."""

    def sleep(seconds: float, /) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        loop.sleep_here(seconds)

    def clock_gettime(clock: int, /) -> float:
        return time.time() if clock == time.CLOCK_REALTIME else loop.time()

    def clock_gettime_ns(clock: int, /) -> int:
        return time.time_ns() if clock == time.CLOCK_REALTIME else round(loop.time() * _NANOSECONDS)

    stand_ins: dict[str, Callable[..., Any]] = {
        "sleep": sleep,
        "ctime": lambda seconds=None, /: real_ctime(time.time() if seconds is None else seconds),
        "asctime": lambda moment=None, /: real_asctime(time.localtime() if moment is None else moment),
    }
    real_ctime, real_asctime = time.ctime, time.asctime
    if hasattr(time, "clock_gettime"):
        stand_ins |= {"clock_gettime": clock_gettime, "clock_gettime_ns": clock_gettime_ns}
    for names, read in (
        (("monotonic", "perf_counter"), loop.time),
        (("process_time", "thread_time"), lambda: loop.busy),
    ):
        for name in names:
            stand_ins[name] = read
            stand_ins[f"{name}_ns"] = lambda read=read: round(read() * _NANOSECONDS)
    return {
        name: _in(loop, getattr(time, name), stand_in) for name, stand_in in stand_ins.items() if hasattr(time, name)
    }


def _in(loop: WorkerThreadLoop, real: Callable[..., Any], stand_in: Callable[..., Any]) -> Callable[..., Any]:
    """The stand-in for the threads of a loop, and the real function for others."""

    @wraps(real)
    def called(*args: Any) -> Any:
        return stand_in(*args) if _is_in(loop) else real(*args)

    return called


def _is_in(loop: WorkerThreadLoop) -> bool:
    member: Member | None = here.member
    return member is not None and member.gate.loop is loop

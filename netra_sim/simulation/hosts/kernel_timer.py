"""Timers of the virtual operating systems: they belong to no program, and cost less than those of asyncio."""

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from netra_sim.simulation.timers import run_handle

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop


class KernelEvent:
    """Something that happens once; subclasses say in `_run` what. It must raise no exception."""

    __slots__ = ()

    _cancelled = False
    _context = Context()

    def schedule(self, loop: "VirtualTimeLoop", when: float) -> None:
        """Let it happen at a virtual time; an instant that is past is now."""
        if when <= loop._now:
            loop._ready.append((None, run_handle, self))
        else:
            loop._add_timer(when, self)

    def _run(self) -> None:
        raise NotImplementedError


class KernelTimer(KernelEvent):
    """Calls back once at a virtual time; in place of an `asyncio.TimerHandle` for what raises no exception.

    Args:
        loop: the clock.
        when: an instant; one that is past is now.
        act: what to call.
        args: its arguments.
    """

    __slots__ = ("_act", "_args", "_cancelled", "_loop")

    def __init__(self, loop: "VirtualTimeLoop", when: float, act: Callable[..., object], *args: object) -> None:
        self._loop = loop
        self._act = act
        self._args = args
        self._cancelled = False
        self.schedule(loop, when)

    def cancel(self) -> None:
        """Do not call back."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it does not call back any more."""
        return self._cancelled

    def _run(self) -> None:
        self._loop.kernel_steps += 1
        self._act(*self._args)

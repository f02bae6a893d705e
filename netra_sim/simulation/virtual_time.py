"""Makes a virtual-time loop with an exact or a coarse clock, and runs a coroutine on it."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from netra_sim.runtime import run
from netra_sim.simulation.coarse_loop import CoarseClockLoop
from netra_sim.simulation.loop import VirtualTimeLoop

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""The wall-clock time at which a simulation begins, in seconds since 1970."""


def new_virtual_loop(*, tick: float = 0.0, **options: Any) -> VirtualTimeLoop:
    """Make a loop in virtual time.

    Args:
        tick: the resolution of the clock, in seconds, for a `CoarseClockLoop`; 0 for an exact clock.
        options: the other arguments of `VirtualTimeLoop`.
    """
    return CoarseClockLoop(tick=tick, **options) if tick else VirtualTimeLoop(**options)


def run_virtual(coroutine: Coroutine[Any, Any, T], **options: Any) -> T:
    """Run a coroutine on a new loop in virtual time; the options are those of `new_virtual_loop`."""
    return run(coroutine, loop_factory=lambda: new_virtual_loop(**options))

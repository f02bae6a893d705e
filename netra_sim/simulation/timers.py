"""Timers as the virtual-time loops keep them: a TimerHandle, or the future of a sleep with its result."""

from collections.abc import Sequence
from typing import Any


class Sleeper:
    """The handle of a sleep; cancelling it does nothing, as the loop skips a sleep with a future that is done."""

    __slots__ = ()

    cancel = bool  # a builtin that does nothing costs less than a Python function

    def cancelled(self) -> bool:
        """Return False: only the future is ever cancelled."""
        return False


SLEEPER = Sleeper()


def each_timer(timers: Any) -> Sequence[Any]:
    """The timers of one instant, which the loop keeps as one timer or as a list."""
    return timers if type(timers) is list else (timers,)


def is_dead(timer: Any) -> bool:
    """Whether a timer is cancelled, or the future of a sleep is done."""
    return bool(timer[0].done() if type(timer) is tuple else timer._cancelled)


def run_handle(handle: Any) -> None:
    """Run the callback of a handle that is not cancelled."""
    if not handle._cancelled:
        handle._run()

"""A virtual-time loop on which the users take turns: those who act at the same instant act one after the other."""

from asyncio import events
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from heapq import heappush
from typing import Any

from netra_sim.simulation.loop import VirtualTimeLoop

TURN: ContextVar[int] = ContextVar("netra_sim.turn", default=-1)
"""The number of the user whose turn a step belongs to; -1 for the server and everything else, whose turn comes first."""


class TurnsLoop(VirtualTimeLoop):
    """A `VirtualTimeLoop` in "fifo" order for users who do not meet within an instant.

    Of the timers of one instant, those of the user with the lowest number fire first. Everything that follows from them at
    that instant has run before those of the next user fire. So what a user does at an instant does not depend on who else
    acts then, as long as users share nothing, and a simulation of some of the users gives these the same History.

    A timer belongs to the user in whose context it was made; see `TURN`.

    Attributes:
        shared_instant: the last instant at which several timers were due, in seconds; -1 before the first.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(order="fifo", **options)
        self.shared_instant = -1.0
        self._sorted: list[Any] | None = None  # timers that wait for their turn, by turns

    def call_in_turn(self, number: int, act: Callable[..., object], *args: object) -> None:
        """Call back at this instant, in the turn of a user."""
        context = copy_context()
        context.run(TURN.set, number)
        self._add_in_turn(act, args, context)

    async def next_turn(self) -> None:
        """Wait for the turn of the current user at this instant."""
        turn = self.create_future()
        self._add_in_turn(turn.set_result, (None,), copy_context())
        await turn

    def _add_in_turn(self, act: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._add_timer(self._now, events.TimerHandle(self._now, act, args, self, context))
        self._sorted = None

    def _fire(self, when: float, timers: Any) -> None:
        """Fire those timers of an instant whose turn is next, and put the others back."""
        if type(timers) is not list:
            super()._fire(when, timers)
            return
        self.shared_instant = when
        if timers is not self._sorted:
            timers.sort(key=_turn_of)
        turn = _turn_of(timers[0])
        count = next((place for place, timer in enumerate(timers) if _turn_of(timer) != turn), len(timers))
        group = timers[:count]
        del timers[:count]
        super()._fire(when, group)
        if timers:
            self._timers_sharing -= 1  # the first of those put back follows no other timer
            self._timers[when] = self._sorted = timers
            heappush(self._due, when)


def _turn_of(timer: Any) -> int:
    if type(timer) is not tuple:
        return int(timer._context.get(TURN, -1))
    # A sleep: what its future wakes runs in the context of the sleeping task.
    wakes = timer[0]._callbacks
    return int(wakes[0][1].get(TURN, -1)) if wakes else -1

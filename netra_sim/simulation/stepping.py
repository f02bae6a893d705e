"""How a virtual-time loop runs the steps that are ready: the frequent orders inlined, the others by a `Strategy`."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.simulation.schedule import CALLBACK, IN_THE_LOOP, number_of

RunReady = Callable[[Any, int, Sequence[float]], None]
"""Runs at most so many ready steps of a loop, and charges its `step_cost` for each.

Timers of the given instants that are past after a step fire before the next step.
"""


def runner_of(order: str) -> RunReady:
    """The function that runs the ready steps in this order."""
    return run_drawn if order in IN_THE_LOOP else run_sticky if order.startswith("sticky") else run_taken


def run_drawn(loop: Any, most: int, due: Sequence[float]) -> None:
    """Each ready task is as likely to run next; without tasks of their own, in asyncio's order."""
    ready, tasks, draw, cost = loop._ready, loop._ready_tasks, loop._draw, loop._step_cost
    next_ready, left = ready.popleft, most
    try:
        while left and (ready or tasks):
            left -= 1
            if len(tasks) == 1 and not ready:
                draw()  # one draw for each step, however many tasks are ready
                context, callback, argument = tasks.pop()
            elif tasks and (index := int(draw() * (len(tasks) + len(ready)))) < len(tasks):
                context, callback, argument = tasks[index]
                tasks[index] = tasks[-1]  # no local variable: it would keep the task alive
                del tasks[-1]
            else:
                context, callback, argument = next_ready()
            if cost:
                loop._now += cost
                loop.busy += cost
            if context is None:
                callback(argument)
            else:
                context.run(callback, argument)
            if loop._stopping:
                return
            if cost and due and due[0] <= loop._now:
                _fire_first(loop)
    finally:
        loop.steps += most - left


def run_sticky(loop: Any, most: int, due: Sequence[float]) -> None:
    """The task that ran last runs on with some probability; else each ready task is as likely. See `Sticky`.

    The number of a task is read as `number_of` reads it, without a function call for each step.
    """
    ready, tasks, draw, cost = loop._ready, loop._ready_tasks, loop._draw, loop._step_cost
    trail, sticky, next_ready, left = loop.trail, loop._strategy, ready.popleft, most
    sticks, last = sticky.stickiness, sticky.last
    scale = 1.0 / (1.0 - sticks)
    try:
        while left and (ready or tasks):
            left -= 1
            # One draw for each step while a task is ready, as `run_drawn` does.
            index = 0
            if tasks:
                drawn, runs_on = draw(), False
                if sticks and last >= 0:
                    context, callback, argument = tasks[-1]
                    if getattr((callback if context is not None else argument).__self__, "_number", CALLBACK) == last:
                        runs_on = drawn < sticks
                        drawn = (drawn - sticks) * scale
                index = len(tasks) - 1 if runs_on else int(drawn * (len(tasks) + len(ready)))
            if index < len(tasks):
                context, callback, argument = tasks[index]
                tasks[index] = tasks[-1]
                del tasks[-1]
                # The task counts, and not its context: tasks may share one.
                last = getattr((callback if context is not None else argument).__self__, "_number", CALLBACK)
                if trail is not None:
                    trail = hash((trail, last))
            else:
                context, callback, argument = next_ready()
                last = CALLBACK
            if cost:
                loop._now += cost
                loop.busy += cost
            if context is None:
                callback(argument)
            else:
                context.run(callback, argument)
            if loop._stopping:
                return
            if cost and due and due[0] <= loop._now:
                _fire_first(loop)
    finally:
        loop.steps += most - left
        loop.trail, sticky.last = trail, last


def run_taken(loop: Any, most: int, due: Sequence[float]) -> None:
    """The strategy of the loop says which step runs next."""
    ready, tasks, cost, take = loop._ready, loop._ready_tasks, loop._step_cost, loop._take
    trail, left = loop.trail, most
    try:
        while left and (ready or tasks):
            entry = take()
            if entry is None:
                break
            left -= 1
            context, callback, argument = entry
            if trail is not None and (number := number_of(entry)) >= 0:
                trail = hash((trail, number))
            del entry
            if cost:
                loop._now += cost
                loop.busy += cost
            if context is None:
                callback(argument)
            else:
                context.run(callback, argument)
            if loop._stopping:
                return
            if cost and due and due[0] <= loop._now:
                _fire_first(loop)
    finally:
        loop.steps += most - left
        loop.trail = trail


def _fire_first(loop: Any) -> None:
    loop._check_time_limit(loop._now)
    when = heapq.heappop(loop._due)
    loop._fire(when, loop._timers.pop(when))

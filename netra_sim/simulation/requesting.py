"""`make_requests`: when a simulated user arrives and asks, whatever the user talks to."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from netra_sim.randomness import key, uniform
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.scenario import Closed, Scenario
from netra_sim.simulation.workload import due_times

PAGE_LEAD = 1.0
"""Seconds between opening the page and the due time of the first request."""


async def make_requests(
    scenario: Scenario,
    seed: int,
    loop: VirtualTimeLoop,
    number: int,
    arrive: Callable[[], Awaitable[None]],
    ask: Callable[[float], Coroutine[Any, Any, None]],
) -> None:
    """Let a user make all requests, and wait for the end of each.

    Args:
        scenario: says when requests are due.
        seed: determines what it leaves open.
        loop: the clock.
        number: of the user, from 0.
        arrive: called before each request; the first call opens the page.
        ask: makes the request that is due at this time, in seconds.
    """
    workload = scenario.workload
    if isinstance(workload.arrivals, Closed):
        stream = key(seed, "think", number)
        await arrive()
        for request in range(workload.runs_per_user):
            await loop.sleep_exactly(workload.arrivals.think.draw(uniform(stream, request)))
            await ask(loop.exact_time())
        return
    times = list(due_times(workload, seed, number, scenario.users))
    async with asyncio.TaskGroup() as group:
        for due in times:
            await loop.sleep_exactly(due - PAGE_LEAD - loop.exact_time())
            await arrive()
            await loop.sleep_exactly(due - loop.exact_time())
            group.create_task(ask(due), name=f"request of user-{number}")

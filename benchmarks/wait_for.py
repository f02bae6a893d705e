"""What `windows_safe_wait_for` costs on top of `asyncio.timeout`, where what is awaited is ready at once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from measure import Measure, Measured, main, per_operation, ratio

from netra_sim.runtime import new_event_loop, windows_safe_wait_for

CALLS = 5_000


async def ready() -> int:
    return 1


async def ours() -> None:
    for _ in range(CALLS):
        await windows_safe_wait_for(ready(), 10)


async def plain_timeout() -> None:
    for _ in range(CALLS):
        async with asyncio.timeout(10):
            await ready()


async def stock() -> None:
    for _ in range(CALLS):
        await asyncio.wait_for(ready(), 10)


def measure_all() -> Sequence[Measured]:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:

        def on_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> Measure:
            return per_operation(lambda: runner.run(work()), CALLS)

        return [
            ratio("windows_safe_wait_for / asyncio.timeout", on_loop(ours), on_loop(plain_timeout), goal=1.5),
            ratio("windows_safe_wait_for / asyncio.wait_for", on_loop(ours), on_loop(stock), goal=None),
        ]


if __name__ == "__main__":
    main("wait_for", measure_all)

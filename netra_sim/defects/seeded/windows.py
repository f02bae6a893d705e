"""Defects of the original Windows-safe layer: W1 to W5."""

import asyncio
import sys
import time
from collections.abc import Awaitable
from typing import Any

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import CANCELLED, CROWD, SLOW_TOOLS
from netra_sim.factory import pipeline
from netra_sim.runtime import new_event_loop, windows_safe_gather, windows_safe_wait_for

POLL_SECONDS = 0.01
CHUNK = 3


@seeded_defect("patches-asyncio", "W1", scenario=CROWD)
def patches_asyncio(patches: Patches) -> None:
    """While a decorated function runs, asyncio.sleep is replaced for the whole process."""
    patches.keep(asyncio, "sleep")
    stock, inside = asyncio.sleep, 0

    async def replacement(delay: float, result: object = None) -> object:
        return await stock(delay, result)

    @patches.attribute(pipeline._Step, "run")
    async def patched(original: Any, self: Any, session: Any) -> object:
        nonlocal inside
        inside += 1
        setattr(asyncio, "sleep", replacement)  # noqa: B010 - the defect
        try:
            return await original(self, session)
        finally:
            inside -= 1
            if not inside:
                setattr(asyncio, "sleep", stock)  # noqa: B010


@seeded_defect("leaves-asyncio-patched", "W2", scenario=CROWD)
def leaves_asyncio_patched(patches: Patches) -> None:
    """Two decorated calls that overlap leave asyncio.sleep replaced for the rest of the process."""
    patches.keep(asyncio, "sleep")
    stock = asyncio.sleep

    @patches.attribute(pipeline._Step, "run")
    async def patched(original: Any, self: Any, session: Any) -> object:
        async def replacement(delay: float, result: object = None) -> object:
            return await stock(delay, result)

        before = asyncio.sleep
        setattr(asyncio, "sleep", replacement)  # noqa: B010 - the defect
        try:
            return await original(self, session)
        finally:
            setattr(asyncio, "sleep", before)  # noqa: B010


@seeded_defect("gathers-in-chunks", "W3", scenario=CROWD)
def gathers_in_chunks(patches: Patches) -> None:
    """Gather runs three awaitables at a time: four that wait for each other never end."""

    @patches.function(windows_safe_gather)
    async def chunked(original: Any, *awaitables: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
        results: list[Any] = []
        for first in range(0, len(awaitables), CHUNK):
            chunk = awaitables[first : first + CHUNK]
            results += await asyncio.gather(*chunk, return_exceptions=return_exceptions)
        return results


async def _poll(task: "asyncio.Future[Any]", timeout: float | None) -> Any:
    clock = asyncio.get_running_loop().time
    deadline = clock() + (1e9 if timeout is None else timeout)
    while not task.done():
        if clock() >= deadline:
            task.cancel()
            raise TimeoutError
        await asyncio.sleep(POLL_SECONDS)
    return task.result()


@seeded_defect("wait-for-polls", "W4", scenario=SLOW_TOOLS)
def wait_for_polls(patches: Patches) -> None:
    """Waiting polls every 10 ms: idle waits burn CPU."""

    @patches.function(windows_safe_wait_for)
    async def polling(original: Any, awaitable: Awaitable[Any], timeout: float | None, **default: Any) -> Any:
        task = asyncio.ensure_future(awaitable)
        try:
            return await _poll(task, timeout)
        except TimeoutError:
            if "default" not in default:
                raise
            return default["default"]
        except asyncio.CancelledError:
            task.cancel()
            raise


@seeded_defect("wait-for-abandons", "W5", scenario=CANCELLED)
def wait_for_abandons(patches: Patches) -> None:
    """Cancelling a wait_for does not cancel the task that it waits for."""

    @patches.function(windows_safe_wait_for)
    async def abandoning(original: Any, awaitable: Awaitable[Any], timeout: float | None, **default: Any) -> Any:
        return await original(asyncio.shield(asyncio.ensure_future(awaitable)), timeout, **default)


@seeded_defect("stamps-by-two-clocks", "W5", scenario=CROWD)
def stamps_by_two_clocks(patches: Patches) -> None:
    """Every other timestamp comes from a clock that is 10 s behind."""

    @patches.attribute(AgentWebSocketBridge, "__init__")
    def with_two_clocks(original: Any, self: Any, **options: Any) -> None:
        clock, calls = options.get("wall_clock", time.time), 0

        def either() -> float:
            nonlocal calls
            calls += 1
            return float(clock()) - 10.0 * (calls % 2)

        original(self, **(options | {"wall_clock": either}))


if sys.platform == "win32":

    @seeded_defect("selector-loop", scenario=CROWD)
    def selector_loop(patches: Patches) -> None:
        """A program on Windows gets the selector loop, which has room for 512 sockets and starts no subprocess."""

        @patches.function(new_event_loop)
        def selector(original: Any) -> asyncio.AbstractEventLoop:
            return asyncio.SelectorEventLoop()

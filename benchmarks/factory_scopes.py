"""What a `user_execution_scope` costs when many engines live, when many have lived, and what it leaves behind."""

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from measure import Measure, Measured, main, own_process, per_operation, ratio

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, UserExecutionContext
from netra_sim.runtime import new_event_loop
from netra_sim.simulation import run_virtual

MANY, FEW = 10_000, 10
OPENED, EXECUTED = 2_000, 100
FORGOTTEN_AFTER = 1_000.0
"""Virtual seconds: longer than any run is kept for replay and than any timeout of a run."""


class System:
    """A factory on a bridge, with a new user for every scope."""

    def __init__(self) -> None:
        self.factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge())
        self._numbers = itertools.count()

    def context(self) -> UserExecutionContext:
        number = next(self._numbers)
        request = {"message": "How can we spend less?"}
        return UserExecutionContext(
            user_id=f"user-{number}", thread_id=f"thread-{number}", run_id=f"run-{number}", request=request
        )

    async def open_and_close(self, scopes: int) -> None:
        for _ in range(scopes):
            async with self.factory.user_execution_scope(self.context()):
                pass

    async def execute(self, scopes: int) -> None:
        for _ in range(scopes):
            async with self.factory.user_execution_scope(self.context()) as engine:
                await engine.execute_agent_pipeline()


def scope_beside(live: int) -> Measure:
    """A scope without a run, while other engines live."""
    runner = asyncio.Runner(loop_factory=new_event_loop)
    system, stack = System(), AsyncExitStack()

    async def open_engines() -> None:
        for _ in range(live):
            await stack.enter_async_context(system.factory.user_execution_scope(system.context()))

    runner.run(open_engines())
    return per_operation(lambda: runner.run(system.open_and_close(OPENED)), OPENED)


def scope_after(finished: int) -> Measure:
    """A scope with its run, on a system that has finished others, all of which the bridge still holds for replay."""
    runner = asyncio.Runner(loop_factory=new_event_loop)
    runner.run(System().execute(EXECUTED))
    old = System()
    runner.run(old.execute(finished))

    def measure() -> float:
        system = old if finished else System()
        return per_operation(lambda: runner.run(system.execute(EXECUTED)), EXECUTED)()

    return measure


def compare(name: str, make: Callable[[int], Measure], many: int, few: int, goal: float) -> Measured:
    """Three pairs of processes, since each lays its memory out differently."""
    values: list[float] = []
    for _ in range(3):
        with own_process(make, many) as ours, own_process(make, few) as reference:
            values.extend(ratio(name, ours, reference, goal=goal, repetitions=9).values)
    return Measured(name, tuple(values), goal)


async def kept_bytes() -> list[float]:
    """Bytes that are still allocated for each scope, when its replay is over: of the first scopes, and of later ones."""
    system = System()

    async def settled() -> int:
        await asyncio.sleep(FORGOTTEN_AFTER)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    await system.execute(EXECUTED)
    kept = []
    for _ in range(3):
        before = await settled()
        await system.execute(MANY)
        kept.append((await settled() - before) / MANY)
    return kept


def measure_all() -> Sequence[Measured]:
    tracemalloc.start()
    kept = run_virtual(kept_bytes())
    tracemalloc.stop()
    return [
        compare(f"a scope beside {MANY:,} live engines / beside {FEW}", scope_beside, MANY, FEW, 1.3),
        compare(f"a scope and its run after {MANY:,} runs / the first", scope_after, MANY, 0, 1.2),
        Measured(f"memory kept of a finished scope, after {MANY:,}", tuple(kept[1:]), 50.0, "bytes"),
        Measured(f"of the first {MANY:,}, once: the tables' capacity", (kept[0],), unit="bytes"),
    ]


if __name__ == "__main__":
    main("factory_scopes", measure_all)

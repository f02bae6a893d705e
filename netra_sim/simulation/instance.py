"""One server process of a simulation."""

import asyncio

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import EngineWatch


class Instance:
    """A bridge and a factory with a memory of their own.

    Attributes:
        number: 0, 1, 2, ...
        bridge: what clients connect to.
        factory: what carries out their requests.
        watch: looks for state that its engines share.
        answers: what it is carrying out.
    """

    def __init__(
        self, number: int, bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory, watch: EngineWatch
    ) -> None:
        self.number = number
        self.bridge = bridge
        self.factory = factory
        self.watch = watch
        self.answers: set[asyncio.Task[object]] = set()

    async def stop(self, drain: float = 0.0) -> None:
        """Take no more requests, let the live runs end for so many seconds, end the others, close all; idempotent."""
        await self.factory.shutdown(drain)
        if self.answers:
            await asyncio.wait(self.answers)
        await self.bridge.shutdown()

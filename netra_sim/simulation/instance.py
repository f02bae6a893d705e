"""One server process of a simulation."""

import asyncio

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.exceptions import BridgeNotReadyError
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.recording import EngineWatch


class Instance:
    """A bridge and a factory with a memory of their own, and the task that watches over the bridge.

    Attributes:
        number: 0, 1, 2, ...
        bridge: what clients connect to.
        factory: what carries out their requests.
        watch: looks for state that the factory's engines share, and which of them have outlived it.
        is_listening: whether it accepts connections.
        answers: what it is carrying out.
        monitor: the running `AgentWebSocketBridge.monitor`, from the start to the stop.
    """

    def __init__(
        self, number: int, bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory, watch: EngineWatch
    ) -> None:
        self.number = number
        self.bridge = bridge
        self.factory = factory
        self.watch = watch
        self.answers: set[asyncio.Task[object]] = set()
        self.monitor: asyncio.Task[None] | None = None
        self.is_listening = True
        self._is_stopped = False

    async def start(self) -> None:
        """Integrate the bridge and watch over it from then on, unless it is stopped meanwhile."""
        try:
            await self.bridge.ensure_integration()
        except BridgeNotReadyError:
            return  # It was stopped before it was up.
        if not self._is_stopped:
            self.monitor = asyncio.create_task(self.bridge.monitor(), name=f"monitor of server {self.number}")

    async def stop(self, drain: float = 0.0) -> None:
        """Take no more requests, let the live runs end for so many seconds, end the others, close all; idempotent."""
        self._is_stopped = True
        await self.stop_monitor()
        await self.factory.shutdown(drain)
        if self.answers:
            await asyncio.wait(self.answers)
        await self.bridge.shutdown()

    async def stop_monitor(self) -> None:
        """Watch over the bridge no more; an error that had ended the watch reaches the loop's exception handler."""
        monitor, self.monitor = self.monitor, None
        if monitor is None:
            return
        monitor.cancel()
        await asyncio.wait([monitor])
        if not monitor.cancelled() and (error := monitor.exception()) is not None:
            message = "The bridge's monitor ended"
            monitor.get_loop().call_exception_handler({"message": message, "exception": error, "task": monitor})

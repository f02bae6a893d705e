"""One server process of a simulation."""

import asyncio

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.exceptions import BridgeNotReadyError
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.recording import EngineWatch


class Instance:
    """One server process: a bridge, a factory, and the task that monitors the bridge.

    Attributes:
        number: 0, 1, 2, ...
        bridge: the bridge that clients connect to.
        factory: makes the engines that carry out requests.
        watch: finds state that engines share, and engines that outlive their scope.
        is_listening: whether it accepts connections.
        answers: the tasks that answer messages of clients.
        monitor: the task of `AgentWebSocketBridge.monitor`, from the start to the stop; None otherwise.
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
        """Integrate the bridge and then monitor it, unless the server is stopped before."""
        try:
            await self.bridge.ensure_integration()
        except BridgeNotReadyError:
            return  # the server was stopped before it was up
        if not self._is_stopped:
            self.monitor = asyncio.create_task(self.bridge.monitor(), name=f"monitor of server {self.number}")

    async def stop(self, drain: float = 0.0) -> None:
        """Refuse new requests, let live runs end for ``drain`` seconds, end the others, and close all; idempotent."""
        self._is_stopped = True
        await self.stop_monitor()
        await self.factory.shutdown(drain)
        if self.answers:
            await asyncio.wait(self.answers)
        await self.bridge.shutdown()

    async def stop_monitor(self) -> None:
        """End the monitor; if an error ended it before, pass the error to the loop's exception handler."""
        monitor, self.monitor = self.monitor, None
        if monitor is None:
            return
        monitor.cancel()
        await asyncio.wait([monitor])
        if not monitor.cancelled() and (error := monitor.exception()) is not None:
            message = "The bridge's monitor ended"
            monitor.get_loop().call_exception_handler({"message": message, "exception": error, "task": monitor})

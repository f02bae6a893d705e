"""`WireInstance`: one real server on a host of the virtual network."""

import asyncio
from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, Transport
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.recording import EngineWatch
from netra_sim.server import AgentServer
from netra_sim.simulation.broker import BrokeredBridge
from netra_sim.simulation.hosts.host import Host
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.instance import Instance


class NamedBridge(BrokeredBridge):
    """A bridge that gives each connection a name that no connection to another server has."""

    _named = 0

    def connect(self, user: AuthenticatedUser, transport: Transport, **client: Any) -> Connection:
        """See `AgentWebSocketBridge.connect`."""
        self._named += 1
        client["connection_id"] = client.get("connection_id") or f"{self.epoch}/{self._named}"
        return super().connect(user, transport, **client)


class WireInstance(Instance):
    """A server that serves the bridge and the factory to WebSocket clients.

    Args:
        number: 0, 1, 2, ...
        bridge: carries the events.
        factory: makes the engines.
        watch: finds state that engines share, and engines that outlive their scope.
        server: the server, which has not been started.
        host: where it runs.
        loop: the loop and the network.
    """

    def __init__(
        self,
        number: int,
        bridge: AgentWebSocketBridge,
        factory: ExecutionEngineFactory,
        watch: EngineWatch,
        server: AgentServer,
        host: Host,
        loop: NetworkLoop,
    ) -> None:
        super().__init__(number, bridge, factory, watch)
        self.host = host
        self._server = server
        self._drain: asyncio.Future[float] = loop.create_future()
        self._serving = loop.create_task_in(host.process, self._serve(), f"server {number}")

    async def start(self) -> None:
        """Wait for the end of the server, so that its error ends the simulation."""
        await asyncio.shield(self._serving)

    def revoke(self, user_id: str) -> None:
        """Log a user out: end its connections, and refuse the tokens that it has."""
        self._server.service.revoke_user(user_id)

    async def stop(self, drain: float = 0.0) -> None:
        """See `Instance.stop`."""
        if self._drain.done():
            await self._server.service.stop(0.0)
        else:
            self._drain.set_result(drain)
        await asyncio.wait([self._serving])

    async def _serve(self) -> None:
        async with self._server:
            # The service does not give its monitor away, whose timer would hide a deadlock.
            self.monitor = next(one for one in self.host.process.tasks if one.get_name() == "monitor of the bridge")
            await self._server.service.stop(await self._drain)

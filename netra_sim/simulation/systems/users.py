"""`SystemUser`: one simulated user of a system under test, on a host of the virtual network."""

import asyncio
from typing import Protocol

from netra_sim.clients.conversations import Conversations
from netra_sim.clients.journal import Journal
from netra_sim.clients.protocol import ClientProtocol, Session, SystemAddress
from netra_sim.simulation.faults import Line
from netra_sim.simulation.hosts.host import Host
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.hosts.transport import VirtualTransport
from netra_sim.simulation.requesting import make_requests
from netra_sim.simulation.scenario import Scenario


class UserEnvironment(Protocol):
    """The simulation as its users see it.

    Attributes:
        scenario: what happens.
        seed: determines all draws.
        loop: the clock and the network.
        target: where the system listens.
    """

    scenario: Scenario
    seed: int
    loop: NetworkLoop
    target: SystemAddress

    def on_answer(self) -> None:
        """A request has ended, or was given up."""

    def meet_faults(self, user_id: str) -> Line:
        """Count the active faults that hit a user, and return what they make of the user's connections."""

    def throttle(self, host: Host, bandwidth: float) -> None:
        """Limit what a user's host receives, in bytes a second."""


class SystemUser:
    """A user: arrives, sends each request when it is due, reads the answers, and leaves.

    Args:
        number: from 0.
        environment: the simulation.
        protocol: how the user talks to the system.
        journal: takes what the user experiences.
        host: the user's machine.

    Attributes:
        is_present: whether the user has arrived and has not left.
    """

    def __init__(
        self, number: int, environment: UserEnvironment, protocol: ClientProtocol, journal: Journal, host: Host
    ) -> None:
        self.number = number
        self.user_id = f"user-{number}"
        self.host = host
        self.is_present = False
        self._environment = environment
        self._session: Session = protocol.session(environment.target, self.user_id, journal, environment.seed)
        self._conversations = Conversations(number, environment.scenario.users)
        self._is_cut_off = False

    async def run(self) -> None:
        """Everything that the user does."""
        environment = self._environment
        plan = environment.scenario, environment.seed, environment.loop, self.number
        try:
            await make_requests(*plan, self._arrive, self._ask)
        finally:
            self.is_present = False
            await self._session.leave()

    def adapt(self) -> None:
        """Apply the active faults to the user's host and connections."""
        network = self._environment.loop.network
        line, process = self._environment.meet_faults(self.user_id), self.host.process
        self._environment.throttle(self.host, line.bandwidth)
        if line.is_stalled and not process.endpoints.is_stalled:
            network.stall(process)
        elif process.endpoints.is_stalled and not line.is_stalled:
            network.resume(process)
        is_cut_off = line.is_offline or line.is_silent
        if is_cut_off and not self._is_cut_off:
            if line.is_offline:
                self.cut()
            network.isolate(self.host)
        elif self._is_cut_off and not is_cut_off:
            network.rejoin(self.host)
        self._is_cut_off = is_cut_off

    def cut(self) -> None:
        """Reset all connections of the user."""
        self._session.cut()

    def send(self, data: bytes) -> None:
        """Send data over all connections of the user, as it is."""
        for endpoint in list(self.host.process.endpoints):
            if isinstance(endpoint.owner, VirtualTransport) and not endpoint.owner.is_closing():
                endpoint.owner.write(data)

    def half_close(self) -> None:
        """End the sending direction of all connections of the user."""
        for endpoint in list(self.host.process.endpoints):
            endpoint.end()

    async def _arrive(self) -> None:
        if not self.is_present:
            self.is_present = True
            self.adapt()
            await self._session.connect()

    async def _ask(self, due: float) -> None:
        try:
            with self._conversations.request(due) as request:
                async with asyncio.timeout_at(due + self._environment.scenario.workload.patience):
                    await self._session.ask(request)
        except TimeoutError:
            return  # the History shows a request without an end
        finally:
            self._environment.on_answer()

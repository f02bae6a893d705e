"""`WireWorld`: a simulation whose servers and clients are the real ones, on hosts of a virtual network."""

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.exceptions import BridgeNotReadyError
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.randomness import key, uniform
from netra_sim.recording import EngineWatch, Recorder
from netra_sim.server import AgentServer, TokenAuthenticator
from netra_sim.simulation.fault_state import FaultState
from netra_sim.simulation.faults import BackendFault, Cancellation, TokenExpiry
from netra_sim.simulation.hosts.balancer import Balancer
from netra_sim.simulation.hosts.entropy import seeded_entropy
from netra_sim.simulation.hosts.host import Host
from netra_sim.simulation.hosts.links import LineConditions
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.systems.error_log import errors_logged
from netra_sim.simulation.user import SimulatedUser
from netra_sim.simulation.virtual_time import EPOCH
from netra_sim.simulation.wire.client import WireTab
from netra_sim.simulation.wire.environment import PORT, SERVER
from netra_sim.simulation.wire.instance import NamedBridge, WireInstance
from netra_sim.simulation.wire.token_service import LIFETIME, TokenService
from netra_sim.simulation.wire.user import WireUser
from netra_sim.simulation.world import World

_LEAST_BUFFER = 4_096
"""Bytes of the smallest buffer of a socket: the first figure of ``net.ipv4.tcp_wmem`` and ``tcp_rmem`` of Linux."""


_MARGIN = 1e-3
"""Seconds that a token is valid for longer, so that rounding does not shorten it by a second."""


class WireWorld(World):
    """See `World`; a `WireEnvironment`.

    Args:
        scenario: what happens.
        seed: determines what the scenario leaves open.
        loop: the loop and the network that everything runs on.
        on_answer: called at the end of every request.
        factory_class: makes the engines.
    """

    loop: NetworkLoop
    bridge_class = NamedBridge

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        loop: NetworkLoop,
        on_answer: Callable[[], None],
        factory_class: type[ExecutionEngineFactory],
    ) -> None:
        super().__init__(scenario, seed, loop, on_answer, factory_class)
        self.leaving: set[asyncio.Task[None]] = set()
        self._scope_closed: asyncio.Future[None] | None = None
        self._by_name: dict[str, WireUser] = {}
        secret = hashlib.sha256(f"secret of {seed}".encode()).digest()
        self._tokens = TokenAuthenticator(secret, wall_clock=self.wall_clock)
        self._token_service = TokenService(self, self._tokens)
        self._nowhere = loop.network.add_host("nowhere")
        loop.network.add_balancer(SERVER, _Front(self))

    async def play(self) -> None:
        """See `Stage`."""
        with seeded_entropy(self.seed), errors_logged(self.recorder, "netra_sim.server"):
            await super().play()

    def new_user(self, number: int) -> SimulatedUser:
        """See `World`."""
        user = self._by_name[f"user-{number}"] = WireUser(number, self)
        return user

    def new_watch(self) -> EngineWatch:
        """See `World`."""
        return _Watch(self.recorder, self.faults, self.seed, self._on_scope_closed)

    def new_instance(
        self, number: int, bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory, watch: EngineWatch
    ) -> Instance:
        """See `World`."""
        server = AgentServer(
            bridge=bridge,
            execution_factory=factory,
            authenticator=self._token_service,
            host="0.0.0.0",  # noqa: S104 - of a virtual host
            port=PORT,
            wall_clock=self.wall_clock,
        )
        host = self.loop.network.add_host(f"{SERVER}-{number}")
        return WireInstance(number, bridge, factory, watch, server, host, self.loop)

    def new_host(self, user_id: str, tab: int) -> Host:
        """See `WireEnvironment`."""
        network = self.scenario.network
        held = max(_LEAST_BUFFER, network.send_buffer // 2)  # by each of the two operating systems
        conditions = LineConditions(
            latency=network.latency,
            jitter=network.jitter,
            bandwidth=network.bandwidth,
            send_buffer=held,
            receive_buffer=held,
        )
        return self.loop.network.add_host(f"{user_id}/{tab}", uplink=conditions, downlink=conditions)

    def throttle(self, host: Host, bandwidth: float) -> None:
        """See `WireEnvironment`."""
        for instance in self._instances:
            assert isinstance(instance, WireInstance)  # noqa: S101 - `new_instance` makes them
            self.loop.network.link(instance.host, host).bandwidth = bandwidth

    def issue_token(self, user_id: str) -> str:
        """See `WireEnvironment`."""
        now = self.loop.exact_time()
        ends = min(
            (one.fault.next_end(now) for one in self.faults.of(TokenExpiry) if one.is_for(user_id)), default=math.inf
        )
        if ends == math.inf:
            return self._tokens.issue(user_id, LIFETIME)
        # A token ends at a whole second of the wall clock, which is here not earlier than the fault's.
        return self._tokens.issue(user_id, math.ceil(ends + EPOCH) - self.wall_clock() + _MARGIN)

    def revoke(self, user_id: str) -> None:
        """See `WireEnvironment`."""
        for instance in self._instances:
            assert isinstance(instance, WireInstance)  # noqa: S101 - `new_instance` makes them
            instance.revoke(user_id)

    def turn_away(self, user_id: str, reason: str) -> None:
        """See `WireEnvironment`."""
        self.recorder.connect_refused(user_id, reason)
        for tab in self._by_name[user_id].tabs:
            assert isinstance(tab, WireTab)  # noqa: S101 - `WireUser` makes them
            tab.explain()

    async def all_users_ended(self) -> None:
        """See `World`. Waits for closing handshakes, and for the runs that users have given up."""
        if self.leaving:
            await asyncio.wait(self.leaving)
        while any(instance.factory.engines for instance in self._instances):
            # Without a timer, so that a deadlock of the runs is found.
            self._scope_closed = self.loop.create_future()
            await self._scope_closed

    def _on_scope_closed(self) -> None:
        if self._scope_closed is not None and not self._scope_closed.done():
            self._scope_closed.set_result(None)

    def host_for(self, client: Host) -> Host:
        """The host of the server that a client reaches now; one on which nothing listens if there is none."""
        user_id = client.name.partition("/")[0]
        line = self.faults.line(user_id)
        instance = self.server(is_elsewhere=line.is_elsewhere)
        if not isinstance(instance, WireInstance) or not self.has_room(instance):
            self.turn_away(user_id, "no server" if instance is None else "not accepted")
            return self._nowhere
        self.loop.network.link(instance.host, client).bandwidth = line.bandwidth
        return instance.host


class _Front(Balancer):
    """Leads each client to the server that it is to talk to, as the balancer in front of a deployment does."""

    def __init__(self, world: WireWorld) -> None:
        super().__init__((), "sticky")
        self._world = world

    def choose(self, client: Host, port: int) -> Host:
        """See `Balancer`."""
        return self._world.host_for(client)


class _Watch(EngineWatch):
    """An `EngineWatch` that lets the faults act that hit a request at the server.

    Args:
        recorder: records what is found.
        faults: which faults are active.
        seed: determines when a request is cancelled.
        on_closed: called after the end of each scope.
    """

    def __init__(self, recorder: Recorder, faults: FaultState, seed: int, on_closed: Callable[[], None]) -> None:
        super().__init__(recorder)
        self._faults = faults
        self._seed = seed
        self._on_closed = on_closed
        self.scope_closed, self.scope_refused = self._close_scope, self._refuse_scope

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """See `FactoryObserver`; called in the task that serves the request."""
        super().scope_opened(run_id, user_id)
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        for fault in self._faults.on(Cancellation, run_id):
            within = fault.within * uniform(key(self._seed, "cancellation", run_id))
            if task is not None:
                loop.call_later(within, task.cancel)

    def _close_scope(self, run_id: str, user_id: str, left_over: Mapping[str, int]) -> None:
        self._recorder.scope_closed(run_id, user_id, left_over)
        self._on_closed()

    def _refuse_scope(self, run_id: str, user_id: str, reason: str) -> None:
        if reason == BridgeNotReadyError.__name__:
            self._faults.on(BackendFault, run_id)
        self._recorder.scope_refused(run_id, user_id, reason)

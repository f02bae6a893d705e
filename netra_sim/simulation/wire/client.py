"""`WireTab`: a tab of a simulated user with the real `AgentClient`, on a host of its own."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from websockets.exceptions import InvalidStatus, WebSocketException

from netra_sim.factory import run_id_of
from netra_sim.protocol import Event, Hello, Reading, Refused, longest_pause
from netra_sim.randomness import uniform
from netra_sim.server import AgentClient
from netra_sim.simulation.faults import Line, Message
from netra_sim.simulation.hosts.host import PROCESS
from netra_sim.simulation.tab import PING_TIMEOUT, Tab, next_ping
from netra_sim.simulation.wire.environment import PORT, SERVER, WireEnvironment


class WireTab(Tab):
    """A tab whose client talks WebSocket to the server.

    As the browser's client does, it sends a request again on each new connection until the server has it.

    Args:
        environment: the simulation around it.
        user_id: the user.
        tab: the number of the tab among those of the user.
        on_run_ended: called with the number of the tab and the id of the run, for each end of a run that arrives.
        on_refused: called with each refusal that arrives, and the id of its connection.
        on_sent_again: called with each request that is sent again.
    """

    _environment: WireEnvironment

    def __init__(
        self,
        environment: WireEnvironment,
        user_id: str,
        tab: int,
        on_run_ended: Callable[[int, str], None],
        on_refused: Callable[[Refused, str], None],
        on_sent_again: Callable[[Message], None],
    ) -> None:
        super().__init__(environment, user_id, tab, on_run_ended, on_refused)
        self._on_sent_again = on_sent_again
        self._host = environment.new_host(user_id, tab)
        self._line = Line()
        self._client: AgentClient | None = None
        self._living: asyncio.Task[None] | None = None
        self._attempts = 0
        self._is_greeted = self._is_explained = True
        self._connection_id = ""
        self._attached_at = 0.0
        self._next_connection = asyncio.Event()
        # The requests that the server may not have, by run, each with the attempt to connect on whose connection it left:
        # 0 before it left, and infinite while the client is about to send it.
        self._asked: dict[str, tuple[Message, float]] = {}

    def open(self) -> None:
        """See `Tab`."""
        self._apply(self._environment.faults.line(self._user_id))
        self._living = self._spawn(self._live(), f"tab of {self._user_id}")

    def close(self) -> None:
        """See `Tab`."""
        if self._living is not None and not self._living.done():
            self._environment.leaving.add(self._living)
            self._living.cancel()

    async def send(self, message: Message) -> None:
        """See `Tab`."""
        run_id = run_id_of(self._user_id, message["request_id"])
        if self._client is None:
            self._asked[run_id] = message, 0  # it leaves with the first connection
            return
        self._asked[run_id] = message, math.inf
        try:
            await self._client.send(message)
        except ConnectionError:
            return  # the client has given up, and the user's patience ends the request
        if run_id in self._asked:
            self._asked[run_id] = message, self._attempts

    async def connection_after(self, connection_id: str) -> None:
        """See `Tab`."""
        if self._connection_id == connection_id:
            await self._next_connection.wait()

    def adapt(self) -> None:
        """See `Tab`."""
        self._apply(self._environment.faults.line(self._user_id))

    def cut(self) -> bool:
        """See `Tab`."""
        is_cut, self._is_explained = False, True
        for endpoint in list(self._host.process.endpoints):
            if endpoint.owner is not None and endpoint.error is None:
                endpoint.peer.on_reset()
                endpoint.on_reset()
                is_cut = True
        return is_cut

    def end_token(self) -> bool:
        """See `Tab`. The server has its token, and closes the connection by itself."""
        return self._is_greeted and any(one.owner is not None for one in self._host.process.endpoints)

    def log_out(self) -> None:
        """See `Tab`."""
        self._environment.revoke(self._user_id)
        self.close()

    @property
    def connection_id(self) -> str:
        """See `Tab`."""
        return self._connection_id

    def explain(self) -> None:
        """Know that the present attempt to connect, if there is one, was refused, and that this is recorded already."""
        self._is_explained = True

    def outlast_stall(self, began: float, ended: float) -> None:
        """See `Tab`. The machine of the tab is not blocked, but its pings wait for the loop of the simulation."""
        if self._is_greeted and next_ping(self._attached_at, began) + PING_TIMEOUT < ended:
            self.cut()

    def _apply(self, line: Line) -> None:
        network, process = self._environment.loop.network, self._host.process
        before, self._line = self._line, line
        self._environment.throttle(self._host, line.bandwidth)
        if line.is_stalled and not before.is_stalled:
            network.stall(process)
        elif before.is_stalled and not line.is_stalled:
            network.resume(process)
        was_cut_off, is_cut_off = before.is_offline or before.is_silent, line.is_offline or line.is_silent
        if line.is_offline or line.is_elsewhere != before.is_elsewhere:
            self.cut()
        if is_cut_off and not was_cut_off:
            network.isolate(self._host)
        elif was_cut_off and not is_cut_off:
            self._give_up_connections()
            network.rejoin(self._host)

    def _give_up_connections(self) -> None:
        """Let the client notice that its network was away; the server notices by its pings, or by an answer to old bytes."""
        for endpoint in list(self._host.process.endpoints):
            if endpoint.owner is not None:
                endpoint.on_reset()

    async def _live(self) -> None:
        failures = 0
        while True:
            client = AgentClient(f"ws://{SERVER}:{PORT}", self._token, self._on_reading)
            try:
                await client.__aenter__()
                break
            except (OSError, TimeoutError, WebSocketException):
                failures += 1
                pause = longest_pause(failures) * uniform(self._stream, -self._attempts)
                await self._environment.loop.sleep_exactly(pause)
        self._client = client
        try:
            for message, _ in list(self._asked.values()):
                await self.send(message)
            await self._given_up(client)
            await asyncio.Event().wait()
        except asyncio.CancelledError as leaving:
            await client.__aexit__(type(leaving), leaving, None)
            raise

    async def _given_up(self, client: AgentClient) -> None:
        """Wait until the client stays away for good."""
        try:
            await client.wait_closed()
        except InvalidStatus as refusal:
            self._environment.recorder.connect_refused(self._user_id, f"HTTP {refusal.response.status_code} for good")
            self._is_explained = True

    async def _token(self) -> str:
        if not (self._is_greeted or self._is_explained):
            self._environment.recorder.connect_refused(self._user_id, "no hello came")
        self._is_greeted = self._is_explained = False
        self._attempts += 1
        if self._line.is_offline or self._line.is_silent:
            self._environment.turn_away(self._user_id, "no network")
        return self._environment.issue_token(self._user_id)

    def _on_reading(self, frame: bytes, reading: Reading, connection_id: str) -> None:
        message = reading.message
        if isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Event):
            self._asked.pop(message.run_id, None)
        elif isinstance(message, Refused):
            self._asked.pop(run_id_of(self._user_id, message.request_id or ""), None)
        self.read(frame, reading, connection_id)

    def _greet(self, hello: Hello) -> None:
        environment, name = self._environment, hello.connection_id
        way = next((one.peer.one_way for one in reversed(self._host.process.endpoints) if one.owner is not None), 0.0)
        environment.recorder.attached(name, self._user_id, f"{self._user_id}/{self._tab}", way)
        self._is_greeted = self._is_explained = True
        self._connection_id, self._attached_at = name, environment.loop.exact_time()
        self._next_connection.set()
        self._next_connection = asyncio.Event()
        for run in hello.runs:
            self._asked.pop(run.run_id, None)
        lost = [message for message, attempt in self._asked.values() if attempt < self._attempts]
        for message in lost:
            self._on_sent_again(message)
            self._spawn(self.send(message), f"request of {self._user_id}, again")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task on the host of the tab."""
        context = copy_context()
        context.run(PROCESS.set, self._host.process)
        return context.run(self._environment.spawn, work, name)

"""`AgentWebSocketBridge`: the one way from an agent's run to its owner's clients, and whether that way is open."""

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from netra_sim.bridge.bounds import check_bounds
from netra_sim.bridge.connection import AuthenticatedUser, Connection, MemoryTransport, Transport
from netra_sim.bridge.delivery import BridgeLimits, Counters, Delivery
from netra_sim.bridge.emitter import RunEmitter
from netra_sim.bridge.failures import is_failure, report
from netra_sim.bridge.observer import BridgeObserver
from netra_sim.bridge.payload import error_text
from netra_sim.exceptions import BridgeNotReadyError, NetraSimError, WrongLoopError
from netra_sim.protocol import CLOSE_GOING_AWAY, CLOSE_RESTART
from netra_sim.runtime import windows_safe_progressive_delay, windows_safe_sleep

PROBE_USER = "\x00probe"
"""The owner of probe runs; its NUL keeps it out of every context and every token."""


class IntegrationState(StrEnum):
    """Whether agents can reach their users' clients through the bridge."""

    UNINITIALIZED = "uninitialized"
    INITIALIZING = "initializing"
    ACTIVE = "active"
    DEGRADED = "degraded"
    FAILED = "failed"
    SHUT_DOWN = "shut down"


class IntegrationResult(msgspec.Struct, frozen=True):
    """The outcome of one attempt at integration, recovery or a health check.

    Attributes:
        success: True only if a probe event went the whole way and every back end answered.
        state: the state that the bridge was left in.
        error: what failed, or "" on success.
        duration: seconds of the loop's clock that it took.
    """

    success: bool
    state: IntegrationState
    error: str
    duration: float


class BridgeMetrics(msgspec.Struct, frozen=True):
    """Counts since the bridge was made, and what it holds now."""

    state: IntegrationState
    counters: Counters
    live_connections: int
    kept_runs: int
    replay_bytes: int
    unsent_bytes: int
    most_unsent_bytes: int
    probes: int
    failed_probes: int


class IntegrationPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient the bridge is with itself; times in seconds. The defaults are the original system's.

    Attributes:
        probe_timeout: the longest that a probe may take, with all back ends.
        check_interval: between two checks of the monitor.
        failures_before_recovery: checks in a row that fail before the monitor recovers the bridge.
        recovery_tries: probes of one recovery.
        recovery_delay: before the second of them; doubled before each further one.
        recovery_delay_cap: the longest of those pauses.

    Raises:
        ValueError: a field is not more than 0, or not finite.
    """

    probe_timeout: float = 30.0
    check_interval: float = 60.0
    failures_before_recovery: int = 3
    recovery_tries: int = 3
    recovery_delay: float = 1.0
    recovery_delay_cap: float = 30.0

    def __post_init__(self) -> None:
        check_bounds(self)


class AgentWebSocketBridge:
    """Connects agents' runs with their users' WebSocket connections.

    All methods must be called on one event loop, and raise `WrongLoopError` elsewhere; a bridge whose loop was closed
    belongs to the next one that it is used on. Publishing goes through the emitter that `open_run` returns; it is
    synchronous, and what is published within one turn of the loop is sent in one go at the end of that turn.

    Args:
        limits: bounds on memory, per connection, per run and in all.
        policy: time-outs and retries of integration and recovery.
        backends: by name, what must answer before a run can begin (a database, a model service): each is awaited in
            every probe and raises if it is not ready.
        wall_clock: seconds since the epoch, for the events' timestamps.
        epoch: names this server's memory of runs; random by default.
        observer: is told of everything.
    """

    def __init__(
        self,
        *,
        limits: BridgeLimits | None = None,
        policy: IntegrationPolicy | None = None,
        backends: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
        wall_clock: Callable[[], float] = time.time,
        epoch: str | None = None,
        observer: BridgeObserver | None = None,
    ) -> None:
        self.limits = limits or BridgeLimits()
        self.policy = policy or IntegrationPolicy()
        self.last_integration_result: IntegrationResult | None = None
        self._backends = dict(backends or {})
        self._state = IntegrationState.UNINITIALIZED
        self._integration: asyncio.Task[IntegrationResult] | None = None
        self._connections_made = 0
        self._probes = 0
        self._failed_probes = 0
        self._failures_in_a_row = 0
        self._expiry: asyncio.Handle | None = None
        self._delivery = Delivery(
            self.limits,
            epoch or secrets.token_hex(8),
            observer,
            self._request_flush,
            self._request_stall_check,
            self._request_expiry,
            wall_clock,
            self._enter,
        )

    @property
    def state(self) -> IntegrationState:
        """Where the integration stands."""
        return self._state

    @property
    def epoch(self) -> str:
        """Names this bridge's memory of runs; cursors of another epoch are void."""
        return self._delivery.epoch

    async def ensure_integration(self) -> IntegrationResult:
        """Integrate unless that is done: idempotent, and safe to call from many tasks at once.

        All callers that come while an attempt is under way share it, and one that is cancelled leaves it to the others.
        Success means that a probe event went from an emitter through the routing table to a connection, and that every
        back end answered.

        Returns:
            The result, which `last_integration_result` also keeps. A failure is a result, not an exception.

        Raises:
            BridgeNotReadyError: the bridge was shut down.
        """
        self._enter()
        self._refuse_if_shut_down()
        if self._state is IntegrationState.ACTIVE and self.last_integration_result is not None:
            return self.last_integration_result
        if self._integration is None or self._integration.done():
            self._integration = asyncio.create_task(self._integrate(tries=1), name="bridge integration")
        return await self._shared(self._integration)

    async def check_health(self) -> IntegrationResult:
        """Probe now. A failing probe degrades an active bridge, and a passing one heals it."""
        self._enter()
        self._refuse_if_shut_down()
        result = await self._probe()
        if self._state is IntegrationState.SHUT_DOWN:
            return IntegrationResult(False, self._state, "the bridge was shut down meanwhile", result.duration)
        if result.success:
            self._failures_in_a_row = 0
            self._state = IntegrationState.ACTIVE
        else:
            self._failures_in_a_row += 1
            if self._state is IntegrationState.ACTIVE:
                self._state = IntegrationState.DEGRADED
        self.last_integration_result = msgspec.structs.replace(result, state=self._state)
        return self.last_integration_result

    async def recover(self) -> IntegrationResult:
        """Try to integrate again, several times with growing pauses; shares an attempt that is under way."""
        self._enter()
        self._refuse_if_shut_down()
        if self._integration is None or self._integration.done():
            self._integration = asyncio.create_task(
                self._integrate(tries=self.policy.recovery_tries), name="bridge recovery"
            )
        return await self._shared(self._integration)

    async def monitor(self) -> None:
        """Check the health until the bridge is shut down, and recover after some failures in a row; run it as a task.

        A check that fails by itself is reported to the loop's exception handler, and the next one comes in its time.
        """
        task = asyncio.current_task()
        while True:
            await windows_safe_sleep(self.policy.check_interval)
            try:
                await self.check_health()
                if self._failures_in_a_row >= self.policy.failures_before_recovery:
                    await self.recover()
            except BaseException as error:
                if not is_failure(error, task):
                    raise
                if self._state is IntegrationState.SHUT_DOWN:
                    return
                report("a health check of the bridge failed by itself; the next one comes in its time", error)

    def metrics(self) -> BridgeMetrics:
        """Counts since the bridge was made, and what it holds now."""
        unsent = self._delivery.unsent_bytes
        return BridgeMetrics(
            state=self._state,
            counters=msgspec.structs.replace(self._delivery.counters),
            live_connections=len(self._delivery.connections),
            kept_runs=len(self._delivery.runs),
            replay_bytes=self._delivery.replay_bytes,
            unsent_bytes=sum(unsent),
            most_unsent_bytes=max(unsent, default=0),
            probes=self._probes,
            failed_probes=self._failed_probes,
        )

    def open_run(self, *, user_id: str, thread_id: str, run_id: str) -> RunEmitter:
        """Begin to keep a run; for the factory, which binds the emitter to the run's engine.

        Raises:
            BridgeNotReadyError: the integration is not active.
            RunExistsError: the run id is in use.
            WrongLoopError: this is not the bridge's event loop.
        """
        self._enter()
        if self._state is not IntegrationState.ACTIVE:
            raise BridgeNotReadyError(
                f"the bridge is {self._state}, so no event would arrive; await ensure_integration() first"
            )
        return RunEmitter(self._delivery, self._delivery.open_run(user_id, thread_id, run_id))

    def claim_thread(self, user_id: str, thread_id: str) -> None:
        """See that a thread that a client names is its user's: the user's who used it first, by a claim or by a run.

        The owner is known while a run on the thread is kept, and after that within `BridgeLimits.threads_per_user` and
        `BridgeLimits.threads_total`. Whoever keeps conversations for longer must keep their owners too.

        Raises:
            ThreadOwnerError: the thread is another user's.
            WrongLoopError: this is not the bridge's event loop.
        """
        self._enter()
        self._delivery.threads.claim(thread_id, user_id)

    def connect(
        self,
        user: AuthenticatedUser,
        transport: Transport,
        *,
        connection_id: str | None = None,
        epoch: str | None = None,
        cursors: Mapping[str, int] | None = None,
    ) -> Connection:
        """Attach an authenticated user's client.

        The client gets a hello, then every event of the user's runs that it does not have and the bridge still holds,
        in order, then the events to come. What it misses and the bridge no longer holds is announced as a gap.

        Args:
            user: proved by an authenticator.
            transport: carries the frames.
            connection_id: a name for logs; a number by default.
            epoch: which server memory the cursors belong to.
            cursors: per run id the number of the last event that the client has.

        Raises:
            BridgeNotReadyError: the bridge was shut down.
            ConnectionLimitError: the user has too many connections.
            WrongLoopError: this is not the bridge's event loop.

        Returns:
            The connection; it is closed already if the transport failed at once.
        """
        self._enter()
        self._refuse_if_shut_down()
        self._connections_made += 1
        name = connection_id or f"connection-{self._connections_made}"
        return self._delivery.attach(name, user, transport, epoch, cursors or {})

    def resume(self, connection: Connection, *, epoch: str | None, cursors: Mapping[str, int]) -> None:
        """Send a connected client once more what it says that it does not have; see `connect` for the arguments."""
        if connection.is_open:
            self._delivery.resume(connection, epoch, cursors)

    def disconnect(self, connection: Connection, code: int = CLOSE_GOING_AWAY, reason: str = "") -> None:
        """Detach and close a connection; does nothing to one that is detached already."""
        if connection.is_open:
            self._enter()
            self._delivery.detach(connection, code, reason)

    def send_control(self, connection: Connection, message: msgspec.Struct) -> None:
        """Queue a control message, such as a refusal, on an open connection."""
        if connection.is_open:
            self._enter()
            self._delivery.put_control(connection, message)

    async def shutdown(self) -> None:
        """Send what the clients' transports take, close all connections and forget all runs.

        Idempotent: called again, it does what an earlier call that was cancelled has left.
        """
        self._enter()
        self._state = IntegrationState.SHUT_DOWN
        self._delivery.flush()
        for connection in self._delivery.connections:
            self._delivery.detach(connection, CLOSE_RESTART, "the server is going down; connect again")
        for run in list(self._delivery.runs.values()):
            self._delivery.forget(run)
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._integration is not None and not self._integration.done():
            self._integration.cancel()
            await asyncio.wait([self._integration])

    async def _shared(self, integration: asyncio.Task[IntegrationResult]) -> IntegrationResult:
        try:
            return await asyncio.shield(integration)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if integration.cancelled() and not (task and task.cancelling()):
                self._refuse_if_shut_down()
            raise

    async def _integrate(self, tries: int) -> IntegrationResult:
        self._state = IntegrationState.INITIALIZING
        for attempt in range(tries):
            if attempt:
                await windows_safe_progressive_delay(
                    attempt - 1, base=self.policy.recovery_delay, cap=self.policy.recovery_delay_cap
                )
            result = await self._probe()
            if result.success:
                break
        if self._state is IntegrationState.SHUT_DOWN:
            return IntegrationResult(False, self._state, "the bridge was shut down meanwhile", result.duration)
        self._state = IntegrationState.ACTIVE if result.success else IntegrationState.FAILED
        self._failures_in_a_row = 0
        self.last_integration_result = msgspec.structs.replace(result, state=self._state)
        return self.last_integration_result

    async def _probe(self) -> IntegrationResult:
        loop = asyncio.get_running_loop()
        began, task = loop.time(), asyncio.current_task()
        self._probes += 1
        error = ""
        try:
            async with asyncio.timeout(self.policy.probe_timeout):
                for name, is_ready in self._backends.items():
                    try:
                        await is_ready()
                    except BaseException as cause:
                        if not is_failure(cause, task):
                            raise
                        error = f"back end {name!r} is not ready: {error_text(cause)}"
                        break
                else:
                    error = await self._probe_delivery()
        except TimeoutError:
            error = f"no answer within {self.policy.probe_timeout:g} s"
        if error:
            self._failed_probes += 1
        return IntegrationResult(not error, self._state, error, loop.time() - began)

    async def _probe_delivery(self) -> str:
        """Send one event to a connection of the bridge's own, all the way that users' events go."""
        arrived = asyncio.get_running_loop().create_future()

        def on_frames(frames: Sequence[bytes]) -> None:
            if not arrived.done() and any(b'"agent_started"' in frame for frame in frames):
                arrived.set_result(None)

        name = f"{PROBE_USER}-{self._probes}"
        user = AuthenticatedUser(name)
        connection = self._delivery.attach(name, user, MemoryTransport(on_frames), None, {}, observed=False)
        run = self._delivery.open_run(name, name, name, observed=False)
        try:
            RunEmitter(self._delivery, run).agent_started("probe")
            await arrived
        except NetraSimError as error:
            return f"the probe was refused: {error}"
        finally:
            self._delivery.detach(connection, CLOSE_GOING_AWAY, "the probe is over")
            self._delivery.forget(run)
        return ""

    def _request_flush(self) -> None:
        asyncio.get_running_loop().call_soon(self._delivery.flush)

    def _request_stall_check(self, connection: Connection) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(self.limits.stalled_seconds, self._delivery.check_stall, connection)

    def _request_expiry(self) -> float:
        """Forget ended runs in time. A timer exists just while there is something to forget: no sweep can be missing."""
        loop = self._delivery.loop
        assert loop is not None  # noqa: S101 - a run has ended, so it has begun on a loop
        if self._expiry is None and not loop.is_closed():
            self._expiry = loop.call_later(self.limits.replay_seconds, self._forget_expired)
        return loop.time()

    def _forget_expired(self) -> None:
        loop = asyncio.get_running_loop()
        self._expiry = None
        due: float | None = loop.time() + self.limits.replay_seconds
        try:
            due = self._delivery.forget_expired(loop.time())
        finally:  # Whatever has failed, and is reported by the loop, the next run is forgotten in its time.
            if due is not None:
                self._expiry = loop.call_at(due, self._forget_expired)

    def _enter(self) -> None:
        """Refuse calls from elsewhere than the bridge's event loop, before anything is changed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        old = self._delivery.loop
        if loop is old is not None:
            return
        if loop is None or (old is not None and not old.is_closed()):
            raise WrongLoopError(
                f"the bridge was used in thread {threading.current_thread().name!r}, outside its event loop, so nothing "
                "was done; hand the call over with loop.call_soon_threadsafe"
            )
        self._delivery.loop, self._delivery.thread = loop, threading.get_ident()
        if old is not None:  # What the old loop had still to do.
            self._expiry = loop.call_soon(self._forget_expired)
            loop.call_soon(self._delivery.flush)

    def _refuse_if_shut_down(self) -> None:
        if self._state is IntegrationState.SHUT_DOWN:
            raise BridgeNotReadyError("the bridge was shut down; make a new one")

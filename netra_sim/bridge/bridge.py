"""`AgentWebSocketBridge`: carries the events of all runs to their owners' clients, and checks that the path works."""

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
"""The owner of probe runs. No context and no token can have this user id, because it contains a NUL."""


class IntegrationState(StrEnum):
    """The state of the bridge; runs can begin only while it is ACTIVE."""

    UNINITIALIZED = "uninitialized"
    INITIALIZING = "initializing"
    ACTIVE = "active"
    DEGRADED = "degraded"
    FAILED = "failed"
    SHUT_DOWN = "shut down"


class IntegrationResult(msgspec.Struct, frozen=True):
    """The outcome of one attempt at integration, recovery or a health check.

    Attributes:
        success: True only if a probe event arrived at its connection and every back end answered.
        state: the state of the bridge after the attempt.
        error: what failed, or "" on success.
        duration: how long the attempt took, in seconds of the loop's clock.
    """

    success: bool
    state: IntegrationState
    error: str
    duration: float


class BridgeMetrics(msgspec.Struct, frozen=True):
    """What the bridge has counted since it was made, and what it holds now."""

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
    """Time limits and retries of integration and recovery; times in seconds. The defaults are those of the original system.

    Attributes:
        probe_timeout: the longest time of one probe, including all back ends.
        check_interval: the pause between two health checks of the monitor.
        failures_before_recovery: failed health checks in a row after which the monitor recovers the bridge.
        recovery_tries: the most probes of one recovery.
        recovery_delay: the pause before the second probe; it doubles before each further one.
        recovery_delay_cap: the longest pause between two probes.

    Raises:
        ValueError: a field is outside its bounds; see `check_bounds`.
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
    """Connects the runs of agents with the WebSocket connections of their users.

    Call all methods on one event loop; elsewhere they raise `WrongLoopError`. After that loop is closed, the bridge belongs
    to the next loop that uses it. A run publishes its events through the emitter that `open_run` returns. Publishing is
    synchronous: the events of one turn of the loop are sent together at the end of that turn.

    Args:
        limits: bounds on memory, for each connection, for each run and in total.
        policy: time limits and retries of integration and recovery.
        backends: by name, the services that must answer before a run can begin, such as a database. Every probe calls and
            awaits each of them; it raises if the service is not ready.
        wall_clock: returns seconds since 1970, for the timestamps of events.
        epoch: the name of this bridge's memory of runs; random by default.
        observer: receives a call for everything that happens.
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
            self._require_loop,
        )

    @property
    def state(self) -> IntegrationState:
        """The state of the integration."""
        return self._state

    @property
    def epoch(self) -> str:
        """The name of this bridge's memory of runs; cursors of another epoch are void."""
        return self._delivery.epoch

    @property
    def replay_bytes(self) -> int:
        """The bytes that are kept for replay now, as in `metrics`."""
        return self._delivery.replay_bytes

    async def ensure_integration(self) -> IntegrationResult:
        """Integrate the bridge unless it is active. Idempotent, and safe to call from many tasks at once.

        Callers share an attempt that is in progress; the cancellation of one caller does not cancel the attempt. Success
        means that every back end answered, and that a probe event went from an emitter through the routing table to a
        connection.

        Returns:
            The result, which `last_integration_result` keeps too. A failed attempt returns a result and raises nothing.

        Raises:
            BridgeNotReadyError: the bridge was shut down.
        """
        self._require_loop()
        self._refuse_if_shut_down()
        if self._state is IntegrationState.ACTIVE and self.last_integration_result is not None:
            return self.last_integration_result
        return await self._shared_integration(1, "bridge integration")

    async def check_health(self) -> IntegrationResult:
        """Probe now. A failed probe makes an active bridge DEGRADED; a successful one makes any bridge ACTIVE."""
        self._require_loop()
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
        """Try to integrate again, several times with growing pauses. Callers share an attempt that is in progress."""
        self._require_loop()
        self._refuse_if_shut_down()
        return await self._shared_integration(self.policy.recovery_tries, "bridge recovery")

    async def monitor(self) -> None:
        """Check the health at intervals until the bridge is shut down, and recover it after several failures in a row.

        Run this as a task. An error inside a check goes to the loop's exception handler, and the next check takes place as
        usual.
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
        """What the bridge has counted since it was made, and what it holds now."""
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
        """Register a new run and return its emitter. The factory calls this and gives the emitter to the run's engine.

        Raises:
            BridgeNotReadyError: the bridge is not active.
            RunExistsError: the run id is in use.
            WrongLoopError: this is not the bridge's event loop.
        """
        self._require_loop()
        if self._state is not IntegrationState.ACTIVE:
            raise BridgeNotReadyError(
                f"the bridge is {self._state}, so no event would arrive; await ensure_integration() first"
            )
        return RunEmitter(self._delivery, self._delivery.open_run(user_id, thread_id, run_id))

    def claim_thread(self, user_id: str, thread_id: str) -> None:
        """Check that the user owns the thread. The first user who claims a thread, or runs on it, becomes its owner.

        The bridge knows the owner while it keeps a run on the thread, and after that within `BridgeLimits.threads_per_user`
        and `BridgeLimits.threads_total`. An application that keeps conversations for longer must keep their owners too.

        Raises:
            ThreadOwnerError: the thread belongs to another user.
            WrongLoopError: this is not the bridge's event loop.
        """
        self._require_loop()
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
        """Attach a client of an authenticated user.

        The client gets a `Hello`, then in order every event of the user's runs that it lacks and the bridge still keeps,
        then new events as they are published. A `Gap` announces events that it lacks and the bridge no longer keeps.

        Args:
            user: the authenticated user.
            transport: carries the frames to the client.
            connection_id: a name for logs; ``connection-N`` by default.
            epoch: the epoch that the cursors belong to, or None.
            cursors: for each run id, the number of the last event that the client has.

        Raises:
            BridgeNotReadyError: the bridge was shut down.
            ConnectionLimitError: the user has too many connections.
            WrongLoopError: this is not the bridge's event loop.

        Returns:
            The connection; it is already closed if the transport failed at once.
        """
        self._require_loop()
        self._refuse_if_shut_down()
        self._connections_made += 1
        name = connection_id or f"connection-{self._connections_made}"
        return self._delivery.attach(name, user, transport, epoch, cursors or {})

    def resume(self, connection: Connection, *, epoch: str | None, cursors: Mapping[str, int]) -> None:
        """Replay to a connected client the events that it lacks; see `connect` for the arguments."""
        if connection.is_open:
            self._delivery.resume(connection, epoch, cursors)

    def disconnect(self, connection: Connection, code: int = CLOSE_GOING_AWAY, reason: str = "") -> None:
        """Detach and close a connection. Does nothing if it is detached already."""
        if connection.is_open:
            self._require_loop()
            self._delivery.detach(connection, code, reason)

    def send_control(self, connection: Connection, message: msgspec.Struct) -> None:
        """Queue a control message, such as a refusal, on an open connection."""
        if connection.is_open:
            self._require_loop()
            self._delivery.put_control(connection, message)

    async def shutdown(self) -> None:
        """Send what the transports accept, close all connections and forget all runs.

        Idempotent: a second call completes a first one that was cancelled.
        """
        self._require_loop()
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

    async def _shared_integration(self, tries: int, name: str) -> IntegrationResult:
        if self._integration is None or self._integration.done():
            self._integration = asyncio.create_task(self._integrate(tries), name=name)
        integration = self._integration
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
        """Send one event to a connection of the bridge itself, by the path of users' events; return what failed, or ""."""
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
        """Start the timer that forgets ended runs, unless it is running; return the loop's time.

        The timer runs only while there are ended runs.
        """
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
        finally:  # After an error, which the loop reports, the other runs must still be forgotten.
            if due is not None:
                self._expiry = loop.call_at(due, self._forget_expired)

    def _require_loop(self) -> None:
        """Raise `WrongLoopError`, before anything changes, unless the caller is on the bridge's event loop."""
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
        if old is not None:  # The old loop left these two undone.
            self._expiry = loop.call_soon(self._forget_expired)
            loop.call_soon(self._delivery.flush)

    def _refuse_if_shut_down(self) -> None:
        if self._state is IntegrationState.SHUT_DOWN:
            raise BridgeNotReadyError("the bridge was shut down; make a new one")

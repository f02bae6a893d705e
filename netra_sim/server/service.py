"""`AgentService`: the state that all connections of one server share, over WebSockets and ASGI alike."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, IntegrationState
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import ExecutionEngineFactory, PipelineResult, answer_message
from netra_sim.protocol import CLOSE_REPLACED, CLOSE_UNAUTHENTICATED, Draining
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server.handshake import (
    AuthenticationError,
    AuthenticationUnavailableError,
    Authenticator,
    Handshake,
    Refusal,
    forbidden,
    normal_origins,
    try_later,
    unauthenticated,
)
from netra_sim.server.limits import ServerLimits, UserRates
from netra_sim.server.metrics import ServerMetrics
from netra_sim.server.tracing import span

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
"""How long a stopping server waits, in seconds, until its last messages are sent."""

_FLUSH_POLL = 0.02


class ConnectedClient(Protocol):
    """What the service needs of the conversation with one client.

    Attributes:
        user: the user of the client's newest token.
        connection: the client's connection to the bridge; None before its ``resume``.
        heard_at: when its last message came, in seconds of the loop's clock.
    """

    user: AuthenticatedUser
    connection: Connection | None
    heard_at: float

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection, if it is open."""


class Slot:
    """Counts one open socket of the process; use it as a context, which gives the slot back.

    Attributes:
        is_ready: whether the client has sent ``resume``.
    """

    def __init__(self, service: "AgentService") -> None:
        self._service = service
        self._is_ready = self._is_over = False
        service.sockets += 1
        service.unready_sockets += 1

    @property
    def is_ready(self) -> bool:  # noqa: D102 - an attribute
        return self._is_ready

    @is_ready.setter
    def is_ready(self, value: bool) -> None:
        if value and not self._is_ready:
            self._is_ready = True
            self._service.unready_sockets -= 1

    @property
    def is_over_limit(self) -> bool:
        """Whether the process has more sockets than its limits allow, so that this one must be refused."""
        limits, service = self._service.limits, self._service
        return service.sockets > limits.connections or service.unready_sockets > limits.unready_connections

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Stop counting the socket, because it is closed. Idempotent."""
        if not self._is_over:
            self._is_over = self.is_ready = True
            self._service.sockets -= 1


class AgentService:
    """A bridge and a factory with the parts of a server: authentication, limits, health checks, metrics, shutdown.

    Use it as an asynchronous context. Entering it integrates the bridge and starts to monitor its health: it notices a dead
    back end within `IntegrationPolicy.check_interval`, refuses new runs as ``not_ready``, and accepts them again after
    recovery. Leaving the context drains the server; see `stop`.

    Args:
        bridge: carries the events.
        execution_factory: makes the engines.
        authenticator: finds out which user a client is; None if the caller of `serve_connection` does that.
        origins: the origins of web pages that may connect; None in the list allows clients that are not browsers.
        limits: limits on the clients.
        drain: seconds that live runs may go on during the shutdown.
        wall_clock: returns seconds since 1970, for the expiry of tokens.

    Raises:
        ValueError: an origin is malformed, such as an address with a path.

    Attributes:
        sockets: the number of open sockets of this process.
        unready_sockets: the number of these that have not sent ``resume``.
        messages: the rate of each user's messages, over all sockets.
        control_frames: the same for pings and pongs.
        arrivals: the rate of each user's new connections.
    """

    def __init__(
        self,
        *,
        bridge: AgentWebSocketBridge,
        execution_factory: ExecutionEngineFactory,
        authenticator: Authenticator | None = None,
        origins: Sequence[str | None] = (None,),
        limits: ServerLimits | None = None,
        drain: float = 0.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.bridge = bridge
        self.factory = execution_factory
        self.limits = limits or ServerLimits()
        self.metrics = ServerMetrics(self)
        self.wall_clock = wall_clock
        self.sockets: int = 0
        self.unready_sockets: int = 0
        self._authenticator = authenticator
        self._origins = normal_origins(origins)
        self._drain = drain
        self._is_draining = False
        self._clients: dict[str, list[ConnectedClient]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._monitoring: asyncio.Task[None] | None = None
        self.messages = UserRates(self.limits.messages_per_second, self.limits.message_burst)
        self.control_frames = UserRates(self.limits.messages_per_second, self.limits.message_burst)
        self.arrivals = UserRates(self.limits.arrivals_per_second, self.limits.arrival_burst)
        self._revoked_users: dict[str, float] = {}
        self._revoked_tokens: set[str] = set()

    async def __aenter__(self) -> "AgentService":
        result = await self.bridge.ensure_integration()
        if not result.success:
            log.warning("the server starts, but is not ready: %s", result.error)
        self._monitoring = asyncio.create_task(self.bridge.monitor(), name="monitor of the bridge")
        self._monitoring.add_done_callback(_report_end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def is_ready(self) -> bool:
        """Whether new runs can begin."""
        return not self._is_draining and self.bridge.state is IntegrationState.ACTIVE

    def take_slot(self) -> Slot:
        """Count one more socket; the caller must check `Slot.is_over_limit`."""
        return Slot(self)

    async def admit(self, handshake: Handshake, slot: Slot) -> AuthenticatedUser | Refusal:
        """Authenticate a client: return its user, or why it is refused. Call this before anything is done for the client."""
        if slot.is_over_limit:
            return try_later("the server is full; try again later")
        if handshake.origin not in self._origins:
            return forbidden("pages of this origin may not connect" if handshake.origin else "only pages may connect")
        if self._authenticator is None:
            raise RuntimeError("the service has no authenticator; give it one, or call serve_connection with a user")
        try:
            async with asyncio.timeout(self.limits.authentication_seconds):
                user = await self._authenticator.authenticate(handshake)
            self._refuse_revoked(user)
        except AuthenticationError as error:
            return unauthenticated(str(error))
        except (AuthenticationUnavailableError, TimeoutError):
            return try_later("proofs cannot be checked now; try again later")
        except Exception:
            log.exception("the authenticator failed")
            return try_later("proofs cannot be checked now; try again later")
        return user

    async def authenticate_token(self, token: str) -> AuthenticatedUser:
        """Return the user of a token that came over an open connection.

        Raises:
            AuthenticationError: the token is not valid or was revoked, or the service has no authenticator.
            AuthenticationUnavailableError: the token cannot be checked now.
        """
        if self._authenticator is None:
            raise AuthenticationError("this server takes no tokens over an open connection")
        try:
            async with asyncio.timeout(self.limits.authentication_seconds):
                user = await self._authenticator.authenticate_token(token)
        except TimeoutError:
            raise AuthenticationUnavailableError("the token cannot be checked now") from None
        except NetraSimError:
            raise
        except Exception:
            log.exception("the authenticator failed")
            raise AuthenticationUnavailableError("the token cannot be checked now") from None
        self._refuse_revoked(user)
        return user

    def revoke_user(self, user_id: str) -> int:
        """Close a user's connections with 4401, and refuse all tokens that the user got until now.

        This process remembers the revocation until it ends. It cannot refuse a token without a time of issue; only the
        authenticator can.

        Returns:
            The number of closed connections.
        """
        self._revoked_users[user_id] = self.wall_clock()
        return self._close(list(self._clients.get(user_id, ())))

    def revoke_token(self, token_id: str) -> int:
        """Close the connections of a token, given by its ``jti``, with 4401, and refuse it until the process ends.

        Returns:
            The number of closed connections.
        """
        self._revoked_tokens.add(token_id)
        return self._close([one for one in self._everybody() if one.user.token_id == token_id])

    def execute(self, message: object, connection: Connection) -> None:
        """Start a request as a task. The run's events go to all connections of the user, a refusal only to this one."""
        task = asyncio.create_task(self._answer(message, connection), name=f"message on {connection.connection_id}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def enter(self, client: ConnectedClient) -> None:
        """Register a client. If its user has too many, close the one that seems most likely to be dead.

        The newest connection wins, because a client that lost its network cannot close its old connections.
        """
        own = self._clients.setdefault(client.user.user_id, [])
        while len(own) >= self.bridge.limits.connections_per_user:
            stalest = min(own, key=lambda one: (one.is_flushed, one.heard_at))
            own.remove(stalest)
            stalest.close(CLOSE_REPLACED, "a newer connection of this user took its place")
        own.append(client)

    def leave(self, client: ConnectedClient, code: int) -> None:
        """Remove a client; its connection has ended with this close code."""
        self.metrics.closed(code)
        user_id = client.user.user_id
        left = [one for one in self._clients.get(user_id, ()) if one is not client]
        if left:
            self._clients[user_id] = left
        else:
            self._clients.pop(user_id, None)

    async def stop(self, drain: float | None = None) -> None:
        """Drain and stop: tell every client, begin no more runs, let live runs go on, end the others, close all connections.

        Idempotent. A second call with ``drain=0`` during the first one ends the live runs at once.

        Args:
            drain: seconds that live runs may go on; by default those of the service.
        """
        seconds = self._drain if drain is None else drain
        if not self._is_draining:
            self._is_draining = True
            log.info("the server goes down", extra={"drain_seconds": seconds, "runs": self.factory.live_engines()})
            for one in self._everybody():
                if one.connection is not None:
                    self.bridge.send_control(one.connection, Draining(seconds))
        await self.factory.shutdown(seconds)
        if self._answers:
            await asyncio.wait(self._answers)
        await self._flush()
        if self._monitoring is not None:
            self._monitoring.cancel()
            with suppress(asyncio.CancelledError):
                await self._monitoring
            self._monitoring = None
        await self.bridge.shutdown()

    async def _answer(self, message: object, connection: Connection) -> None:
        with span("execute_agent", user=connection.user_id, connection=connection.connection_id) as attributes:
            result: PipelineResult | None = await answer_message(
                message, connection, bridge=self.bridge, execution_factory=self.factory
            )
            if result is None:
                self.metrics.refused("run")
                return
            attributes["run"], attributes["status"] = result.run_id, str(result.status)
        self.metrics.ran(str(result.status), result.seconds)
        names = {name: getattr(result, name) for name in ("run_id", "thread_id", "user_id", "seconds")}
        log.info("run ended", extra=names | {"status": str(result.status)})

    def _everybody(self) -> list[ConnectedClient]:
        return [one for several in self._clients.values() for one in several]

    def _close(self, clients: list[ConnectedClient]) -> int:
        for one in clients:
            one.close(CLOSE_UNAUTHENTICATED, "the proof of who you are was revoked")
        return len(clients)

    def _refuse_revoked(self, user: AuthenticatedUser) -> None:
        revoked_at = self._revoked_users.get(user.user_id)
        is_old = revoked_at is not None and user.issued_at is not None and user.issued_at <= revoked_at
        if is_old or user.token_id in self._revoked_tokens:
            raise AuthenticationError("the token was revoked")

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_SECONDS
        while loop.time() < deadline and not all(one.is_flushed for one in self._everybody()):
            await windows_safe_sleep(_FLUSH_POLL)


def _report_end(monitoring: asyncio.Task[None]) -> None:
    if not monitoring.cancelled() and (error := monitoring.exception()) is not None:
        log.error("the monitor of the bridge has ended; failing back ends are no longer noticed", exc_info=error)

"""`AgentService`: what all connections of one server share, whichever way they come in."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, Connection, IntegrationState
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import ExecutionEngineFactory, PipelineResult, answer_message
from netra_sim.protocol import CLOSE_REPLACED, CLOSE_UNAUTHENTICATED, Draining
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server.conversation import Conversation
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
"""How long a server that goes down waits for clients to take what they were sent."""

_FLUSH_LOOK = 0.02


class Slot:
    """A socket's place among those of the process; use it as a context, which gives it back.

    Attributes:
        is_ready: whether the client has said ``resume``.
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
        """Whether the process has more sockets than its limits allow, and this one is to go."""
        limits, service = self._service.limits, self._service
        return service.sockets > limits.connections or service.unready_sockets > limits.unready_connections

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """The socket is closed; idempotent."""
        if not self._is_over:
            self._is_over = self.is_ready = True
            self._service.sockets -= 1


class AgentService:
    """A bridge and a factory with everything that a server adds: who may come in, limits, health, metrics, going down.

    Use it as an asynchronous context. Entering it integrates the bridge and begins to watch its health: a back end that
    dies is noticed within `IntegrationPolicy.check_interval`, new runs are then refused as ``not_ready``, and recovery
    brings them back. Leaving it drains; see `stop`.

    Args:
        bridge: carries the events.
        execution_factory: makes the engines.
        authenticator: says who a client is; None if the caller of `serve_connection` finds that out.
        origins: web pages whose scripts may connect; None in the list allows clients that are no browsers.
        limits: what is taken from clients.
        drain: seconds that live runs may go on when the server goes down.
        wall_clock: seconds since the epoch, for the expiry of proofs.

    Raises:
        ValueError: an origin is none.

    Attributes:
        sockets: open sockets of this process.
        unready_sockets: of these, those that have not said ``resume``.
        messages: how fast each user's messages come, over all sockets.
        control_frames: the same of pings and pongs.
        arrivals: how fast each user connects.
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
        self.sockets = 0
        self.unready_sockets = 0
        self._authenticator = authenticator
        self._origins = normal_origins(origins)
        self._drain = drain
        self._is_draining = False
        self._conversations: dict[str, list[Conversation]] = {}
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
        """A place for one more socket; the caller looks at `Slot.is_over_limit`."""
        return Slot(self)

    async def admit(self, handshake: Handshake, slot: Slot) -> AuthenticatedUser | Refusal:
        """Who a client is, or why it does not come in; nothing has been done for it before."""
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
        """Whom a token proves that came over an open connection.

        Raises:
            AuthenticationError: nobody.
            AuthenticationUnavailableError: that cannot be found out now.
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
        """Close a user's connections with 4401, and refuse the tokens that the user was given until now.

        This process remembers it until its end. A proof without a date of issue is only the authenticator's to refuse.

        Returns:
            How many connections were closed.
        """
        self._revoked_users[user_id] = self.wall_clock()
        return self._close(list(self._conversations.get(user_id, ())))

    def revoke_token(self, token_id: str) -> int:
        """Close the connections that a token (its ``jti``) has opened with 4401, and refuse it until the process ends.

        Returns:
            How many connections were closed.
        """
        self._revoked_tokens.add(token_id)
        return self._close([one for one in self._everybody() if one.user.token_id == token_id])

    def execute(self, message: object, connection: Connection) -> None:
        """Begin to carry out a request; its answer goes to the connection's user, wherever that user then is."""
        task = asyncio.create_task(self._answer(message, connection), name=f"message on {connection.connection_id}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def enter(self, conversation: Conversation) -> None:
        """A client has come. A user's newest connection wins, as one that lost its network cannot close its old ones."""
        own = self._conversations.setdefault(conversation.user.user_id, [])
        while len(own) >= self.bridge.limits.connections_per_user:
            stalest = min(own, key=lambda one: (one.is_flushed, one.heard_at))
            own.remove(stalest)
            stalest.close(CLOSE_REPLACED, "a newer connection of this user took its place")
        own.append(conversation)

    def leave(self, conversation: Conversation, code: int) -> None:
        """A client has gone."""
        self.metrics.closed(code)
        user_id = conversation.user.user_id
        left = [one for one in self._conversations.get(user_id, ()) if one is not conversation]
        if left:
            self._conversations[user_id] = left
        else:
            self._conversations.pop(user_id, None)

    async def stop(self, drain: float | None = None) -> None:
        """Go down: begin no more runs, let live ones go on, end the others, tell every client, close all; idempotent.

        Args:
            drain: seconds that live runs may go on; the service's own unless given. Calling this again with 0 while it waits
                ends them at once.
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

    def _everybody(self) -> list[Conversation]:
        return [one for several in self._conversations.values() for one in several]

    def _close(self, conversations: list[Conversation]) -> int:
        for one in conversations:
            one.close(CLOSE_UNAUTHENTICATED, "the proof of who you are was revoked")
        return len(conversations)

    def _refuse_revoked(self, user: AuthenticatedUser) -> None:
        revoked_at = self._revoked_users.get(user.user_id)
        is_old = revoked_at is not None and user.issued_at is not None and user.issued_at <= revoked_at
        if is_old or user.token_id in self._revoked_tokens:
            raise AuthenticationError("the token was revoked")

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_SECONDS
        while loop.time() < deadline and not all(one.is_flushed for one in self._everybody()):
            await windows_safe_sleep(_FLUSH_LOOK)


def _report_end(monitoring: asyncio.Task[None]) -> None:
    if not monitoring.cancelled() and (error := monitoring.exception()) is not None:
        log.error("the monitor of the bridge has ended; failing back ends are no longer noticed", exc_info=error)

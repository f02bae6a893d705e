"""`serve_connection`: the server's side of docs/protocol.md for one client, over any transport."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import msgspec

from netra_sim.bridge import AuthenticatedUser, Connection, Transport
from netra_sim.exceptions import BridgeNotReadyError, ConnectionLimitError, NetraSimError
from netra_sim.factory import MESSAGE_TYPES, run_id_of
from netra_sim.factory.routing import short_repr
from netra_sim.protocol import (
    CLOSE_ERRORS,
    CLOSE_GOING_AWAY,
    CLOSE_INTERNAL,
    CLOSE_LOST,
    CLOSE_POLICY,
    CLOSE_PROTOCOL,
    CLOSE_RATE,
    CLOSE_RESTART,
    CLOSE_SILENT,
    CLOSE_TOO_BIG,
    CLOSE_TRY_LATER,
    CLOSE_UNAUTHENTICATED,
    Authenticated,
    Pong,
    Refused,
)
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server.handshake import AuthenticationError, AuthenticationUnavailableError
from netra_sim.server.service import AgentService, Slot

log = logging.getLogger(__name__)

_TOO_FAST_PAUSE = 1.0

LONGEST_TIMER = 3600.0
"""The longest timer for the expiry of a token, in seconds; then the wall clock is read again, as it may have been set."""


class ClientGoneError(NetraSimError, ConnectionError):
    """The client has closed or lost its connection. The ``receive`` function of `serve_connection` raises it."""

    def __init__(self, code: int = CLOSE_LOST, reason: str = "") -> None:
        super().__init__(f"the client is gone: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Resume(msgspec.Struct, frozen=True, tag_field="type", tag="resume"):
    """The first message of every connection: says which events the client has, so that the server sends the others.

    Attributes:
        epoch: the epoch of the cursors; None on a first connection.
        cursors: for each run, the number of the last event that the client has.
    """

    epoch: str | None = None
    cursors: dict[str, int] = {}


class Cancel(msgspec.Struct, frozen=True, tag_field="type", tag="cancel"):
    """Ends a run of the user, given by its request id or its run id."""

    request_id: str | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        if (self.request_id is None) == (self.run_id is None):
            raise ValueError("cancel names either a request_id or a run_id")


class Authenticate(msgspec.Struct, frozen=True, tag_field="type", tag="authenticate"):
    """Brings a newer token of the same user."""

    token: str


class Ping(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """Asks for a `Pong` with the same id."""

    id: Annotated[str, msgspec.Meta(max_length=64)] | None = None


Receive = Callable[[], Awaitable[str | bytes]]
"""Waits for the client's next message. Raises `ClientGoneError` if none will come, for example after the transport's
`close`."""

_MESSAGES: Mapping[str, type[msgspec.Struct]] = {
    **MESSAGE_TYPES,
    **{str(one.__struct_config__.tag): one for one in (Resume, Cancel, Authenticate, Ping)},
}

_decode = msgspec.json.Decoder().decode
_decode_resume = msgspec.json.Decoder(Resume).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


async def serve_connection(
    user: AuthenticatedUser,
    receive: Receive,
    transport: Transport,
    service: AgentService,
    *,
    slot: Slot | None = None,
) -> None:
    """Serve one client until either side ends the conversation, then close the transport.

    Args:
        user: the authenticated user.
        receive: waits for the client's next message.
        transport: carries frames to the client.
        service: the state that all connections share.
        slot: the slot of the socket, if it has one already.
    """
    with slot or service.take_slot() as place:
        await Conversation(user, receive, transport, service, place).run()


class _CloseError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _RefusedError(Exception):
    def __init__(self, code: str, detail: str, request_id: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.request_id = request_id


class Conversation:
    """The conversation with one client.

    Attributes:
        user: the user of the newest accepted token.
        connection: the client's connection to the bridge; None before its ``resume``.
        heard_at: when the last message came, in seconds of the loop's clock.
    """

    def __init__(
        self, user: AuthenticatedUser, receive: Receive, transport: Transport, service: AgentService, slot: Slot
    ) -> None:
        self.user = user
        self.transport = transport
        self.connection: Connection | None = None
        self._receive = receive
        self._service = service
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self._bucket = service.messages.of(user.user_id)
        self._errors = 0
        self._expiry: asyncio.TimerHandle | None = None
        self.heard_at = self._loop.time()

    async def run(self) -> None:
        """Serve the client until either side ends the conversation."""
        code, reason = CLOSE_INTERNAL, "the server failed"
        try:
            if self._slot.is_over_limit:
                raise _CloseError(CLOSE_TRY_LATER, "the server is full; try again later")
            if not self._service.arrivals.of(self.user.user_id).take():
                await windows_safe_sleep(_TOO_FAST_PAUSE)  # Nothing is read meanwhile, which slows a flood down.
                raise _CloseError(CLOSE_TRY_LATER, "too many connections in a short time; try again later")
            self._service.enter(self)
            await self._converse()
            code, reason = CLOSE_GOING_AWAY, "closed by the server"
        except ClientGoneError as gone:
            code, reason = gone.code, gone.reason
        except _CloseError as closing:
            code, reason = closing.code, closing.reason
        except asyncio.CancelledError:
            code, reason = CLOSE_GOING_AWAY, "the server stopped serving this connection"
            raise
        except Exception:
            log.exception("the conversation with a client failed", extra=self._names)
        finally:
            if self._expiry is not None:
                self._expiry.cancel()
            self.close(code, reason)
            self._service.leave(self, code)
            log.info("connection closed", extra=self._names | {"code": code, "reason": reason})

    def close(self, code: int, reason: str) -> None:
        """Close the connection. Does nothing if it is closed already."""
        if self.connection is not None:
            self._service.bridge.disconnect(self.connection, code, reason)
        else:
            self.transport.close(code, reason)

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent: the outbox, the replay and the transport's buffer are empty, or it is closed."""
        connection = self.connection
        if connection is None or not connection.is_open:
            return True
        return not connection.outbox and not connection.behind and not connection.transport.buffered()

    @property
    def _names(self) -> dict[str, object]:
        name = "" if self.connection is None else self.connection.connection_id
        return {"user_id": self.user.user_id, "connection_id": name}

    async def _converse(self) -> None:
        self.connection = connection = await self._greet()
        self._slot.is_ready = True
        self._arm_expiry()
        log.info("connection opened", extra=self._names)
        while True:
            message = await self._receive()
            self.heard_at = self._loop.time()
            if not connection.is_open:
                return
            await self._take(message)
            await windows_safe_sleep(0)  # Other tasks get a turn between two messages, however fast these come.

    async def _greet(self) -> Connection:
        seconds = self._service.limits.resume_seconds
        try:
            async with asyncio.timeout(seconds):
                first = await self._receive()
        except TimeoutError:
            raise _CloseError(CLOSE_SILENT, f"no resume message within {seconds:g} s") from None
        self._refuse_too_big(first)
        try:
            resume = _decode_resume(first)
        except _UNREADABLE as error:
            raise _CloseError(CLOSE_PROTOCOL, f"the first message must be resume: {error}") from None
        try:
            return self._service.bridge.connect(self.user, self.transport, epoch=resume.epoch, cursors=resume.cursors)
        except ConnectionLimitError as error:
            raise _CloseError(CLOSE_POLICY, str(error)) from None
        except BridgeNotReadyError:  # the server was stopped since the handshake
            raise _CloseError(CLOSE_RESTART, "the server is going down; connect again") from None

    async def _take(self, message: str | bytes) -> None:
        self._refuse_too_big(message)
        try:
            await self._carry_out(message)
        except _RefusedError as refusal:
            self._refuse(refusal)
            code = refusal.code
            self._errors += code in ("malformed", "unknown_type", "rate_limited")
            if self._errors >= self._service.limits.errors_in_a_row:
                closing = CLOSE_RATE if code == "rate_limited" else CLOSE_ERRORS
                raise _CloseError(closing, f"{self._errors} messages in a row were refused") from None
        else:
            self._errors = 0

    async def _carry_out(self, message: str | bytes) -> None:
        limits = self._service.limits
        if not self._bucket.take():
            rate, burst = limits.messages_per_second, limits.message_burst
            raise _RefusedError("rate_limited", f"at most {rate:g} messages a second are taken, and {burst} at once")
        try:
            data = _decode(message)
        except _UNREADABLE as error:
            raise _RefusedError("malformed", f"a message is a JSON object: {error}") from None
        if not isinstance(data, dict):
            raise _RefusedError("malformed", f"a message is a JSON object, and this is {type(data).__name__}")
        given = data.get("request_id")
        request_id = given if isinstance(given, str) else None
        kind = data.get("type")
        message_class = _MESSAGES.get(kind) if isinstance(kind, str) else None
        if message_class is None:
            known = ", ".join(_MESSAGES)
            raise _RefusedError(
                "unknown_type", f"the message's type is {short_repr(kind)}; known are: {known}", request_id
            )
        try:
            request = msgspec.convert(data, message_class)
        except (msgspec.ValidationError, RecursionError) as error:
            raise _RefusedError("malformed", f"the {kind} message cannot be read: {error}", request_id) from None
        self._service.metrics.message(str(kind))
        match request:
            case Resume():
                self._service.bridge.resume(self._attached, epoch=request.epoch, cursors=request.cursors)
            case Cancel():
                self._cancel(request)
            case Authenticate():
                await self._authenticate(request.token)
            case Ping():
                self._service.bridge.send_control(self._attached, Pong(request.id))
            case _:
                self._service.execute(data, self._attached)

    def _cancel(self, request: Cancel) -> None:
        user_id = self.user.user_id
        run_id = run_id_of(user_id, request.request_id) if request.request_id is not None else request.run_id
        if run_id is None or not self._service.factory.cancel_run(user_id, run_id):
            raise _RefusedError("unknown_run", "you have no live run of this name", request.request_id)

    async def _authenticate(self, token: str) -> None:
        service = self._service
        try:
            user = await service.authenticate_token(token)
        except (AuthenticationError, AuthenticationUnavailableError) as error:
            raise _RefusedError("unauthenticated", str(error)) from None
        if user.user_id != self.user.user_id:
            raise _RefusedError("forbidden", "the token is another user's; open another connection for it")
        self.user = self._attached.user = user
        self._arm_expiry()
        service.bridge.send_control(self._attached, Authenticated(user.user_id, user.expires_at))

    def _refuse(self, refusal: _RefusedError) -> None:
        self._service.metrics.refused(refusal.code)
        self._service.bridge.send_control(self._attached, Refused(refusal.code, refusal.detail, refusal.request_id))

    def _refuse_too_big(self, message: str | bytes) -> None:
        most = self._service.limits.message_bytes
        if len(message) > most:
            raise _CloseError(CLOSE_TOO_BIG, f"a message has at most {most} bytes")

    def _arm_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.user.expires_at is None:
            return
        left = self.user.expires_at - self._service.wall_clock()
        if left <= 0:
            self.close(CLOSE_UNAUTHENTICATED, "the token has expired")
        else:
            self._expiry = self._loop.call_later(min(left, LONGEST_TIMER), self._arm_expiry)

    @property
    def _attached(self) -> Connection:
        if self.connection is None:
            raise RuntimeError("the client has not said resume")
        return self.connection

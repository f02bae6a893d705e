"""What a client says of itself as it opens a connection, who that proves it to be, and how it is turned away."""

from collections.abc import Iterable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Protocol

import msgspec

from netra_sim.bridge import AuthenticatedUser
from netra_sim.exceptions import NetraSimError
from netra_sim.protocol import CLOSE_FORBIDDEN, CLOSE_TRY_LATER, CLOSE_UNAUTHENTICATED

SUBPROTOCOL = "netra.v1"
"""What the server speaks; see docs/protocol.md."""

BEARER_PREFIX = "bearer."
"""Begins a subprotocol that carries a token, as browsers can set no header. It is never sent back."""

TOKEN_COOKIE = "netra_token"  # noqa: S105 - a name


class AuthenticationError(NetraSimError):
    """There is no proof, or it proves nothing; the client is told no more than that."""


class AuthenticationUnavailableError(NetraSimError):
    """Proofs cannot be checked now, such as when the keys cannot be fetched; the client may try again later."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """The request with which a client opens its connection.

    Attributes:
        headers: names in lower case, and values, in the order in which they came.
        path: without the query.
        query: as it came; a token in it is never looked at.
    """

    headers: tuple[tuple[str, str], ...] = ()
    path: str = "/"
    query: str = ""

    def values(self, name: str) -> list[str]:
        """All values of a header, whose name is given in lower case."""
        return [value for one, value in self.headers if one == name]

    @property
    def origin(self) -> str | None:
        """The page whose script connects, as its browser says; None for a program. Two of them are no origin of any page."""
        return ", ".join(values) if (values := self.values("origin")) else None

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers to speak, its favourite first."""
        offered = ",".join(self.values("sec-websocket-protocol")).split(",")
        return [stripped for one in offered if (stripped := one.strip())]

    def cookies(self, name: str) -> list[str]:
        """The values of a cookie: several if it was sent for several paths."""
        found = []
        for pair in ";".join(self.values("cookie")).split(";"):
            try:
                cookie = SimpleCookie(pair.strip())
            except CookieError:
                continue
            found += [morsel.value for one, morsel in cookie.items() if one == name]
        return found

    def subprotocol(self) -> str | None:
        """What the server selects."""
        return SUBPROTOCOL if SUBPROTOCOL in self.subprotocols else None


def bearer_token(handshake: Handshake, *, cookie: str = TOKEN_COOKIE) -> str:
    """The one token that a client shows: in its header or subprotocol, or else, from a page, in its cookie.

    A cookie counts for a page only, since the server checks a page's origin: other sites' pages make a browser send it too.

    Raises:
        AuthenticationError: there is none, or more than one.
    """
    tokens = [
        token.strip()
        for scheme, _, token in map(_words, handshake.values("authorization"))
        if scheme.lower() == "bearer"
    ]
    unreadable = len(handshake.values("authorization")) - len(tokens)
    tokens += [one[len(BEARER_PREFIX) :] for one in handshake.subprotocols if one.startswith(BEARER_PREFIX)]
    if not tokens and not unreadable and handshake.origin is not None:
        tokens = handshake.cookies(cookie)
    if len(tokens) != 1 or unreadable or not tokens[0]:
        raise AuthenticationError("exactly one bearer token is needed")
    return tokens[0]


def _words(value: str) -> tuple[str, str, str]:
    return value.partition(" ")


class Authenticator(Protocol):
    """Says who a client is. It may wait, such as for keys or for a session store."""

    async def authenticate(self, handshake: Handshake) -> AuthenticatedUser:
        """Who opens this connection.

        Raises:
            AuthenticationError: nothing proves who it is.
            AuthenticationUnavailableError: that cannot be found out now.
        """

    async def authenticate_token(self, token: str) -> AuthenticatedUser:
        """Whom a token proves, which a client sends over its open connection in place of one that is about to expire.

        Raises:
            AuthenticationError: nobody.
            AuthenticationUnavailableError: that cannot be found out now.
        """


class Refusal(msgspec.Struct, frozen=True):
    """How a client is turned away: with an HTTP status, or a page, which would not see that, with a close code."""

    status: HTTPStatus
    code: int
    reason: str

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        if self.status is HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": "1"} if self.status is HTTPStatus.SERVICE_UNAVAILABLE else {}


def unauthenticated(reason: str) -> Refusal:
    """Nothing proves who the client is."""
    return Refusal(HTTPStatus.UNAUTHORIZED, CLOSE_UNAUTHENTICATED, reason)


def forbidden(reason: str) -> Refusal:
    """The page may not connect."""
    return Refusal(HTTPStatus.FORBIDDEN, CLOSE_FORBIDDEN, reason)


def try_later(reason: str) -> Refusal:
    """The server cannot take the client now."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CLOSE_TRY_LATER, reason)


def normal_origins(origins: Iterable[str | None]) -> frozenset[str | None]:
    """The origins in the form in which browsers send them; None stands for clients that are no browsers.

    Raises:
        ValueError: one is no origin, such as an address with a path.
    """
    return frozenset(None if origin is None else _normal_origin(origin) for origin in origins)


def _normal_origin(origin: str) -> str:
    scheme, separator, host = origin.strip().lower().rstrip("/").partition("://")
    if not separator or not scheme.isalpha() or not host or set(host) & set("/?#@ \t*"):
        raise ValueError(f"an origin is a scheme and a host, such as https://app.example, and this is {origin!r}")
    default_port = {"http": ":80", "https": ":443"}.get(scheme)
    return f"{scheme}://{host.removesuffix(default_port) if default_port else host}"

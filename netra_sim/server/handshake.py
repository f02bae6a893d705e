"""The opening request of a client, the proof of its user, and the ways to refuse it."""

from collections.abc import Iterable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Protocol

import msgspec

from netra_sim.bridge import AuthenticatedUser
from netra_sim.exceptions import NetraSimError
from netra_sim.protocol import CLOSE_FORBIDDEN, CLOSE_TRY_LATER, CLOSE_UNAUTHENTICATED

SUBPROTOCOL = "netra.v1"
"""The WebSocket subprotocol of docs/protocol.md."""

BEARER_PREFIX = "bearer."
"""The prefix of a subprotocol that carries a token, because browsers cannot set headers. The server never sends it back."""

TOKEN_COOKIE = "netra_token"  # noqa: S105 - a name


class AuthenticationError(NetraSimError):
    """There is no proof of a user, or it is not valid. The message goes to the client, so it must reveal nothing more."""


class AuthenticationUnavailableError(NetraSimError):
    """Proofs cannot be checked now, for example because the keys cannot be fetched. The client may try again later."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request with which a client opens its connection.

    Attributes:
        headers: pairs of a name in lower case and a value, in the order of the request.
        path: the path without the query.
        query: the query, unchanged. A token in it is ignored.
    """

    headers: tuple[tuple[str, str], ...] = ()
    path: str = "/"
    query: str = ""

    def values(self, name: str) -> list[str]:
        """All values of a header; give its name in lower case."""
        return [value for one, value in self.headers if one == name]

    @property
    def origin(self) -> str | None:
        """The origin of the page that connects, sent by its browser; None for a program. Two headers match no origin."""
        return ", ".join(values) if (values := self.values("origin")) else None

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, its favourite first."""
        offered = ",".join(self.values("sec-websocket-protocol")).split(",")
        return [stripped for one in offered if (stripped := one.strip())]

    def cookies(self, name: str) -> list[str]:
        """The values of a cookie; there are several if it is set for several paths."""
        found = []
        for pair in ";".join(self.values("cookie")).split(";"):
            try:
                cookie = SimpleCookie(pair.strip())
            except CookieError:
                continue
            found += [morsel.value for one, morsel in cookie.items() if one == name]
        return found

    def subprotocol(self) -> str | None:
        """The subprotocol that the server selects, or None."""
        return SUBPROTOCOL if SUBPROTOCOL in self.subprotocols else None


def bearer_token(handshake: Handshake, *, cookie: str = TOKEN_COOKIE) -> str:
    """The token of a client: from its header or subprotocol, or else, if it is a page, from its cookie.

    The cookie counts only for a page, because a browser also sends it for pages of other sites, and the server can check the
    origin of a page.

    Raises:
        AuthenticationError: there is no token, or more than one.
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
    """Finds out which user a client is. It may wait, for example for keys or a session store."""

    async def authenticate(self, handshake: Handshake) -> AuthenticatedUser:
        """Return the user who opens this connection.

        Raises:
            AuthenticationError: no valid proof of a user.
            AuthenticationUnavailableError: the proof cannot be checked now.
        """

    async def authenticate_token(self, token: str) -> AuthenticatedUser:
        """Return the user of a token that a client sent over its open connection, to replace one that expires soon.

        Raises:
            AuthenticationError: the token is not valid.
            AuthenticationUnavailableError: the token cannot be checked now.
        """


class Refusal(msgspec.Struct, frozen=True):
    """How a client is refused: a program gets the HTTP status, and a page, which cannot see that, gets the close code."""

    status: HTTPStatus
    code: int
    reason: str

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that go with the status."""
        if self.status is HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": "1"} if self.status is HTTPStatus.SERVICE_UNAVAILABLE else {}


def unauthenticated(reason: str) -> Refusal:
    """The refusal of a client without a valid proof of its user."""
    return Refusal(HTTPStatus.UNAUTHORIZED, CLOSE_UNAUTHENTICATED, reason)


def forbidden(reason: str) -> Refusal:
    """The refusal of a page that may not connect."""
    return Refusal(HTTPStatus.FORBIDDEN, CLOSE_FORBIDDEN, reason)


def try_later(reason: str) -> Refusal:
    """The refusal of a client that may try again later."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CLOSE_TRY_LATER, reason)


def normal_origins(origins: Iterable[str | None]) -> frozenset[str | None]:
    """Convert origins to the form in which browsers send them. None stands for clients that are not browsers.

    Raises:
        ValueError: one is not an origin, such as an address with a path.
    """
    return frozenset(None if origin is None else _normal_origin(origin) for origin in origins)


def _normal_origin(origin: str) -> str:
    scheme, separator, host = origin.strip().lower().rstrip("/").partition("://")
    if not separator or not scheme.isalpha() or not host or set(host) & set("/?#@ \t*"):
        raise ValueError(f"an origin is a scheme and a host, such as https://app.example, and this is {origin!r}")
    default_port = {"http": ":80", "https": ":443"}.get(scheme)
    return f"{scheme}://{host.removesuffix(default_port) if default_port else host}"

"""Who is there: signed tokens, checked before a socket is accepted (incident B13)."""

import secrets
import time
from collections.abc import Callable

import jwt

from netra_sim.bridge import AuthenticatedUser
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import require_real_id

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key for HS256 has at least the size of the hash."""


class AuthenticationError(NetraSimError):
    """There is no token, or it proves nothing; the client is told no more than that."""


class TokenAuthenticator:
    """Issues and checks JSON Web Tokens, signed with HMAC-SHA-256.

    Args:
        secret: the key; random unless given, so that its tokens end with the process.
        audience: what the tokens are for.
        wall_clock: seconds since the epoch.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(
        self, secret: bytes | None = None, *, audience: str = "netra_sim", wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._secret = secrets.token_bytes(MIN_SECRET_BYTES) if secret is None else secret
        if len(self._secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret has {len(self._secret)} bytes; HS256 needs at least {MIN_SECRET_BYTES}")
        self._audience = audience
        self._wall_clock = wall_clock

    def issue(self, user_id: str, lifetime: float = 3600.0) -> str:
        """A token for a user, good for ``lifetime`` seconds."""
        now = self._wall_clock()
        claims = {"sub": user_id, "aud": self._audience, "iat": int(now), "exp": int(now + lifetime)}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def authenticate(self, authorization: str | None) -> AuthenticatedUser:
        """The user whom an ``Authorization`` header proves.

        Raises:
            AuthenticationError: it proves nobody.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationError("a bearer token is needed")
        try:
            claims = jwt.decode(
                token.strip(),
                self._secret,
                algorithms=["HS256"],
                audience=self._audience,
                options={"require": ["sub", "aud", "exp"], "verify_exp": False, "verify_iat": False},
            )
            expires_at = claims["exp"]
            if not isinstance(expires_at, int | float) or not 0 < expires_at < 1e12:
                raise ValueError("exp is no moment")
            if not claims["sub"].isprintable():
                raise ValueError("sub is no user")
            require_real_id("sub", claims["sub"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            raise AuthenticationError("the token is not valid") from error
        if expires_at <= self._wall_clock():
            raise AuthenticationError("the token has expired")
        return AuthenticatedUser(claims["sub"], expires_at)

    def seconds_until(self, moment: float) -> float:
        """How long it is, by this authenticator's clock, until a moment in seconds since the epoch."""
        return moment - self._wall_clock()

"""`TokenAuthenticator`: authenticates clients by JSON Web Tokens, before anything is done for them (incident B13)."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import jwt

from netra_sim.bridge import AuthenticatedUser
from netra_sim.factory import require_real_id
from netra_sim.server.handshake import TOKEN_COOKIE, AuthenticationError, Handshake, bearer_token
from netra_sim.server.keys import KeySource, SharedSecrets

MAX_TOKEN_BYTES = 8 * 1024


class TokenAuthenticator:
    """Checks JSON Web Tokens, and issues them if it has the secret.

    Args:
        keys: the keys that check signatures; bytes are one secret. By default one random secret, with tokens that are valid
            until the process ends.
        audience: the required audience (``aud``) of tokens.
        issuer: the required issuer (``iss``); not checked unless given.
        cookie: the name of the cookie in which pages may send the token.
        wall_clock: returns seconds since 1970.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(
        self,
        keys: KeySource | bytes | None = None,
        *,
        audience: str = "netra_sim",
        issuer: str | None = None,
        cookie: str = TOKEN_COOKIE,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if keys is None:
            keys = SharedSecrets.random()
        self._keys: KeySource = SharedSecrets({"1": keys}) if isinstance(keys, bytes) else keys
        self._audience = audience
        self._issuer = issuer
        self._cookie = cookie
        self._wall_clock = wall_clock

    def issue(self, user_id: str, lifetime: float = 3600.0) -> str:
        """Issue a token for a user, valid for ``lifetime`` seconds.

        Raises:
            TypeError: the keys can only check tokens.
        """
        if not isinstance(self._keys, SharedSecrets):
            raise TypeError("only secrets sign tokens; these keys can only check them")
        now = self._wall_clock()
        kid, secret = self._keys.signing
        claims = {
            "sub": user_id,
            "aud": self._audience,
            "iat": now,
            "exp": int(now + lifetime),
            "jti": secrets.token_hex(8),
        }
        if self._issuer is not None:
            claims["iss"] = self._issuer
        return jwt.encode(claims, secret, algorithm="HS256", headers={"kid": kid})

    async def authenticate(self, handshake: Handshake) -> AuthenticatedUser:
        """See `Authenticator.authenticate`."""
        return await self.authenticate_token(bearer_token(handshake, cookie=self._cookie))

    async def authenticate_token(self, token: str) -> AuthenticatedUser:
        """See `Authenticator.authenticate_token`."""
        if len(token) > MAX_TOKEN_BYTES:
            raise AuthenticationError(f"the token has more than {MAX_TOKEN_BYTES} characters")
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header["alg"] not in self._keys.algorithms:
                raise ValueError("the token's algorithm is not one of the keys'")
            key = await self._keys.key(kid if isinstance(kid, str) else None)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._keys.algorithms),
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["sub", "aud", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            user = self._user(claims)
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
            raise AuthenticationError("the token is not valid") from error
        if user.expires_at is not None and user.expires_at <= self._wall_clock():
            raise AuthenticationError("the token has expired")
        return user

    def _user(self, claims: dict[str, Any]) -> AuthenticatedUser:
        if not claims["sub"].isprintable():
            raise ValueError("sub is no user")
        require_real_id("sub", claims["sub"])
        token_id = claims.get("jti")
        if token_id is not None and not isinstance(token_id, str):
            raise ValueError("jti is no text")
        not_before = _moment(claims, "nbf")
        if not_before is not None and not_before > self._wall_clock():
            raise ValueError("the token is not valid yet")
        return AuthenticatedUser(claims["sub"], _moment(claims, "exp"), _moment(claims, "iat"), token_id)


def _moment(claims: dict[str, Any], name: str) -> float | None:
    moment = claims.get(name)
    if moment is None:
        return None
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 < moment < 1e12:
        raise ValueError(f"{name} is no moment")
    return moment

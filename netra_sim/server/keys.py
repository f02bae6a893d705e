"""The keys that tokens are signed and checked with: secrets of one's own, public keys, or a provider's key set."""

import asyncio
import json
import os
import secrets
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jwt

from netra_sim.server.handshake import AuthenticationError, AuthenticationUnavailableError

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key for HS256 has at least the size of the hash."""

_REFETCH_SECONDS = 10.0
_FRESH_SECONDS = 300.0
_FETCH_SECONDS = 5.0
_MAX_KEY_SET_BYTES = 1024 * 1024


class KeySource(Protocol):
    """Where the key is that a token's signature is checked with."""

    algorithms: tuple[str, ...]
    """What tokens may be signed with. A token's own word for it counts only if it is one of these."""

    async def key(self, kid: str | None) -> Any:
        """The key of this id, in a form that PyJWT takes; ``kid`` is None for a token that names none.

        Raises:
            AuthenticationError: there is no such key.
            AuthenticationUnavailableError: the keys cannot be had now.
        """


class SharedSecrets:
    """Secrets that sign and check tokens (HS256). The first one signs; all of them check, so that secrets can be rotated.

    Args:
        by_kid: secrets by key id.

    Raises:
        ValueError: there is none, or one is too short.
    """

    algorithms: tuple[str, ...] = ("HS256",)

    def __init__(self, by_kid: Mapping[str, bytes]) -> None:
        if not by_kid:
            raise ValueError("there is no secret; at least one is needed")
        for kid, secret in by_kid.items():
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(f"secret {kid!r} has {len(secret)} bytes; HS256 needs at least {MIN_SECRET_BYTES}")
        self._by_kid = dict(by_kid)

    @classmethod
    def random(cls) -> "SharedSecrets":
        """One new secret, so that tokens end with the process."""
        return cls({"1": secrets.token_bytes(MIN_SECRET_BYTES)})

    @classmethod
    def parse(cls, text: str) -> "SharedSecrets":
        """Secrets from lines of ``key-id secret``, or of a secret alone; the first signs.

        Raises:
            ValueError: a line is neither, a key id comes twice, or a secret is too short.
        """
        by_kid: dict[str, bytes] = {}
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        for number, words in enumerate(lines, 1):
            if len(words) > 2:
                raise ValueError(
                    f"secret number {number} has {len(words)} words; expected 'key-id secret', or a secret"
                )
            kid, secret = words if len(words) == 2 else (str(number), words[0])
            if kid in by_kid:
                raise ValueError(f"key id {kid!r} comes twice")
            by_kid[kid] = secret.encode()
        return cls(by_kid)

    @classmethod
    def from_file(cls, path: Path) -> "SharedSecrets":
        """Secrets from a file; see `parse`. A file that is not there is made, with a new secret, for its owner alone.

        Raises:
            OSError: it can be neither read nor made.
            ValueError: see `parse`.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.parse(path.read_text("utf-8-sig"))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{secrets.token_hex(4)} {secrets.token_urlsafe(MIN_SECRET_BYTES)}\n")
        return cls.parse(path.read_text("utf-8"))

    async def key(self, kid: str | None) -> bytes:
        """See `KeySource.key`; a token without a key id is checked with the only secret there is."""
        if kid is None and len(self._by_kid) == 1:
            return self.signing[1]
        secret = self._by_kid.get(kid) if kid is not None else None
        if secret is None:
            raise AuthenticationError("the token's key is not known")
        return secret

    @property
    def signing(self) -> tuple[str, bytes]:
        """The key id and the secret that sign new tokens."""
        return next(iter(self._by_kid.items()))


class PublicKeys:
    """Public keys of whoever signs the tokens (RS256), in PEM, by key id."""

    algorithms: tuple[str, ...] = ("RS256",)

    def __init__(self, by_kid: Mapping[str, str]) -> None:
        if not by_kid:
            raise ValueError("there is no public key; at least one is needed")
        self._by_kid = dict(by_kid)

    async def key(self, kid: str | None) -> str:
        """See `KeySource.key`; a token without a key id is checked with the only key there is."""
        if kid is None and len(self._by_kid) == 1:
            return next(iter(self._by_kid.values()))
        key = self._by_kid.get(kid) if kid is not None else None
        if key is None:
            raise AuthenticationError("the token's key is not known")
        return key


class KeySet:
    """The key set (JWKS, RFC 7517) that an identity provider publishes, for RS256.

    It is fetched in a thread, kept for 5 minutes, and fetched again when a token names a key that is not in it, but no more
    often than every 10 s: made-up key ids cannot make the server hammer the provider. While the provider is down, the keys
    that are there go on counting.

    Args:
        url: where it is; ``https`` but for tests.
        fetch: gets the text behind the address; may block.
        clock: tells the time in seconds, and never goes back.
    """

    algorithms: tuple[str, ...] = ("RS256",)

    def __init__(
        self, url: str, *, fetch: Callable[[str], str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._fetch = fetch or _fetch
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None) -> Any:
        """See `KeySource.key`."""
        now = self._clock()
        if (kid not in self._keys or now - self._fetched_at > _FRESH_SECONDS) and (
            self._fetching is not None or now - self._tried_at >= _REFETCH_SECONDS
        ):
            if self._fetching is None:
                self._tried_at = now
                self._fetching = asyncio.create_task(self._refresh(), name="fetching a key set")
            await asyncio.wait([self._fetching])  # All who come meanwhile share it; cancelling one does not end it.
        key = self._keys.get(kid)
        if key is None and self._fetched_at == float("-inf"):
            raise AuthenticationUnavailableError("the key set cannot be fetched")
        if key is None:
            raise AuthenticationError("the token's key is not known")
        return key

    async def _refresh(self) -> None:
        try:
            text = await asyncio.to_thread(self._fetch, self._url)
            self._keys = _signing_keys(json.loads(text))
            self._fetched_at = self._clock()
        except (OSError, ValueError, TypeError, AttributeError, jwt.PyJWTError):
            return  # Whoever needs a key that is not there is told so.
        finally:
            self._fetching = None


def _signing_keys(key_set: Any) -> dict[str | None, Any]:
    keys: dict[str | None, Any] = {}
    for one in key_set["keys"]:
        if one.get("kty") == "RSA" and one.get("use", "sig") == "sig" and one.get("alg", "RS256") == "RS256":
            keys[one.get("kid")] = jwt.PyJWK(one, algorithm="RS256").key
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))
    return keys


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - the operator's address
        body: bytes = answer.read(_MAX_KEY_SET_BYTES)
    return body.decode()

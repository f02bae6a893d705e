"""The keys that sign and check tokens: shared secrets, public keys, or the key set of an identity provider."""

import asyncio
import json
import os
import secrets
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import jwt

from netra_sim.server.handshake import AuthenticationError, AuthenticationUnavailableError

K = TypeVar("K")

MIN_SECRET_BYTES = 32
"""The shortest secret, in bytes: a key for HS256 has at least the size of the hash (RFC 7518, 3.2)."""

_REFETCH_SECONDS = 10.0
_FRESH_SECONDS = 300.0
_FETCH_SECONDS = 5.0
_MAX_KEY_SET_BYTES = 1024 * 1024


class KeySource(Protocol):
    """Finds the key that checks the signature of a token."""

    algorithms: tuple[str, ...]
    """The accepted signature algorithms. A token that names another one is refused."""

    async def key(self, kid: str | None) -> Any:
        """Return the key with this id, in a form that PyJWT takes; ``kid`` is None if the token has no key id.

        Raises:
            AuthenticationError: there is no such key.
            AuthenticationUnavailableError: the keys cannot be fetched now.
        """


class _KeysById(Generic[K]):
    """Keys by key id. A token without a key id is checked with the only key, if there is only one."""

    def __init__(self, by_kid: Mapping[str, K]) -> None:
        self._by_kid = dict(by_kid)

    async def key(self, kid: str | None) -> K:
        """See `KeySource.key`."""
        if kid is None and len(self._by_kid) == 1:
            return next(iter(self._by_kid.values()))
        if kid is None or kid not in self._by_kid:
            raise AuthenticationError("the token's key is not known")
        return self._by_kid[kid]


class SharedSecrets(_KeysById[bytes]):
    """Secrets that sign and check tokens (HS256). The first secret signs, and all of them check, so they can be rotated.

    Args:
        by_kid: secrets by key id.

    Raises:
        ValueError: there is no secret, or one is too short.
    """

    algorithms: tuple[str, ...] = ("HS256",)

    def __init__(self, by_kid: Mapping[str, bytes]) -> None:
        if not by_kid:
            raise ValueError("there is no secret; at least one is needed")
        for kid, secret in by_kid.items():
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(f"secret {kid!r} has {len(secret)} bytes; HS256 needs at least {MIN_SECRET_BYTES}")
        super().__init__(by_kid)

    @classmethod
    def random(cls) -> "SharedSecrets":
        """Make one random secret; its tokens are valid until the process ends."""
        return cls({"1": secrets.token_bytes(MIN_SECRET_BYTES)})

    @classmethod
    def parse(cls, text: str) -> "SharedSecrets":
        """Read secrets from lines of ``key-id secret``, or of a secret alone. The first secret signs.

        Raises:
            ValueError: a line has another form, a key id comes twice, or a secret is too short.
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
        """Read secrets from a file; see `parse`. A missing file is made with a new secret, readable by its owner only.

        Raises:
            OSError: the file can be neither read nor made.
            ValueError: see `parse`.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.parse(path.read_text("utf-8-sig"))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{secrets.token_hex(4)} {secrets.token_urlsafe(MIN_SECRET_BYTES)}\n")
        return cls.parse(path.read_text("utf-8"))

    @property
    def signing(self) -> tuple[str, bytes]:
        """The key id and the secret for signing new tokens."""
        return next(iter(self._by_kid.items()))


class PublicKeys(_KeysById[str]):
    """Public keys of the issuer of the tokens (RS256).

    Args:
        by_kid: keys in PEM by key id.

    Raises:
        ValueError: there is no key.
    """

    algorithms: tuple[str, ...] = ("RS256",)

    def __init__(self, by_kid: Mapping[str, str]) -> None:
        if not by_kid:
            raise ValueError("there is no public key; at least one is needed")
        super().__init__(by_kid)


class KeySet:
    """The key set (JWKS, RFC 7517) that an identity provider publishes, for RS256.

    It is fetched in a thread and kept for 5 minutes. A token with an unknown key id makes it fetch again, but at most every
    10 s, so that invented key ids cannot flood the provider. While the provider is down, the fetched keys stay valid.

    Args:
        url: the address of the key set; ``https`` except in tests.
        fetch: gets the text at the address; may block.
        clock: returns seconds, and never goes back.
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
            await asyncio.wait([self._fetching])  # Concurrent callers share it; cancelling one does not cancel it.
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
            return  # `key` raises an error if the key is missing.
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

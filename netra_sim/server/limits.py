"""The limits of a server on its clients, and the rate limiter."""

import asyncio
from collections.abc import Callable

import msgspec


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of the server on its clients; `BridgeLimits` and `EngineLimits` have the others.

    Each limit has a close code or a refusal; see docs/protocol.md.

    Attributes:
        connections: the most sockets of this process; more are refused with 503 or 1013.
        unready_connections: the most of these sockets that have not sent ``resume`` yet; more are refused in the same way.
        resume_seconds: the longest silence of a socket before its first message; then it is closed with 4408.
        message_bytes: the largest message; a larger one closes the socket with 1009.
        messages_per_second: the average rate of one user's messages over all sockets; more are refused as ``rate_limited``.
        message_burst: the most messages that may come at once.
        arrivals_per_second: the average rate of one user's new connections; more wait for a second and are closed with 1013.
        arrival_burst: the most connections that may come at once.
        errors_in_a_row: the number of messages in a row, unreadable or above the rate, that closes with 4422 or 4429.
        authentication_seconds: the time limit of the authenticator; then the client is refused with 503 or 1013.

    Raises:
        ValueError: a limit is not a number above 0, or two limits contradict each other.
    """

    connections: int = 4_000
    unready_connections: int = 1_000
    resume_seconds: float = 5.0
    message_bytes: int = 64 * 1024
    messages_per_second: float = 20.0
    message_burst: int = 40
    arrivals_per_second: float = 2.0
    arrival_burst: int = 20
    errors_in_a_row: int = 10
    authentication_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            whole = self.__annotations__[name] is int
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, and is {value!r}")
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be more than 0 and finite, and is {value!r}")
        if self.unready_connections > self.connections:
            raise ValueError(
                f"unready_connections must be at most connections, {self.connections}, and is {self.unready_connections}"
            )


class TokenBucket:
    """Limits a rate and allows bursts: each message takes a token, and the bucket refills at the rate.

    Args:
        rate: new tokens in a second.
        burst: the most tokens in the bucket, and the tokens at the start.
        clock: returns seconds, and never goes back.
    """

    __slots__ = ("_burst", "_clock", "_rate", "_seen_at", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._seen_at = clock()

    @property
    def is_full(self) -> bool:
        """Whether the bucket is full, as a new one is."""
        return self._tokens + (self._clock() - self._seen_at) * self._rate >= self._burst

    def take(self) -> bool:
        """Take a token; return False, and take nothing, if there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._seen_at) * self._rate)
        self._seen_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class UserRates:
    """One `TokenBucket` for each user. It outlives the user's sockets, so a new connection does not refill it.

    Full buckets are dropped from time to time, because a new bucket is full too.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}
        self._kept = 1_000

    def of(self, user_id: str) -> TokenBucket:
        """The user's bucket."""
        bucket = self._buckets.get(user_id)
        if bucket is None:
            if len(self._buckets) >= self._kept:
                self._buckets = {name: one for name, one in self._buckets.items() if not one.is_full}
                self._kept = max(1_000, 2 * len(self._buckets))
            bucket = self._buckets[user_id] = TokenBucket(self._rate, self._burst, asyncio.get_running_loop().time)
        return bucket

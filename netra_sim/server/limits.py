"""What a server takes from its clients, and how fast."""

import asyncio
from collections.abc import Callable

import msgspec


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every bound of the server that is not the bridge's (`BridgeLimits`) or the engines' (`EngineLimits`).

    Each has its own close code or refusal; see docs/protocol.md.

    Attributes:
        connections: sockets of this process; more are turned away with 503 or 1013.
        unready_connections: of these, sockets that have not said ``resume`` yet.
        resume_seconds: how long a socket may keep silent before its first message; then 4408.
        message_bytes: the largest message; a larger one closes with 1009.
        messages_per_second: messages of one user, over all sockets, on average; more are refused as ``rate_limited``.
        message_burst: messages that may come at once.
        arrivals_per_second: connections of one user, on average; one more waits for a second and is closed with 1013.
        arrival_burst: connections that may come at once.
        errors_in_a_row: messages in a row that are unreadable or too many; then 4422 or 4429.
        authentication_seconds: the longest that an authenticator may take; then 503 or 1013.

    Raises:
        ValueError: a limit is not a number above 0, or they contradict each other.
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
    """Lets messages through at a rate, with bursts: each takes a token, and tokens grow back with time.

    Args:
        rate: tokens a second.
        burst: the most that there can be, and what there is at first.
        clock: tells the time in seconds, and never goes back.
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
        """Whether it is as good as a new one."""
        return self._tokens + (self._clock() - self._seen_at) * self._rate >= self._burst

    def take(self) -> bool:
        """Take a token; False if there is none, and then nothing is taken."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._seen_at) * self._rate)
        self._seen_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class UserRates:
    """For each user one bucket, which outlives the user's sockets: who comes back at once does not begin anew.

    Buckets that are full again are dropped from time to time, as a new one would do as well.
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

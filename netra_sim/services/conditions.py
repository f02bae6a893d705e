"""How a stand-in service is at this moment: what faults change while it runs."""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Protocol


class Worsening(Protocol):
    """What a fault makes of a service."""

    @property
    def slower(self) -> float:
        """The factor on all its waits."""

    @property
    def error_share(self) -> float:
        """The share of requests that fail."""

    @property
    def cut_share(self) -> float:
        """The share of answers that are cut."""

    @property
    def rate_limited(self) -> bool:
        """Whether it refuses everything because of too many requests."""

    @property
    def down(self) -> bool:
        """Whether it resets every connection."""


class Conditions:
    """The state of a service. A change counts from the next use on, also in the middle of an answer.

    A wait that has begun keeps its length. Every attribute may be set at any time.

    Args:
        error_share: the share of requests that fail.
        error_status: the HTTP status of a failed request.
        cut_share: the share of answers whose connection is reset in the middle.
        secret: a text that stands in each error of the service; "" for none.

    Attributes:
        slower: the factor on all waits of the service; 1.0 is its usual speed.
        error_share: the share of requests that fail, from 0 to 1.
        error_status: the HTTP status of a failed request; services that do not speak HTTP ignore it.
        cut_share: the share of answers whose connection is reset in the middle, from 0 to 1.
        rate_limited: whether the service refuses everything because of too many requests.
        secrets_given: how many errors with the secret the service has sent.
        on_down: called when `down` becomes true.
    """

    def __init__(
        self, *, error_share: float = 0.0, error_status: int = 500, cut_share: float = 0.0, secret: str = ""
    ) -> None:
        self.slower = 1.0
        self.error_share = error_share
        self.error_status = error_status
        self.cut_share = cut_share
        self.rate_limited = False
        self.secrets_given = 0
        self._secret = secret
        self.on_down: Callable[[], None] | None = None
        self._is_down = False

    @property
    def down(self) -> bool:
        """Whether the service is down: it resets its connections at once, and each new one."""
        return self._is_down

    @down.setter
    def down(self, is_down: bool) -> None:
        became_down = is_down and not self._is_down
        self._is_down = is_down
        if became_down and self.on_down is not None:
            self.on_down()

    def change(self, usual: "Conditions", faults: Iterable[Worsening]) -> None:
        """Be as usual, but for the faults, which add up."""
        faults = list(faults)
        self.slower = math.prod(fault.slower for fault in faults)
        self.error_share = max(usual.error_share, *(fault.error_share for fault in faults), 0.0)
        self.cut_share = max(usual.cut_share, *(fault.cut_share for fault in faults), 0.0)
        self.rate_limited = any(fault.rate_limited for fault in faults)
        self.down = any(fault.down for fault in faults)

    def error(self, reason: str) -> str:
        """The text of an error that the service is about to send: the reason, and the secret."""
        if not self._secret:
            return reason
        self.secrets_given += 1
        return f"{reason} {self._secret}"

    async def wait(self, seconds: float) -> None:
        """Let so many seconds pass, or more or fewer if the service is slower or faster than usual."""
        await asyncio.sleep(seconds * self.slower)

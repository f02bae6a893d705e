"""How a stand-in service is at this moment: what faults change while it runs."""

import asyncio
from collections.abc import Callable


class Conditions:
    """The state of a service. A change counts from the next use on, also in the middle of an answer.

    A wait that has begun keeps its length. Every attribute may be set at any time.

    Args:
        error_share: the share of requests that fail.
        error_status: the HTTP status of a failed request.
        cut_share: the share of answers whose connection is reset in the middle.

    Attributes:
        slower: the factor on all waits of the service; 1.0 is its usual speed.
        error_share: the share of requests that fail, from 0 to 1.
        error_status: the HTTP status of a failed request; services that do not speak HTTP ignore it.
        cut_share: the share of answers whose connection is reset in the middle, from 0 to 1.
        rate_limited: whether the service refuses everything because of too many requests.
        on_down: called when `down` becomes true.
    """

    def __init__(self, *, error_share: float = 0.0, error_status: int = 500, cut_share: float = 0.0) -> None:
        self.slower = 1.0
        self.error_share = error_share
        self.error_status = error_status
        self.cut_share = cut_share
        self.rate_limited = False
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

    async def wait(self, seconds: float) -> None:
        """Let so many seconds pass, or more or fewer if the service is slower or faster than usual."""
        await asyncio.sleep(seconds * self.slower)

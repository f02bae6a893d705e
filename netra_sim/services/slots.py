"""The places of a service: how many requests it serves at once, and how many may wait."""

import asyncio


class Slots:
    """``async with slots`` holds a place; who comes first gets the next one that is free.

    Args:
        slots: how many are served at the same time.
        queue: how many may wait.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self._free = asyncio.Semaphore(slots)
        self._queue = queue
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether all places are taken, and as many wait as may."""
        return self._free.locked() and self._waiting >= self._queue

    async def __aenter__(self) -> None:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *error: object) -> None:
        self._free.release()

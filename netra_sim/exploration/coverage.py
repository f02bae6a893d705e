"""What a search without a failure has shown: how many orders it saw, and the bound on how likely a failure still is."""

from collections.abc import Iterable
from typing import NamedTuple


class Coverage(NamedTuple):
    """The distinct orders that a search has seen.

    Attributes:
        runs: seeds tried; of an exhaustive search the sets of delays.
        orders: distinct orders of the marked operations, or of all steps of tasks if none is marked.
        last_new: the last seed that gave a new one.
        delays: the bound of an exhaustive search; None for a search over seeds.
        is_whole: whether an exhaustive search came to its end.
    """

    runs: int
    orders: int
    last_new: int
    delays: int | None = None
    is_whole: bool = True

    @property
    def bound(self) -> float:
        """The share of all seeds that fail, at most, with a confidence of 95 %, if none of these did: 3 / n.

        The rule of three: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 1983. It is
        about seeds, not about orders: an order that no strategy prefers stays unlikely.
        """
        return min(1.0, 3.0 / self.runs) if self.runs else 1.0

    def __str__(self) -> str:
        if self.delays is not None:
            part = "all" if self.is_whole else "not all, but"
            return (
                f"{part} {self.runs:,} ways to delay tasks at most {self.delays} times, {self.orders:,} distinct orders; "
                "this says nothing of orders with more delays, of random numbers, or of near timers"
            )
        share = f"{self.bound:.2%}" if self.bound < 0.1 else f"{self.bound:.0%}"
        return (
            f"fewer than {share} of seeds fail (95 % confidence); {self.orders:,} distinct orders, the last new one at seed "
            f"{self.last_new}"
        )


class OrdersSeen:
    """Counts the runs of a search and their distinct orders.

    Args:
        trails: the orders of the runs before the search, which count as seen; see `ProgramRun.trail`.
    """

    def __init__(self, trails: Iterable[int] = ()) -> None:
        self.runs = 0
        self._trails = set(trails)
        self._last_new = 0

    def add(self, trail: int, number: int) -> None:
        """Count a run with this order; ``number`` is its seed, or its place among all runs."""
        self.runs += 1
        if trail not in self._trails:
            self._trails.add(trail)
            self._last_new = number

    def coverage(self, delays: int | None = None, *, is_whole: bool = True) -> Coverage:
        """The coverage so far; for the arguments see `Coverage`."""
        return Coverage(self.runs, len(self._trails), self._last_new, delays, is_whole)

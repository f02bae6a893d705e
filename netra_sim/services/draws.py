"""The draws of a stand-in service, by the name of the request that they are for."""

from collections import Counter
from typing import Protocol

from netra_sim.randomness import key, uniform


class Draw(Protocol):
    """Draws for one request: a number in [0, 1) for a purpose and an index, the same each time."""

    def __call__(self, purpose: str, index: int = 0, /) -> float:
        """The number."""


class Draws:
    """Gives each request its draws. They depend on the seed, on who asks, and on how often that run has asked before.

    So the requests of other users change nothing, in whatever order they arrive, and a repeated request has luck of its own.

    Args:
        seed: of the service.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._requests: Counter[tuple[str, str]] = Counter()

    def of_request(self, user_id: str, run_id: str) -> Draw:
        """The draws of the next request that this run sends."""
        nth = self._requests[user_id, run_id]
        self._requests[user_id, run_id] += 1

        def draw(purpose: str, index: int = 0, /) -> float:
            return uniform(key(self._seed, user_id, run_id, nth, purpose), index)

        return draw

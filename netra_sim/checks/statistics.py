"""Quantiles, and how many late connections chance alone may bring."""

import math

import numpy as np

CONFIDENCE = 0.95
"""How sure a check is before it says that a quantile is missed."""


def nearest_rank(values: np.ndarray, share: float) -> float:
    """The smallest value that at least this share of the values does not exceed, as in numpy's "inverted_cdf"."""
    ordered = np.sort(values)
    # A share such as 0.95 times 20 is a hair above 19 in floating point.
    rank = math.ceil(round(share * len(ordered), 9))
    return float(ordered[max(rank, 1) - 1])


def is_beyond_chance(late: int, connections: int, share: float = 0.05) -> bool:
    """Whether so many late connections are more than chance brings where each is late with the probability ``share``.

    It is the exact one-sided binomial test: events of one connection share its line and prove one thing together.
    """
    if not late:
        return False
    below = sum(math.comb(connections, k) * share**k * (1 - share) ** (connections - k) for k in range(min(late, 200)))
    return 1.0 - below <= 1.0 - CONFIDENCE + 1e-9

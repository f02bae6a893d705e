"""Quantiles by nearest rank, and a test whether more values are late than chance explains."""

import math

import numpy as np

QUANTILE = 0.95
"""The quantile that objectives are about."""

CONFIDENCE = 0.95
"""The confidence with which a check says that a quantile is missed."""

_TERMS = 100_000
"""The most terms of a binomial tail that are added: beyond ten standard deviations for up to 2,000,000,000 values."""


def nearest_rank(values: np.ndarray, share: float) -> float:
    """The smallest value such that at least this share of all values is not greater, as numpy's "inverted_cdf".

    It is always one of the values (Hyndman and Fan, "Sample Quantiles in Statistical Packages", The
    American Statistician 50, 1996, definition 1).

    Args:
        values: at least one.
        share: above 0, at most 1.
    """
    # In floating point, 0.95 * 20 is slightly more than 19.
    rank = max(1, math.ceil(round(share * len(values), 9)))
    return float(np.partition(values, rank - 1)[rank - 1])


def is_beyond_chance(late: int, of: int, quantile: float = QUANTILE) -> bool:
    """Whether ``late`` of ``of`` values prove, with `CONFIDENCE`, that more than 1 - ``quantile`` of all values are late.

    This is the exact one-sided binomial test: the probability of ``late`` or more out of ``of`` independent values, each
    late with probability 1 - ``quantile``, must be less than 1 - `CONFIDENCE` (Clopper and Pearson, Biometrika 26, 1934).
    Examples for a p95: two late values of seven prove it, two of eight do not; one late value never does.
    """
    allowed = 1.0 - quantile
    if late <= max(1.0, allowed * of):
        return False
    counts = np.arange(late, min(of, late + _TERMS))
    ratios = (of - counts) / (counts + 1) * (allowed / quantile)
    ways = math.lgamma(of + 1) - math.lgamma(late + 1) - math.lgamma(of - late + 1)
    first = math.exp(ways + late * math.log(allowed) + (of - late) * math.log(quantile))
    return first * (1.0 + float(np.cumprod(ratios).sum())) < 1.0 - CONFIDENCE

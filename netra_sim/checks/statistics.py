"""Quantiles by nearest rank, and how much lateness chance alone explains."""

import math

import numpy as np

QUANTILE = 0.95
"""The quantile that objectives are about."""

CONFIDENCE = 0.95
"""How sure a check is before it says that a quantile is missed."""

_TERMS = 100_000
"""How much of a binomial tail is added up: beyond ten standard deviations for up to 2,000,000,000 values."""


def nearest_rank(values: np.ndarray, share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed, as numpy's "inverted_cdf".

    It is one of the values, never a point between two (Hyndman and Fan, "Sample Quantiles in Statistical Packages", The
    American Statistician 50, 1996, definition 1).

    Args:
        values: at least one.
        share: above 0, at most 1.
    """
    # A share such as 0.95 times 20 is a hair above 19 in floating point.
    rank = max(1, math.ceil(round(share * len(values), 9)))
    return float(np.partition(values, rank - 1)[rank - 1])


def is_beyond_chance(late: int, of: int) -> bool:
    """Whether so many late ones prove, with `CONFIDENCE`, that more than 1 - `QUANTILE` of all are late.

    This is the exact one-sided binomial test: the chance of ``late`` or more among ``of`` independent ones, each late with
    probability 1 - `QUANTILE`, must be less than 1 - `CONFIDENCE` (Clopper and Pearson, Biometrika 26, 1934). Of seven or
    fewer, two late ones prove it; one alone never does.
    """
    allowed = 1.0 - QUANTILE
    if late <= max(1.0, allowed * of):
        return False
    counts = np.arange(late, min(of, late + _TERMS))
    ratios = (of - counts) / (counts + 1) * (allowed / QUANTILE)
    ways = math.lgamma(of + 1) - math.lgamma(late + 1) - math.lgamma(of - late + 1)
    first = math.exp(ways + late * math.log(allowed) + (of - late) * math.log(QUANTILE))
    return first * (1.0 + float(np.cumprod(ratios).sum())) < 1.0 - CONFIDENCE

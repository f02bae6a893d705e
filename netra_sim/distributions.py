"""Distributions of durations in seconds, drawn by the inverse distribution function from one uniform number.

Draws are rounded to microseconds: mathematical libraries differ in the last bits of a result, and Histories must not differ.
"""

import math
import statistics
from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]

_STANDARD_NORMAL = statistics.NormalDist()
_LOWEST = 2.0**-53


class _Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    def draw(self, uniform: float) -> float:
        """The duration, in seconds, for a uniform number in [0, 1)."""
        return round(self._inverse(uniform), 6)

    def _inverse(self, uniform: float) -> float:
        raise NotImplementedError


class Constant(_Distribution, frozen=True, tag="constant"):
    """Always the same duration.

    Attributes:
        seconds: the duration.
    """

    seconds: Seconds

    def _inverse(self, uniform: float) -> float:
        return self.seconds


class Uniform(_Distribution, frozen=True, tag="uniform"):
    """Uniformly distributed between two bounds.

    Attributes:
        low: the shortest duration, in seconds.
        high: the longest, in seconds.
    """

    low: Seconds
    high: Seconds

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"high must be at least low, which is {self.low:g}, and is {self.high:g}")

    def _inverse(self, uniform: float) -> float:
        return self.low + (self.high - self.low) * uniform


class Exponential(_Distribution, frozen=True, tag="exponential"):
    """The waiting time of a memoryless process.

    Attributes:
        mean: the mean, in seconds.
    """

    mean: Positive

    def _inverse(self, uniform: float) -> float:
        return -self.mean * math.log1p(-uniform)


class LogNormal(_Distribution, frozen=True, tag="lognormal"):
    """Durations of work: a median, and a tail that grows with ``sigma``, the standard deviation of the logarithm.

    Attributes:
        median: half of the durations are shorter, in seconds.
        sigma: 0 makes all durations equal; with 1, one in six is 2.7 times the median or longer.
    """

    median: Positive
    sigma: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5

    def _inverse(self, uniform: float) -> float:
        return self.median * math.exp(self.sigma * _STANDARD_NORMAL.inv_cdf(max(uniform, _LOWEST)))


class Pareto(_Distribution, frozen=True, tag="pareto"):
    """A heavy tail: at least ``minimum``, at most ``cap``, and longer than t with probability (minimum / t) ** alpha.

    Attributes:
        minimum: the shortest duration, in seconds.
        alpha: the smaller, the heavier the tail.
        cap: the longest duration, in seconds.
    """

    minimum: Positive
    alpha: Positive = 1.5
    cap: Positive = 3600.0

    def _inverse(self, uniform: float) -> float:
        return min(self.cap, self.minimum * math.pow(1.0 - uniform, -1.0 / self.alpha))


class Empirical(_Distribution, frozen=True, tag="empirical"):
    """One of recorded ``values``, each equally likely; a scenario file may name a ``file`` and a ``column`` instead.

    A draw is the inverse of the empirical distribution function, so that it is always one of the values, and never between
    two of them. A file is CSV or Parquet, and its path is relative to the scenario's file. Its ``unit`` is "s", "ms" or
    "us", and "s" if left out. The values take the file's place when the scenario is read.
    """

    values: Annotated[tuple[Seconds, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "values", tuple(sorted(self.values)))

    def _inverse(self, uniform: float) -> float:
        return self.values[int(uniform * len(self.values))]


Distribution = Constant | Uniform | Exponential | LogNormal | Pareto | Empirical

"""Figures as people read them."""

import math

import pytest

from netra_sim.checks import Measurement
from netra_sim.quantities import quantity


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0735, "s", "73.5 ms"),
        (0.99996, "s", "1 s"),
        (11.325, "s", "11.3 s"),
        (19492.7, "s", "19,493 s"),
        (3.2e-5, "s", "32 µs"),
        (0.0, "s", "0 s"),
        (math.nan, "s", "none"),
        (math.inf, "s", "never"),
        (67_108_864, "bytes", "67.1 MB"),
        (316, "bytes", "316 B"),
        (0, "bytes", "0 B"),
        (0.995, "share", "99.5%"),
        (1.0, "share", "100%"),
        (0.99996, "share", "99.996%"),  # four of 100,000 are missing: that is not all
        (1366, "count", "1,366"),
        (1.3074, "ratio", "1.31"),
    ],
)
def test_a_figure_has_three_digits_and_a_unit_that_keeps_it_short(value, unit, words):
    assert quantity(value, unit) == words


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (Measurement(0.0735, "s", "lower", 0.1), "73.5 ms <= 100 ms"),
        (Measurement(0.1, "s", "lower", 0.1), "100 ms <= 100 ms"),
        (Measurement(0.1395, "s", "lower", 0.1), "140 ms > 100 ms"),
        (Measurement(0.100_000_1, "s", "lower", 0.1), "100.0001 ms > 100 ms"),  # never "100 ms > 100 ms"
        (Measurement(0.99, "share", "higher", 0.995), "99% < 99.5%"),
        (Measurement(1.0, "share", "higher", 0.995), "100% >= 99.5%"),
        (Measurement(math.nan, "s", "lower", 0.1), "none, of 100 ms"),
        (Measurement(0.0735, "s"), "73.5 ms"),
    ],
)
def test_a_figure_stands_beside_the_bound_that_it_was_compared_with(measured, words):
    assert str(measured) == words

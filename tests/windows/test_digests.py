"""The same scenario and seed give the same History on this platform as on every other."""

import sys

import pytest
from record import expected_digests, has_expected_digest

pytestmark = pytest.mark.real_time  # a simulation makes its own loop

DIGESTS = list(expected_digests().items())
if sys.platform != "win32":
    DIGESTS = DIGESTS[:2]  # tests/simulation/test_scenarios.py compares all of them there, and more seeds


@pytest.mark.parametrize(("name", "digest"), DIGESTS, ids=dict(DIGESTS))
def test_a_history_has_the_same_digest_as_on_other_platforms(name, digest):
    assert has_expected_digest(name, digest)

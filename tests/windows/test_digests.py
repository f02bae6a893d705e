"""The same scenario and seed give the same History on this platform as on every other."""

import pytest
from record import expected_digests, has_expected_digest

pytestmark = pytest.mark.real_time  # a simulation makes its own loop


@pytest.mark.parametrize(("name", "digest"), expected_digests().items(), ids=expected_digests())
def test_a_history_has_the_same_digest_as_on_other_platforms(name, digest):
    assert has_expected_digest(name, digest)

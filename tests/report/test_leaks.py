"""How much each isolation defect leaks, as the notebook counts it."""

import pytest

from netra_sim.studies.isolation import IsolationParameters, leaks


@pytest.fixture(scope="module")
def found():
    return {one.defect: one for one in leaks(IsolationParameters(users=20)).leaks}


def test_only_frames_with_another_users_data_count_as_leaked(found):
    assert found["cache-without-user"].foreign
    assert found["cache-without-user"].readers == 20
    assert not found["contexts-can-change"].foreign
    assert not found["contexts-can-change"].readers
    assert all(one.caught_by for one in found.values())


def test_one_emitter_for_all_users_reaches_few_users(found):
    assert 1 <= found["one-emitter-for-all"].readers < 20 < found["one-emitter-for-all"].foreign


def test_names_of_others_in_a_greeting_count(found):
    assert found["hello-lists-everybody"].foreign == found["hello-lists-everybody"].readers > 10

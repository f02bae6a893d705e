"""Seeded defects change the runtime as intended, and have no errors of their patches."""

import pytest

from netra_sim.defects import DEFECTS
from netra_sim.defects.conformance import conformance_checks
from netra_sim.simulation import simulate


@pytest.mark.filterwarnings("ignore")  # the checks must find what a defect leaves open
@pytest.mark.parametrize("name", DEFECTS)
def test_no_defect_logs_a_bug_of_its_patches(name, caplog):
    with DEFECTS[name].switched_on():
        simulate(DEFECTS[name].scenario, 1)
        conformance_checks()
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [one for one in errors if isinstance(one, TypeError | AttributeError | NameError)] == []

"""A claim stands on checks that looked at something and found nothing; on anything less it does not."""

import pytest

from netra_sim.checks import CheckResult, Finding
from netra_sim.report import CLAIMS, Claim, Source, State, judge

CLAIM = Claim("section", "sentence", ((Source.SIMULATED, "one"), (Source.SERVER, "one")))


def result(state):
    found = (Finding(message="x"),) if state == "failed" else ()
    looked_at = 0 if state == "not applicable" else 5
    return CheckResult(check="one", question="?", looked_at=looked_at, unit="things", found=len(found), findings=found)


@pytest.mark.parametrize(
    ("simulated", "server", "state"),
    [
        ("passed", "passed", State.SHOWN),
        ("passed", "failed", State.REFUTED),
        ("failed", "not applicable", State.REFUTED),
        ("passed", "not applicable", State.OPEN),
        ("passed", None, State.OPEN),
    ],
)
def test_a_claim_is_judged_by_its_weakest_evidence(simulated, server, state):
    results = {Source.SIMULATED: [result(simulated)]}
    if server is not None:
        results[Source.SERVER] = [result(server)]
    assert judge(CLAIM, results).state is state


def test_a_claim_that_needs_nothing_is_open_with_a_reason():
    for claim in CLAIMS:
        assert bool(claim.needs) != bool(claim.why_open)
    assert judge(Claim("s", "c", why_open="no data"), {}).state is State.OPEN

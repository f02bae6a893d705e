"""A claim is proven only by checks that looked at enough, found nothing, and caught the incidents of the claim."""

import re

import pytest

from netra_sim.audit import RULES
from netra_sim.checks import CHECKS, CheckResult, Finding, check
from netra_sim.defects import DEFECTS
from netra_sim.simulation import Scenario, simulate
from netra_sim.verdict import CLAIMS, Claim, Source, State, judge, read_claims

CLAIM = Claim(says="it holds", heading="H", proof=("simulated/one", "server/one"), guards=("B1",))
CAUGHT = {"B1": {"one": 20}}
SEEN = {"one": ["a defect"], "two": ["a defect"], "x": ["a defect"]}


def result(state, check="one", why="too few"):
    found = (Finding(message="p95 is 140 ms, 40 ms over the objective of 100 ms"),) if state == "failed" else ()
    return CheckResult(
        check=check,
        question="?",
        looked_at=0 if state == "not applicable" else 5,
        unit="things",
        found=len(found),
        findings=found,
        minimum="two users at the same time",
        inconclusive=why if state == "inconclusive" else "",
    )


def judged_alone(claim, results, caught=CAUGHT, seen=SEEN):
    (judged,) = judge(results, caught, seen, {"mrr": "$1"}, [claim])
    return judged


def state_of(claim, results, caught=CAUGHT, seen=SEEN, claims=None):
    judged = judge(results, caught, seen, {"mrr": "$1"}, claims or [claim])
    return next(one.state for one in judged if one.claim == claim)


@pytest.mark.parametrize(
    ("simulated", "server", "state"),
    [
        ("passed", "passed", State.PROVEN),
        ("passed", "failed", State.REFUTED),
        ("failed", "not applicable", State.REFUTED),
        ("failed", "inconclusive", State.REFUTED),
        ("passed", "not applicable", State.NOT_ENOUGH),
        ("passed", "inconclusive", State.NOT_ENOUGH),
        ("passed", None, State.UNPROVEN),
    ],
)
def test_a_claim_is_judged_by_its_weakest_evidence(simulated, server, state):
    results = {Source.SIMULATED: [result(simulated)]}
    if server is not None:
        results[Source.SERVER] = [result(server)]
    assert state_of(CLAIM, results) is state


@pytest.mark.parametrize("caught", [{}, {"B1": {}}, {"B1": {"another": 20}}, {"B2": {"one": 20}}])
def test_passing_checks_that_did_not_catch_the_defect_prove_nothing(caught):
    results = {Source.SIMULATED: [result("passed")], Source.SERVER: [result("passed")]}
    assert state_of(CLAIM, results, caught) is State.UNPROVEN


@pytest.mark.parametrize("seen", [{}, {"one": []}, {"two": ["a defect"]}])
def test_a_check_that_was_never_seen_to_detect_anything_proves_nothing(seen):
    results = {Source.SIMULATED: [result("passed")], Source.SERVER: [result("passed")]}
    judged = judged_alone(CLAIM, results, seen=seen)
    assert judged.state is State.UNPROVEN
    assert "never seen to detect anything, or not as certified: one" in judged.evidence


def test_one_blind_check_leaves_its_claim_unproven():
    claim = Claim(says="it holds", proof=("simulated/one", "simulated/two"), guards=("B1",))
    results = {Source.SIMULATED: [result("passed", "one"), result("passed", "two")]}
    assert judged_alone(claim, results).state is State.PROVEN
    judged = judged_alone(claim, results, seen={"one": ["a defect"]})
    assert (judged.state, "two" in judged.evidence) == (State.UNPROVEN, True)


def test_a_claim_says_its_least_evidence_and_what_is_missing():
    results = {
        Source.SIMULATED: [result("inconclusive", why="no two users overlapped")],
        Source.SERVER: [result("passed")],
    }
    judged = judged_alone(CLAIM, results)
    assert judged.minimum == ("one: two users at the same time",)
    assert judged.evidence == "one (simulated): no two users overlapped"
    assert not judged.is_undecided


@pytest.mark.parametrize(("other", "is_undecided"), [("passed", True), ("inconclusive", False)])
def test_a_claim_is_undecided_if_only_a_busy_machine_prevents_proof(other, is_undecided):
    busy = result("inconclusive", why="the machine was busy: an echo took 250 ms")
    judged = judged_alone(CLAIM, {Source.SERVER: [busy], Source.SIMULATED: [result(other)]})
    assert (judged.state, judged.is_undecided) == (State.NOT_ENOUGH, is_undecided)


def test_a_refuted_claim_names_the_place_the_figure_and_the_objective():
    judged = judged_alone(CLAIM, {Source.SIMULATED: [result("passed")], Source.SERVER: [result("failed")]})
    assert judged.evidence == "one (real server): p95 is 140 ms, 40 ms over the objective of 100 ms"


def test_a_claim_about_other_claims_has_the_worst_of_their_states():
    parts = [Claim(says=name, heading="Phase 1: x", proof=(f"simulated/{name}",)) for name in ("one", "two")]
    whole = Claim(says="all", heading="Steps", all_of="Phase 1")
    for states, expected in (
        (("passed", "passed"), State.PROVEN),
        (("passed", "failed"), State.REFUTED),
        (("passed", "inconclusive"), State.NOT_ENOUGH),
        (("inconclusive", "failed"), State.REFUTED),
    ):
        results = {Source.SIMULATED: [result(states[0], "one"), result(states[1], "two")]}
        assert state_of(whole, results, claims=[*parts, whole]) is expected


def test_the_evidence_names_checks_of_the_same_sources_together():
    claim = Claim(
        says="it holds", proof=("simulated/one", "windows-clock/one", "windows-clock/two", "simulated/two", "server/x")
    )
    results = {source: [result("passed", name) for name in ("one", "two", "x")] for source in Source}
    (judged,) = judge(results, {}, SEEN, {}, [claim])
    assert (
        judged.evidence
        == "25 looked at, none wrong: one, two (simulated, simulated on Windows' clock); x (real server)"
    )


def test_a_given_figure_is_shown_and_never_counts_as_proven():
    judged = judge({}, {}, {}, {"mrr": "$120,000, says the plan"}, [Claim(says="MRR", given="mrr")])
    assert (judged[0].state, judged[0].evidence) == (State.GIVEN, "$120,000, says the plan")


def test_a_claim_without_a_proof_is_unproven_and_says_why():
    judged = judge({}, {}, {}, {}, [Claim(says="proven in production", why="no data")])
    assert (judged[0].state, judged[0].evidence) == (State.UNPROVEN, "no data")


def everything_passes():
    results = {source: [] for source in Source}
    for need in {need for claim in CLAIMS for need in claim.needs}:
        results[need.source].append(result("passed", need.check))
    checks = {need.check for claim in CLAIMS for need in claim.needs}
    seen = {name: ["a defect"] for name in checks}
    return results, seen, {incident: dict.fromkeys(checks, 20) for claim in CLAIMS for incident in claim.guards}


CHECK_NAMES = sorted({need.check for claim in CLAIMS for need in claim.needs})


def unproven(results, seen, caught):
    judged = judge(results, caught, seen, {"mrr": ""})
    return {one.claim for one in judged if one.state is State.UNPROVEN and one.claim.proof}


def test_nothing_is_unproven_when_everything_passes():
    assert unproven(*everything_passes()) == set()


@pytest.mark.parametrize("name", CHECK_NAMES)
def test_removing_any_one_check_turns_at_least_one_claim_unproven(name):
    results, seen, caught = everything_passes()
    without = {source: [one for one in own if one.check != name] for source, own in results.items()}
    only_elsewhere = all(not claim.proof for claim in CLAIMS if name in {n.check for n in claim.needs})
    assert unproven(without, seen, caught) or only_elsewhere


ABOUT_THE_LAB = {"faults-acted"}
"""Checks of the simulation itself: no claim needs them, but their failure prevents GO."""


OF_OTHER_SYSTEMS = {"event-order", "tokens", "disclosure", "work-after-leaving"}
"""Checks of histories of other systems: nothing in the evidence about this one has their records."""


def test_every_check_and_every_rule_proves_some_claim():
    names = {one.check for one in check(simulate(Scenario(users=2), 1))}
    assert len(names) == len(CHECKS)
    names -= ABOUT_THE_LAB | OF_OTHER_SYSTEMS
    assert names | {rule.name for rule in RULES.values()} <= set(CHECK_NAMES)


def test_every_guard_is_an_incident_that_has_a_defect():
    incidents = {incident for defect in DEFECTS.values() for incident in defect.incidents}
    for claim in CLAIMS:
        assert set(claim.guards) <= incidents, claim.says


@pytest.mark.parametrize(
    "text",
    [
        '[[section]]\nheading = "H"\n[[section.claim]]\nsays = "x"\nproof = ["nowhere/check"]\n',
        '[[section]]\nheading = "H"\n[[section.claim]]\nsays = "x"\n',
        '[[section]]\nheading = "H"\n[[section.claim]]\nsays = "x"\nwhy = "y"\nproof = ["server/a"]\n',
        '[[section]]\nheading = "H"\n[[section.claim]]\nsays = "x"\nprofs = ["server/a"]\n',
    ],
    ids=["unknown source", "no way to judge", "two ways", "unknown field"],
)
def test_an_invalid_claims_file_is_refused(tmp_path, text):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.compile("nowhere|exactly one|profs")):
        read_claims(path)

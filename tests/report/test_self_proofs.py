"""A check that can find nothing proves nothing: one blind check prevents GO, and leaves its claims unproven."""

import msgspec
import pytest
from kept_evidence import passing

from netra_sim.audit import RULES
from netra_sim.checks import CHECKS
from netra_sim.defects import Detection, SelfProof, conformance_checks, detect, seen_to_detect, self_proofs
from netra_sim.defects import self_proof as proving
from netra_sim.defects.planted.histories import PLANTED_HISTORIES
from netra_sim.defects.planted.sources import PLANTED_SOURCES
from netra_sim.user_cache import cache_folder
from netra_sim.verdict import CLAIMS, Proofs, Source, State, ValidationParameters, reach_verdict
from netra_sim.verdict.plan_tests import BROKEN_BY, prove_plan_tests, run_plan_tests

RESTED_ON = {need.check for claim in CLAIMS for need in claim.needs}
CONFORMANCE = {one.check for one in conformance_checks()} & RESTED_ON
BLINDABLE = sorted({*CHECKS, *CONFORMANCE, *(rule.name for rule in RULES.values()), *BROKEN_BY} & RESTED_ON)


@pytest.fixture(scope="module")
def kept():
    """The evidence of one run: what the checks caught, and their self-proofs."""
    return detect([1], cache=cache_folder()), [*self_proofs(), *prove_plan_tests()]


@pytest.fixture(scope="module")
def computed():
    """The results of all calls that `self_proofs` makes, in order, by the names of the functions."""
    computed = {name: [] for name in ("check", "as_results", "runtime_as_certified")}

    def recorded(function, results):
        def call(*given):
            results.append(function(*given))
            return results[-1]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "misread", dict)  # takes seconds, and tests/defects/test_certificate.py is about it
        for name, results in computed.items():
            patch.setattr(proving, name, recorded(getattr(proving, name), results))
        assert all(one.holds for one in self_proofs())
    return computed


def emptied(result):
    return msgspec.structs.replace(result, found=0, findings=())


def blinded(name, detection, proofs):
    """The same run, with one check that never finds anything."""
    rows = tuple(
        msgspec.structs.replace(row, caught={check: seeds for check, seeds in row.caught.items() if check != name})
        for row in detection.rows
    )
    proofs = [
        msgspec.structs.replace(one, planted=emptied(one.planted)) if one.check == name else one for one in proofs
    ]
    return msgspec.structs.replace(detection, rows=rows), proofs


def verdict_of(detection, proofs):
    return reach_verdict(ValidationParameters(), passing(), detection, Proofs(tuple(proofs)))


def proven(verdict):
    return {one.claim for one in verdict.claims if one.state is State.PROVEN}


def test_with_all_checks_seen_to_detect_something_the_same_evidence_is_go(kept):
    verdict = verdict_of(*kept)
    assert (verdict.decision, verdict.reasons, verdict.unseen) == ("GO", [], [])
    assert set(BLINDABLE) <= verdict.seen.keys()


@pytest.mark.parametrize("name", BLINDABLE)
def test_one_blind_check_costs_the_go_and_its_claims(kept, name):
    verdict = verdict_of(*blinded(name, *kept))
    assert verdict.decision == "NO-GO"
    assert verdict.unseen == [name]
    assert f"the check {name} was never seen to detect anything" in verdict.reasons
    resting = {claim for claim in CLAIMS if name in {need.check for need in claim.needs}}
    assert resting
    assert proven(verdict) < proven(verdict_of(*kept))
    assert not proven(verdict) & resting


def test_a_check_that_differs_from_its_certificate_costs_the_go_and_its_claims(kept):
    detection, proofs = kept
    told = "it finds more or less in 3 of 400 reference histories, first in 7"
    proofs = [msgspec.structs.replace(one, misread=told) if one.check == "delivery" else one for one in proofs]
    verdict = verdict_of(detection, proofs)
    assert verdict.decision == "NO-GO"
    assert f"the check delivery is another than was certified: {told}" in verdict.reasons
    resting = {claim for claim in CLAIMS if "delivery" in {need.check for need in claim.needs}}
    assert not proven(verdict) & resting


@pytest.mark.parametrize("name", [*CHECKS, *(rule.name for rule in RULES.values())])
def test_a_blind_check_or_rule_fails_only_its_own_self_proof(monkeypatch, computed, name):
    def blind(results):
        return [emptied(one) if one.check == name else one for one in results]

    checked, audited = iter(computed["check"]), iter(computed["as_results"])
    monkeypatch.setattr(proving, "misread", dict)
    monkeypatch.setattr(proving, "check", lambda *_: blind(next(checked)))
    monkeypatch.setattr(proving, "as_results", lambda _: blind(next(audited)))
    monkeypatch.setattr(proving, "runtime_as_certified", lambda: computed["runtime_as_certified"][0])
    assert [one.check for one in self_proofs() if not one.holds] == [name]


def test_every_check_rule_and_test_file_of_the_plan_has_a_planted_defect():
    assert set(PLANTED_HISTORIES) == set(CHECKS)
    assert set(PLANTED_SOURCES) == {rule.name for rule in RULES.values()}
    assert set(BROKEN_BY) == {need.check for claim in CLAIMS for need in claim.needs if need.source is Source.TESTS}


def test_every_self_proof_holds_and_names_its_defect(kept):
    _, proofs = kept
    assert [one.check for one in proofs if not one.holds] == []
    assert all(one.defect for one in proofs)


def test_a_check_that_accuses_the_clean_twin_has_detected_nothing(kept):
    proof = next(one for one in kept[1] if one.check == "delivery")
    always = msgspec.structs.replace(proof, clean=proof.planted)
    nothing = Detection(seeds=1, checks=("delivery",), rows=(), clean={})
    assert seen_to_detect([proof], nothing) == {"delivery": [proof.defect]}
    assert seen_to_detect([always], nothing) == {"delivery": []}


def test_a_check_that_fires_on_the_clean_runtime_has_caught_nothing_in_the_matrix(kept):
    detection, _ = kept
    noisy = msgspec.structs.replace(detection, clean={"delivery": 1})
    assert seen_to_detect([], detection)["delivery"]
    assert seen_to_detect([], noisy)["delivery"] == []


def test_the_plans_test_files_pass_and_each_fails_on_its_broken_runtime(kept):
    assert {result.check: result.state for result in run_plan_tests()} == dict.fromkeys(BROKEN_BY, "passed")
    _, proofs = kept
    assert {one.check: one.holds for one in proofs if one.check in BROKEN_BY} == dict.fromkeys(BROKEN_BY, True)
    assert all(isinstance(one, SelfProof) for one in proofs)


FILE = """
import pytest

def test_one():
    assert {one}

{mark}
def test_two():
    pass

class TestMore:
    def test_three(self):
        pass
"""


def run_file(tmp_path, one="True", mark=""):
    (tmp_path / "test_own.py").write_text(FILE.format(one=one, mark=mark))
    (result,) = run_plan_tests(tmp_path, ["test_own.py"])
    return result


def test_a_test_that_fails_is_a_finding(tmp_path):
    result = run_file(tmp_path, one="False")
    assert (result.state, [one.message for one in result.findings]) == ("failed", ["the test test_one failed"])


@pytest.mark.parametrize("mark", ["@pytest.mark.skip", "@pytest.mark.xfail"])
def test_a_test_that_does_not_run_is_missing_evidence(tmp_path, mark):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    result = run_file(tmp_path, mark=mark if "skip" in mark else f"{mark}(run=False)")
    assert result.state == "inconclusive"
    assert result.inconclusive == "1 of its 3 tests did not run: test_two"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTEST_ADDOPTS", "-k three"),
        ("PYTEST_ADDOPTS", "--deselect test_own.py::test_two"),
        ("PYTEST_PLUGINS", "there_is_none"),
        ("PYTHONPATH", "elsewhere"),
        ("PYTHONOPTIMIZE", "2"),
    ],
)
def test_the_callers_environment_does_not_reach_the_plans_tests(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    result = run_file(tmp_path)
    assert (result.state, result.looked_at) == ("passed", 3)


def test_a_missing_file_has_no_result_and_its_claims_are_unproven(tmp_path, kept):
    assert run_plan_tests(tmp_path) == []
    without = [one for one in passing() if one.source is not Source.TESTS]
    verdict = reach_verdict(ValidationParameters(), without, kept[0], Proofs(tuple(kept[1])))
    assert verdict.decision == "NO-GO"
    assert any("there is no result of" in reason for reason in verdict.reasons)

"""Outcomes that are kept between runs: they are reused for the same code only, and the matrix says that they were."""

from types import SimpleNamespace

import pytest

from netra_sim import fingerprint as module
from netra_sim.defects import detect, kept_outcomes
from netra_sim.defects.kept_outcomes import KeptOutcomes

DEFECTS = ("loses-one-in-ten",)


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setattr(kept_outcomes, "entry_points", lambda: SimpleNamespace(groups=set()))


def matrix(tmp_path, seeds=(1,)):
    return detect(seeds, defects=DEFECTS, jobs=1, cache=tmp_path)


def test_a_second_run_of_the_same_code_reuses_all_simulations_and_says_so(tmp_path):
    first = matrix(tmp_path)
    second = matrix(tmp_path)
    assert (first.reused, first.origin, first.simulations) == (0, "", 2)
    assert (second.reused, second.rows, second.clean, second.checks) == (2, first.rows, first.clean, first.checks)
    assert second.origin.startswith("2 of 2 simulations were made by an earlier run of the same code")


CALL = ("loses-one-in-ten", (1, 2), True)
OUTCOME = {"delivery": 2, "latency": 0}


def code(package):
    """Reads the fingerprint of a package with this digest."""

    def read():
        return module.Fingerprint(package=package, claims="", scenarios="", notebooks="", tests="")

    read.__wrapped__ = read
    return read


@pytest.mark.parametrize("change", ["code", "packages", "python", "seeds", "clean", "plug-in"])
def test_another_code_interpreter_package_or_call_has_no_outcome_yet(tmp_path, monkeypatch, change):
    KeptOutcomes(tmp_path).keep({CALL: OUTCOME})
    assert KeptOutcomes(tmp_path).get(CALL) == OUTCOME
    call = {"seeds": (CALL[0], (1,), True), "clean": (*CALL[:2], False)}.get(change, CALL)
    if change == "code":
        monkeypatch.setattr(kept_outcomes, "fingerprint", code("other"))
    if change == "packages":
        monkeypatch.setattr(kept_outcomes, "distributions", lambda: [SimpleNamespace(name="msgspec", version="99")])
    if change == "python":
        monkeypatch.setattr(kept_outcomes.sys, "version", "4.0")
    if change == "plug-in":
        monkeypatch.setattr(kept_outcomes, "entry_points", lambda: SimpleNamespace(groups={"netra_sim.checks"}))
    assert KeptOutcomes(tmp_path).get(call) is None


def test_nothing_is_kept_if_a_file_of_the_package_changes_meanwhile(tmp_path, monkeypatch):
    before = code("before")
    before.__wrapped__ = code("edited")
    monkeypatch.setattr(kept_outcomes, "fingerprint", before)
    KeptOutcomes(tmp_path).keep({CALL: OUTCOME})
    assert KeptOutcomes(tmp_path).get(CALL) is None

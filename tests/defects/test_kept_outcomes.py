"""Outcomes that are kept between runs: they are reused for the same code only, and the matrix says that they were."""

from types import SimpleNamespace

import pytest

from netra_sim import fingerprint as module
from netra_sim.defects import detect, kept_outcomes

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


def test_without_a_folder_nothing_is_reused(tmp_path):
    matrix(tmp_path)
    assert matrix(None).reused == 0


@pytest.mark.parametrize("change", ["code", "packages", "python", "seeds", "plug-in"])
def test_another_code_interpreter_package_or_seed_is_simulated_again(tmp_path, monkeypatch, change):
    matrix(tmp_path)
    if change == "code":
        other = module.fingerprint().__class__(package="other", claims="", scenarios="", notebooks="", tests="")
        monkeypatch.setattr(kept_outcomes, "fingerprint", lambda: other)
        kept_outcomes.fingerprint.__wrapped__ = lambda: other
    if change == "packages":
        monkeypatch.setattr(kept_outcomes, "distributions", lambda: [SimpleNamespace(name="msgspec", version="99")])
    if change == "python":
        monkeypatch.setattr(kept_outcomes.sys, "version", "4.0")
    if change == "plug-in":
        monkeypatch.setattr(kept_outcomes, "entry_points", lambda: SimpleNamespace(groups={"netra_sim.checks"}))
    assert matrix(tmp_path, (2,) if change == "seeds" else (1,)).reused == 0


def test_nothing_is_kept_if_a_file_of_the_package_changes_meanwhile(tmp_path, monkeypatch):
    now = module.fingerprint()
    other = module.fingerprint().__class__(package="edited", claims="", scenarios="", notebooks="", tests="")
    reader = lambda: now  # noqa: E731 - it needs an attribute
    reader.__wrapped__ = lambda: other
    monkeypatch.setattr(kept_outcomes, "fingerprint", reader)
    matrix(tmp_path)
    assert matrix(tmp_path).reused == 0

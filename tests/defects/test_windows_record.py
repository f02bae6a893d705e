"""A record from Windows counts only for the code that it measured."""

import msgspec
import pytest

from netra_sim.defects import (
    Hazard,
    WindowsRun,
    keep_windows_runs,
    read_windows_runs,
    recorded_code,
    recorded_on_windows,
    self_proof,
    self_proofs,
)

CHECKS = ("proactor-loop", "windows-hazards", "windows-digests")
SLEEP = Hazard(
    name="early sleep", question="Early?", tried=60, stock=60, safe=0, stock_errors=(-0.01,), safe_errors=(0.001,)
)
RUN = WindowsRun(
    python="3.11.9",
    system="Wine 8.0",
    loop=("WindowsEventLoop", "ProactorEventLoop"),
    date="2025-09-05",
    code=recorded_code(),
    hazards=(SLEEP,),
    digests_equal=40,
    digests=40,
)


def states(*runs):
    return {result.check: result.state for result in recorded_on_windows(runs)}


def changed(**fields):
    return msgspec.structs.replace(RUN, **fields)


def test_the_repository_has_a_record_of_the_current_code():
    runs = read_windows_runs()
    assert {run.python for run in runs} == {"3.11.9", "3.13.11"}
    assert {run.code for run in runs} == {recorded_code()}, "record it anew: python .ci/windows_lane.py"
    assert states(*runs) == dict.fromkeys(CHECKS, "passed")


def test_a_record_of_other_code_is_inconclusive_and_names_its_date():
    results = recorded_on_windows((changed(code="0" * 64),))
    assert {result.state for result in results} == {"inconclusive"}
    assert all("2025-09-05" in result.inconclusive for result in results)


def test_without_a_record_nothing_is_proven():
    assert states() == dict.fromkeys(CHECKS, "not applicable")


@pytest.mark.parametrize(
    ("check", "run"),
    [
        ("proactor-loop", changed(loop=("SelectorEventLoop",))),
        ("windows-hazards", changed(hazards=(SLEEP, msgspec.structs.replace(SLEEP, name="another", safe=1)))),
        ("windows-digests", changed(digests_equal=39)),
    ],
)
def test_a_failure_on_one_of_two_windows_runs_is_found(check, run):
    results = {result.check: result for result in recorded_on_windows((RUN, run))}
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(CHECKS, "passed") | {
        check: "failed"
    }
    assert results[check].findings[0].message.startswith(run.label)


def test_hazards_that_did_not_occur_are_inconclusive():
    met_nothing = changed(hazards=(msgspec.structs.replace(SLEEP, stock=0),))
    assert states(met_nothing)["windows-hazards"] == "inconclusive"


def test_each_check_of_windows_records_detects_its_planted_defect(monkeypatch):
    monkeypatch.setattr(self_proof, "misread", dict)  # takes seconds, and tests/defects/test_certificate.py is about it
    holding = {proof.check for proof in self_proofs() if proof.holds}
    assert set(CHECKS) <= holding


def test_a_loaded_record_equals_the_saved_one(tmp_path):
    keep_windows_runs((RUN, changed(python="3.13.11")), tmp_path / "windows.json")
    assert read_windows_runs(tmp_path / "windows.json") == (RUN, changed(python="3.13.11"))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "runs": []}', '{"format": 1, "runs": [{}]}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "windows.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="record it anew"):
        read_windows_runs(tmp_path / "windows.json")

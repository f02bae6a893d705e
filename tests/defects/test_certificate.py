"""Checks read the reference histories as they were certified to, and a changed one is known by it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from netra_sim.checks import CHECKS, Observation, check
from netra_sim.defects import DEFECTS
from netra_sim.defects import certificate as calibration
from netra_sim.defects.planted.reference import reference_history
from netra_sim.history import Kind


def test_every_check_reads_the_reference_histories_as_it_was_certified_to():
    assert calibration.misread() == {}


def test_every_check_finds_something_in_some_reference_histories_and_nothing_in_others():
    certified = calibration.certified()
    del certified[calibration.RUNTIME]
    for name, readings in certified.items():
        assert len(readings.found) == calibration.REFERENCES
        assert sum(count > 0 for count in readings.found) >= 8, name
        assert sum(count <= 0 for count in readings.found) >= 8, name
    assert certified.keys() == set(CHECKS)


def test_the_runtime_says_in_the_reference_conversations_what_it_was_certified_for():
    result = calibration.runtime_as_certified()
    assert (result.state, result.looked_at, result.found) == ("passed", 150, 0)


@pytest.mark.parametrize(
    "name", ["gap-one-short", "failures-are-silent", "place-kept-after-failure", "hello-lists-everybody"]
)
def test_a_defect_of_the_runtime_changes_what_is_said(name):
    with DEFECTS[name].switched_on():
        assert calibration.runtime_as_certified().state == "failed"


def test_conversations_are_the_same_in_a_process_that_hashes_otherwise():
    script = "from netra_sim.defects.certificate import runtime_readings; print(runtime_readings().digest)"
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {calibration.certified()[calibration.RUNTIME].digest}


@pytest.mark.parametrize("number", [0, 7, 123])
def test_a_reference_history_is_the_same_each_time(number):
    one, other = reference_history(number), reference_history(number)
    assert one.history.digest() == other.history.digest()
    assert one.objectives == other.objectives


def test_a_check_that_overlooks_one_kind_of_row_is_known_for_it_and_no_other_is(monkeypatch):
    def blinded(records, objectives):
        return Observation(CHECKS["unhandled-errors"].observe(records, objectives).looked_at)

    def checked(history, objectives, checks):
        blind = replace(CHECKS["unhandled-errors"], observe=blinded)
        return check(history, objectives, [blind if one.name == blind.name else one for one in checks])

    monkeypatch.setattr(calibration, "check", checked)
    told = calibration.misread()
    assert list(told) == ["unhandled-errors"]
    assert told["unhandled-errors"].startswith("it finds more or less in ")


def test_other_words_alone_are_known_too(monkeypatch):
    def checked(history, objectives, checks):
        for result in check(history, objectives, checks):
            yield type(result)(
                check=result.check, question=result.question, looked_at=result.looked_at + (result.check == "answers"),
                unit=result.unit, found=result.found, findings=result.findings, measured=result.measured,
                inconclusive=result.inconclusive,
            )  # fmt: skip

    monkeypatch.setattr(calibration, "check", checked)
    assert list(calibration.misread()) == ["answers"]


def test_reference_histories_tell_of_every_kind_that_checks_read():
    kinds = np.unique(np.concatenate([reference_history(number).history.numbers["kind"] for number in range(200)]))
    assert {Kind(kind).name for kind in kinds.tolist()} >= {kind.name for kind in Kind} - {"ENGINES"}

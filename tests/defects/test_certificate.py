"""Checks read the reference histories as certified, and the certificate reveals a changed check."""

import os
import subprocess
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from netra_sim.checks import CHECKS, check
from netra_sim.defects import DEFECTS, certificate
from netra_sim.defects.planted.reference import FOREIGN_FROM, ReferenceHistory, reference_history
from netra_sim.history import Kind


@pytest.fixture(scope="module")
def read():
    """What the checks say of each reference history, in order; to read them all takes seconds."""
    read = []

    def checked(*given):
        read.append(check(*given))
        return read[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "check", checked)
        assert certificate.misread() == {}
    return read


def test_every_check_reads_the_reference_histories_as_certified(read):
    assert len(read) == certificate.REFERENCES


def misread(read, monkeypatch, changed):
    """What is misread if a check says something else, given what the checks have said."""
    said = ([changed(result) for result in results] for results in read)
    monkeypatch.setattr(certificate, "check", lambda *_: next(said))
    monkeypatch.setattr(certificate, "reference_history", lambda _: ReferenceHistory(None, None))
    return certificate.misread()


def test_every_check_finds_something_in_some_reference_histories_and_nothing_in_others():
    certified = certificate.certified()
    del certified[certificate.RUNTIME]
    for name, readings in certified.items():
        assert len(readings.found) == certificate.REFERENCES
        assert sum(count > 0 for count in readings.found) >= 8, name
        assert sum(count <= 0 for count in readings.found) >= 8, name
    assert certified.keys() == set(CHECKS)


def test_the_runtime_answers_the_reference_conversations_as_certified():
    result = certificate.runtime_as_certified()
    assert (result.state, result.looked_at, result.found) == ("passed", 150, 0)


@pytest.mark.parametrize(
    "name", ["gap-one-short", "failures-are-silent", "place-kept-after-failure", "hello-lists-everybody"]
)
def test_a_defect_changes_the_reference_conversations(name):
    with DEFECTS[name].switched_on():
        assert certificate.runtime_as_certified().state == "failed"


def test_conversations_do_not_depend_on_the_hash_seed():
    script = "from netra_sim.defects.certificate import runtime_readings; print(runtime_readings().digest)"
    command, environment = [sys.executable, "-c", script], os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == certificate.certified()[certificate.RUNTIME].digest


@pytest.mark.parametrize("number", [0, 7, 123, FOREIGN_FROM, FOREIGN_FROM + 9])
def test_a_reference_history_is_the_same_each_time(number):
    one, other = reference_history(number), reference_history(number)
    assert one.history.digest() == other.history.digest()
    assert one.objectives == other.objectives


def test_a_blinded_check_is_misread_and_no_other_is(read, monkeypatch):
    def blinded(result):
        is_blind = result.check == "unhandled-errors"
        return replace(result, found=0, findings=(), inconclusive="") if is_blind else result

    found = misread(read, monkeypatch, blinded)
    assert list(found) == ["unhandled-errors"]
    assert found["unhandled-errors"].startswith("it finds more or less in ")


def test_a_change_in_figures_alone_is_misread_too(read, monkeypatch):
    def changed(result):
        is_changed = result.check == "answers" and result.looked_at > 0
        return replace(result, looked_at=result.looked_at + is_changed)

    found = misread(read, monkeypatch, changed)
    assert list(found) == ["answers"]
    assert found["answers"].startswith("it finds as much in each of ")


def test_reference_histories_have_every_kind_of_record():
    numbers = [*range(200), *range(FOREIGN_FROM, certificate.REFERENCES)]
    kinds = np.unique(np.concatenate([reference_history(number).history.numbers["kind"] for number in numbers]))
    assert {Kind(kind).name for kind in kinds.tolist()} >= {kind.name for kind in Kind} - {"ENGINES"}

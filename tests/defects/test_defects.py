"""Every defect brings its incident back, is caught, and leaves no trace when it is switched off."""

import asyncio
import re

import pytest

from netra_sim import runtime
from netra_sim.bridge import AgentWebSocketBridge, delivery
from netra_sim.checks import check
from netra_sim.defects import DEFECTS, conformance_checks, detect
from netra_sim.factory import ExecutionEngineFactory, UserExecutionEngine, context, pipeline
from netra_sim.simulation import simulate
from netra_sim.user_cache import cache_folder

REQUIRED = [f"W{n}" for n in range(1, 6)] + [f"B{n}" for n in range(1, 11)] + [f"F{n}" for n in range(1, 10)]
REQUIRED += ["S6", "S7", "S12", "S13", "S18"]
TOUCHED = (
    AgentWebSocketBridge, ExecutionEngineFactory, UserExecutionEngine, delivery.Delivery, context, pipeline, pipeline._Step,
    pipeline._TimedTool, runtime, asyncio,
)  # fmt: skip


@pytest.fixture(scope="module")
def detection():
    return detect([1], jobs=2, cache=cache_folder())


@pytest.mark.parametrize("incident", REQUIRED)
def test_every_incident_of_the_list_has_a_defect(incident):
    assert any(incident in defect.incidents for defect in DEFECTS.values())


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_has_a_symptom_and_incidents(name):
    defect = DEFECTS[name]
    assert re.fullmatch(r"[A-Z].{20,}\.", defect.symptom)
    assert all(re.fullmatch(r"[WBFSV]\d+", incident) for incident in defect.incidents)


OF_OTHER_SYSTEMS = {"event-order", "tokens", "disclosure", "work-after-leaving"}
"""The checks that need what only clients of other systems record."""


def test_every_defect_is_caught_and_nothing_fires_on_the_clean_runtime(detection):
    assert detection.undetected == ()
    assert detection.false_alarms == ()


def test_every_check_catches_a_defect(detection):
    toothless = {name for name in detection.checks if not any(name in row.caught for row in detection.rows)}
    assert toothless == OF_OTHER_SYSTEMS, "planted histories show that those can detect, see the certificate"


def test_the_checks_that_an_incident_is_about_are_among_those_that_catch_it(detection):
    expected = {
        "W1": "asyncio-untouched", "W3": "windows-layer", "W4": "idle-cost", "B1": "delivery", "B2": "cross-user-isolation",
        "B3": "real-ids", "B5": "bridge-integration", "B7": "truthfulness", "B8": "delivery", "B9": "memory",
        "F1": "engine-limit", "F2": "shared-state", "F4": "nothing-left", "F7": "every-run-ends", "F9": "shared-state",
        "S12": "critical-events", "S13": "truthfulness", "S18": "context-isolation",
    }  # fmt: skip
    for incident, name in expected.items():
        assert name in detection.by_incident[incident], incident


def state_of_the_runtime():
    return [(owner, dict(vars(owner))) for owner in TOUCHED]


@pytest.mark.parametrize("name", DEFECTS)
def test_switching_a_defect_off_restores_everything_even_after_an_error(name):
    before = state_of_the_runtime()
    with pytest.raises(LookupError), DEFECTS[name].switched_on():
        raise LookupError
    for (owner, was), (_, now) in zip(before, state_of_the_runtime(), strict=True):
        assert was == now, owner


def test_switching_off_a_defect_that_patches_asyncio_restores_asyncio():
    defect, stock = DEFECTS["leaves-asyncio-patched"], asyncio.sleep
    with defect.switched_on():
        results = check(simulate(defect.scenario, 1))
        assert asyncio.sleep is not stock
    assert asyncio.sleep is stock
    assert "asyncio-untouched" in {result.check for result in results if result.state == "failed"}


def test_two_defects_at_once_are_refused():
    with DEFECTS["never-wired"].switched_on(), pytest.raises(RuntimeError, match="never-wired"):
        DEFECTS["one-current-manager"].switched_on().__enter__()
    with DEFECTS["one-current-manager"].switched_on():
        pass


def test_the_same_defect_and_seed_make_the_same_history():
    for name in ("shared-dispatcher", "loses-one-in-ten", "lock-taken-twice"):
        defect, digests = DEFECTS[name], set()
        for _ in range(2):
            with defect.switched_on():
                digests.add(simulate(defect.scenario, 3).digest())
        assert len(digests) == 1, name


def test_the_outcome_does_not_depend_on_the_number_of_processes():
    names = ["one-current-manager", "placeholder-ids"]
    assert detect([5], defects=names, jobs=1) == detect([5], defects=names, jobs=2)


def test_a_deadlock_is_reported_as_one_and_names_the_waiting_tasks():
    defect = DEFECTS["lock-taken-twice"]
    with defect.switched_on():
        results = {result.check: result for result in check(simulate(defect.scenario, 1))}
    message = results["liveness"].findings[0].message
    assert message.startswith("deadlock: ")
    assert "answer_message" in message
    assert "0x" not in message


def test_the_conformance_checks_pass_on_the_clean_runtime():
    assert {result.check: result.state for result in conformance_checks()} == {
        "windows-layer": "passed",
        "bridge-integration": "passed",
        "factory-needs-bridge": "passed",
        "real-ids": "passed",
        "epochs": "passed",
        "lab": "passed",
    }

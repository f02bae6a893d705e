"""The scenario library: each scenario fails exactly its expected checks, checks detect every fault, digests are fixed."""

import json
import re

import msgspec
import pytest
from digests import FILE, digests

from netra_sim import check, simulate
from netra_sim.exploration import run_trial
from netra_sim.history import Kind
from netra_sim.simulation import FAULTS, Scenario, ScenarioError, find_scenario, scenario_names

SCENARIOS = [find_scenario(name) for name in scenario_names()]
SHOWN_BY_TESTS_ONLY = {
    "W1", "W2", "W6",  # what the decorator means: tests/runtime
    "B4", "B5",  # resolving a run's owner, truth of integration: tests/bridge
    "F2", "F8", "F9",  # shared parts, factories that may not exist, frozen contexts: tests/factory
    "S11", "S12", "S13", "S14", "S15", "S16", "S17", "S18",  # several also have scenarios
}  # fmt: skip
INCIDENTS = {
    f"{room}{number}" for room, last in {"W": 7, "B": 13, "F": 12, "S": 19}.items() for number in range(1, last + 1)
}


def failed(scenario, seed=1):
    return {result.check for result in check(simulate(scenario, seed)) if result.state == "failed"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_exactly_the_expected_checks_fail_and_none_without_the_faults(scenario):
    assert failed(scenario) == set(scenario.expect)
    if scenario.faults:
        assert failed(msgspec.structs.replace(scenario, faults=())) == set()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_ever_breaks_isolation_order_truth_limits_or_clean_up(scenario):
    never = {"cross-user-isolation", "shared-state", "critical-events", "truthfulness", "nothing-left", "engine-limit"}
    assert failed(scenario, 2) & never == set()


HARMLESS = {"logout"}
"""Faults after which every check passes: what a user wants to happen."""


def test_every_fault_is_in_a_scenario_that_fails_because_of_it():
    blamed = {fault.name for scenario in SCENARIOS if scenario.expect for fault in scenario.faults}
    assert blamed | HARMLESS == {name for name, fault in FAULTS.items() if not fault.needs_system}
    shown = {fault.name for scenario in SCENARIOS for fault in scenario.faults}
    assert shown >= HARMLESS


def test_every_incident_has_a_scenario_or_is_shown_by_tests_only():
    named = {incident for scenario in SCENARIOS for incident in scenario.incidents}
    assert named <= INCIDENTS
    assert INCIDENTS - named <= SHOWN_BY_TESTS_ONLY


def test_there_are_thirty_scenarios_with_descriptions_named_as_their_files():
    assert len(SCENARIOS) >= 30
    assert [scenario.name for scenario in SCENARIOS] == scenario_names()
    assert all(len(scenario.description) > 40 and scenario.incidents for scenario in SCENARIOS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_says_what_it_does_and_which_incident_it_comes_from(name):
    doc = FAULTS[name].__doc__
    assert re.search(r"Incidents: [WBFS]\d+", doc)
    assert doc.splitlines()[0].endswith(".")


def test_the_begin_and_end_of_a_fault_are_recorded():
    history = simulate(find_scenario("disconnect-storm"))
    marks = history.frame(Kind.FAULT_BEGAN, Kind.FAULT_ENDED)
    assert marks["detail"].tolist() == ["disconnect-storm"] * 2
    assert marks["time"].tolist() == [5.0, 20.0]


def test_a_fault_that_hits_nothing_changes_no_events():
    in_turn = find_scenario("agent-crashes").with_settings({"platform.order": "fifo"})
    healthy, harmless = (in_turn.with_settings(settings) for settings in ({"faults": []}, {"faults.0.share": 0.0}))
    kinds = [Kind.REQUESTED, Kind.PUBLISHED, Kind.RECEIVED]
    first, second = (simulate(one).frame(*kinds).reset_index(drop=True) for one in (healthy, harmless))
    columns = ["time", "kind", "user", "run", "event", "seq"]
    assert first[columns].astype(str).equals(second[columns].astype(str))


@pytest.mark.parametrize("name", ["disconnect-storm", "deploy", "everything-at-once", "windows-clock", "cancellations"])
def test_digests_are_reproducible_under_faults(name):
    assert run_trial(find_scenario(name), 5).digest == run_trial(find_scenario(name), 5).digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network.latncy.median": 1}, "no setting network.latncy.median"),
        (
            {"faults": [{"kind": "earthquake"}]},
            r"faults\[0\].kind: there is no 'earthquake'; it takes one of .*, deploy",
        ),
        ({"faults": [{"kind": "agent-crash", "share": 2}]}, r"faults\[0\].share: .*; it had 2"),
        (
            {"faults": [{"kind": "agent-crash", "shares": 1}]},
            r"faults\[0\]: there is no field shares; did you mean share\?",
        ),
        ({"faults": {"kind": "deploy"}}, "faults: expected a list"),
        (
            {"network.latency": {"kind": "lognormal", "medain": 1}},
            "latency: there is no field medain; did you mean median",
        ),
        ({"network.latency": {"median": 1}}, 'latency: .*it takes kind = "constant", .*kind = "lognormal"'),
        ({"workload.arrivals": {"kind": "replay"}}, "arrivals: it lacks the field times; it takes kind, times"),
        ({"platform.order": "lifo"}, "platform: the order is fifo, random, or .*, and not 'lifo'"),
        ({"objectives.delivery_p95": -1}, "delivery_p95: .*; it had -1"),
        ({"objectives.refused": 2}, "refused: .*; it had 2"),
        ({"users": 3, "only_users": [3]}, r"scenario: only_users names users from 0 to 2, each once, and is \[3\]"),
        ({"only_users": [1, 1]}, r"scenario: only_users .*, each once, and is \[1, 1\]"),
        ({"users": "many"}, "users: .*; it had 'many'"),
    ],
)
def test_invalid_settings_are_refused_with_their_path(settings, message):
    with pytest.raises(ScenarioError, match=message):
        Scenario().with_settings(settings)


def test_a_file_with_an_infinite_value_or_an_unknown_field_is_refused(tmp_path):
    file = tmp_path / "mine.toml"
    for text, message in (
        ("time_limit = inf", "mine.toml: time_limit: .*; it had inf"),
        ("userz = 3", "mine.toml: scenario: there is no field userz; did you mean users"),
    ):
        file.write_text(text)
        with pytest.raises(ScenarioError, match=message):
            find_scenario(str(file))


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "mine.toml").write_text("users = 7", encoding="utf-8-sig")
    assert find_scenario(str(tmp_path / "mine.toml")).users == 7


def test_an_unknown_scenario_name_gets_a_hint():
    with pytest.raises(ScenarioError, match="did you mean disconnect-storm"):
        find_scenario("disconect-storm")
    with pytest.raises(ScenarioError, match="no file"):
        find_scenario("nowhere.toml")


def test_digests_do_not_depend_on_python_platform_or_number_of_processes():
    assert digests(jobs=2) == json.loads(FILE.read_text("utf-8"))


def test_the_windows_scenarios_pass_on_the_netra_sim_loop():
    for name in ("windows-listener", "windows-sockets"):
        stock = find_scenario(name)
        assert failed(stock) == set(stock.expect) != set()
        assert failed(stock.with_settings({"platform.loop": "netra-sim"})) == set()


def test_a_platform_is_a_word_or_a_table_and_recorded_times_are_exact(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('users = 3\nplatform = "windows"\n', encoding="utf-8")
    on_windows = find_scenario(str(path))
    assert (on_windows.platform.loop, on_windows.platform.tick) == ("proactor", 1 / 64)
    times = simulate(on_windows).numbers["time"]
    assert not (times * 64 == (times * 64).round()).all()
    path.write_text('platform = "macos"', encoding="utf-8")
    with pytest.raises(ScenarioError, match='"linux" or "windows"'):
        find_scenario(str(path))

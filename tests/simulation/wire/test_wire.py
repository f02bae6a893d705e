"""Scenarios with the real server and the real clients: checks come to the same outcome, or the file says why not."""

import re
import subprocess
import sys
from functools import cache

import pytest

from netra_sim import check, simulate
from netra_sim.defects import DEFECTS
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import MOST_UNSENT_BYTES, History, Kind
from netra_sim.simulation import Scenario, ScenarioError, ShardsError, find_scenario, scenario_names
from netra_sim.simulation.library import scenario_path

WIRE = {"fidelity": "wire"}
_NOTE = re.compile(r"^# wire: ([a-z-]+): \S.{20,}\.$", re.MULTILINE)


def on_wire(name, **settings):
    return find_scenario(name).with_settings(WIRE | settings)


@cache
def simulated_on_wire(name):
    """The history of a library scenario on the wire; several tests look at it."""
    return simulate(on_wire(name))


def outcomes(history):
    return {result.check: result.state for result in check(history)}


def failed(history):
    return {name for name, state in outcomes(history).items() if state == "failed"}


def noted(name):
    """The checks that a library scenario's file says to have another outcome on the wire."""
    text = scenario_path(name).read_text("utf-8")
    assert text.count("# wire:") == len(_NOTE.findall(text))
    return set(_NOTE.findall(text))


@pytest.mark.parametrize("name", scenario_names())
def test_every_check_comes_to_the_same_outcome_or_the_scenario_file_says_why_not(name):
    bridge, wire = outcomes(simulate(find_scenario(name))), outcomes(simulated_on_wire(name))
    assert {check for check in bridge if bridge[check] != wire[check]} == noted(name)


@pytest.mark.parametrize(
    "defect",
    [
        "answers-land-elsewhere",
        "one-current-manager",
        "healthy-and-deaf",
        "keeps-ended-runs",
        "stalled-client-blocks-all",
        "lock-taken-twice",
        "place-kept-after-failure",
    ],
)
def test_the_checks_that_catch_a_seeded_defect_catch_it_on_the_wire_too(defect):
    seeded = DEFECTS[defect]
    with seeded.switched_on():
        assert failed(simulate(seeded.scenario)) == failed(simulate(seeded.scenario.with_settings(WIRE))) != set()


_DIGESTS = """
from netra_sim import simulate
from netra_sim.simulation import find_scenario
for name in ("everything-at-once", "deploy", "tab-multiplication", "windows-clock"):
    print(simulate(find_scenario(name).with_settings({"fidelity": "wire"}), 3).digest())
"""


def test_a_seed_gives_the_same_history_in_every_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", _DIGESTS], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != ""
    assert runs[0].stderr == ""


def test_another_seed_gives_another_history():
    assert len({simulate(on_wire("steady-load", users=4), seed).digest() for seed in (1, 2)}) == 2


def test_the_context_of_a_request_has_the_mark_of_its_user():
    history = simulate(on_wire("steady-load", users=10))
    samples = history.frame(Kind.SAMPLE)
    read = samples[samples["detail"] == "context variables read"]["value"].tolist()
    assert read == [len(history.frame(Kind.PUBLISHED))]
    assert len(history.frame(Kind.LEAKED_CONTEXT)) == 0


def test_answers_are_compared_with_the_questions():
    answers = simulate(on_wire("steady-load", users=10)).frame(Kind.ANSWERED)
    assert answers["event"].tolist() == ["complete"] * 10


def test_a_request_that_is_lost_with_its_connection_is_sent_again_and_no_other_one():
    history = simulated_on_wire("disconnect-storm")
    assert len(history.frame(Kind.REQUESTED)) > 40
    assert outcomes(history)["every-run-ends"] == "passed"
    assert len(history.frame(Kind.REFUSED)) == 0


def test_a_request_waits_for_the_first_connection_and_says_why_there_is_none():
    history = simulated_on_wire("late-authentication")
    assert outcomes(history)["every-run-ends"] == "passed"
    assert len(history.frame(Kind.REQUESTED)) == 40
    assert set(history.frame(Kind.CONNECT_REFUSED)["detail"].astype(str)) == {"no token service"}


def test_a_client_that_stops_reading_makes_the_server_wait_and_gets_everything_later():
    stall = {"kind": "stalled-socket", "at": 3.0, "lasts": 12.0, "share": 0.5}
    scenario = on_wire("steady-load", users=20).with_settings(
        {"faults": [stall], "agents.reasoning": 20_000, "workload.window": 4.0}
    )
    history = simulate(scenario)
    waiting = history.frame(Kind.SAMPLE)
    assert waiting[waiting["detail"] == MOST_UNSENT_BYTES]["value"].max() > 0
    assert outcomes(history)["delivery"] == outcomes(history)["every-run-ends"] == "passed"


def test_a_client_that_says_hello_while_the_server_goes_down_is_told_to_come_again():
    history = simulate(on_wire("everything-at-once"), 4)
    assert outcomes(history)["unhandled-errors"] == "passed"


@pytest.mark.parametrize("outage", ["disconnect", "flapping", "dead-socket", "late-authentication"])
@pytest.mark.parametrize("every", [1.0, 2.0])
def test_a_client_whose_tokens_end_in_an_outage_comes_back(outage, every):
    faults = [
        {"kind": outage, "at": 3.0, "lasts": 8.0},
        {"kind": "token-expiry", "at": 3.0, "lasts": 12, "every": every},
    ]
    long_runs = {"users": 15, "agents.reasoning": 2000, "workload.window": 14.0}
    history = simulate(on_wire("steady-load", faults=faults, **long_runs))
    assert {"delivery", "every-run-ends", "recovery"} & failed(history) == set()


def test_a_client_whose_tokens_always_end_on_their_way_gives_up_and_the_history_says_so():
    faults = [{"kind": "token-expiry", "at": 15.0, "lasts": 30, "every": 1.0}]
    far = {"network.latency": {"kind": "constant", "seconds": 0.6}, "agents.reasoning": 2000}
    history = simulate(on_wire("steady-load", users=3, faults=faults, **far))
    reasons = history.frame(Kind.CONNECT_REFUSED)["detail"].astype(str).tolist()
    assert "HTTP 401 for good" in reasons


def test_a_selector_loop_on_windows_holds_few_sockets_and_a_proactor_loop_stops_listening():
    for name in ("windows-sockets", "windows-listener"):
        refused = simulated_on_wire(name).frame(Kind.CONNECT_REFUSED)["detail"].astype(str)
        assert "not accepted" in set(refused)


class _OnceMore(ExecutionEngineFactory):
    made = 0

    async def _make_engine(self, context):
        type(self).made += 1
        return await super()._make_engine(context)


def test_a_factory_of_ones_own_makes_the_engines():
    simulate(on_wire("steady-load", users=3), factory_class=_OnceMore)
    assert _OnceMore.made == 3


def test_users_on_the_wire_are_not_split_among_processes():
    with pytest.raises(ShardsError, match="on the wire share a server; leave shards out"):
        simulate(on_wire("steady-load", users=3), shards=2)
    reasons = []
    simulate(on_wire("steady-load", users=3), shards="auto", on_one_process=reasons.append)
    assert reasons == ["the users of a simulation on the wire share a server"]


def test_the_fidelity_is_one_of_two_and_not_for_a_system_under_test():
    with pytest.raises(ScenarioError, match="fidelity: there is no 'paper'; it takes one of bridge, wire"):
        Scenario().with_settings({"fidelity": "paper"})
    system = {"system": {"app": "app:app"}, "client": {"kind": "ag-ui"}}
    with pytest.raises(ScenarioError, match="a system under test is always on the wire"):
        Scenario.from_mapping(system | WIRE)


def test_the_command_line_takes_the_fidelity(tmp_path):
    command = [sys.executable, "-m", "netra_sim", "simulate", "steady-load", "--users", "5", "--set", 'fidelity="wire"']
    subprocess.run([*command, "-o", str(tmp_path / "history.parquet")], capture_output=True, check=True)
    assert History.load(tmp_path / "history.parquet").meta["scenario"]["fidelity"] == "wire"

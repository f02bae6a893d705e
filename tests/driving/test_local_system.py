"""A load run starts the system of a scenario and its services as real processes, harms them, and stops them."""

import socket
import sys
from pathlib import Path

import pytest
from small_server import SSE

from netra_sim.checks import check
from netra_sim.driving import load_scenario
from netra_sim.exceptions import SystemFailedError
from netra_sim.history import Kind
from netra_sim.loading import local_system
from netra_sim.loading.output_errors import errors_in
from netra_sim.simulation import Scenario, ScenarioError, simulate

pytestmark = pytest.mark.real_time
HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def no_linger(monkeypatch):
    monkeypatch.setattr(local_system, "LINGER", 0.0)


def scenario(path="/chat", **fields):
    workload = {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.1}}
    system = {"app": "their_app:app", "folder": HERE} | fields.pop("system", {})
    plain = {"users": 3, "client": SSE | {"path": path}, "workload": workload, "system": system}
    return Scenario.from_mapping(plain | fields)


def failed(history):
    return {one.check for one in check(history) if one.state == "failed"} - {"latency"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main(name, **settings):
    port = free_port()
    return {"app": "", "main": f"their_app:{name}", "port": port, "environment": {"PORT": str(port)}} | settings


async def test_one_scenario_runs_simulated_and_real_with_the_same_requests_and_the_same_outcome():
    one = scenario()
    real = await load_scenario(one, 5)
    simulated = simulate(one, 5)
    begins = [history.frame(Kind.REQUESTED)["due"].min() for history in (simulated, real)]
    dues = [
        sorted(
            (row.user, row.run, row.thread, round(row.due - first, 5))
            for row in history.frame(Kind.REQUESTED).itertuples()
        )
        for history, first in zip((simulated, real), begins, strict=True)
    ]
    assert dues[0] == dues[1]
    assert failed(simulated) == failed(real) == set()
    assert len(real.frame(Kind.FIRST_CONTENT)) == 3


async def test_a_killed_process_ends_its_answers_and_serves_again_after_its_restart():
    fault = {"kind": "process-killed", "at": 0.4, "lasts": 0.3}
    workload = {"arrivals": {"kind": "replay", "times": [0.1, 0.2, 8.0]}}
    history = await load_scenario(scenario("/long", faults=[fault], workload=workload))
    received = history.frame(Kind.RECEIVED)
    ended = received[received["event"] == "agent_completed"]
    assert ended["user"].tolist() == ["user-2"]
    assert (
        {"process-killed"}
        == set(history.frame(Kind.FAULT_BEGAN)["detail"])
        == set(history.frame(Kind.FAULT_ENDED)["detail"])
    )
    assert set(history.frame(Kind.DISCONNECTED)["user"][:2]) == {"user-0", "user-1"}


@pytest.mark.parametrize(("drain", "answered"), [(20.0, 2), (0.0, 0)])
async def test_a_process_that_is_restarted_ends_its_answers_if_it_may(drain, answered):
    fault = {"kind": "process-restarted", "at": 0.4, "lasts": drain + 0.3, "drain": drain}
    workload = {"arrivals": {"kind": "replay", "times": [0.1, 0.2]}}
    history = await load_scenario(scenario("/long", faults=[fault], workload=workload))
    assert history.frame(Kind.RECEIVED)["event"].eq("agent_completed").sum() == answered
    assert set(history.frame(Kind.FAULT_ENDED)["detail"]) == {"process-restarted"}


async def test_a_service_that_gets_worse_is_worse_while_the_fault_lasts():
    workload = {"arrivals": {"kind": "replay", "times": [0.0, 1.0, 6.0]}}
    fault = {"kind": "service-worse", "service": "search", "at": 0.5, "lasts": 5.0, "error_share": 1.0}
    system = {"environment": {"TOOL": "{search}/find"}}
    services = {"search": {"kind": "http"}}
    one = scenario("/tool", faults=[fault], workload=workload, system=system, services=services)
    history = await load_scenario(one)
    assert sorted(history.frame(Kind.WORKED)["run"]) == ["user-0.1", "user-2.1"]
    assert failed(history) == set()


async def test_an_exception_that_the_system_logs_is_an_unhandled_error_of_it():
    one = scenario("/broken", system={"environment": {"GREETING": "good morning"}})
    history = await load_scenario(one)
    errors = history.frame(Kind.LOOP_ERROR)
    assert errors["event"].tolist() == ["RuntimeError"] * 3
    assert errors["detail"].str.contains("broken in their_app.py, line .*no good morning").all()
    assert "unhandled-errors" in failed(history)


async def test_a_process_that_does_not_stop_after_sigterm_is_killed_and_recorded():
    history = await load_scenario(scenario(system=main("serve_for_ever", stop_within=0.2)))
    assert history.frame(Kind.LEFT_OVER)["detail"].tolist() == ["a process that did not stop after SIGTERM"]


@pytest.mark.parametrize(
    ("system", "says"),
    [
        (main("short"), r"(?s)ended before it listened, with exit code 1.*it does not want to start"),
        (main("deaf", start_within=0.5), "does not listen on port"),
        ({"app": "there_is_no:app"}, "(?s)ended before it listened.*there_is_no"),
    ],
)
async def test_a_system_that_does_not_start_is_refused_with_its_last_words(system, says):
    with pytest.raises(SystemFailedError, match=says):
        await load_scenario(scenario(system=system))


async def test_a_port_that_another_process_has_is_not_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        system = {"app": "", "main": "their_app:deaf", "port": taken.getsockname()[1]}
        with pytest.raises(SystemFailedError, match="another process listens on port"):
            await load_scenario(scenario(system=system))


async def test_what_cannot_be_started_or_harmed_is_refused_before_anything_starts():
    with pytest.raises(ScenarioError, match=r"system\.processes is 2"):
        await load_scenario(scenario(system={"processes": 2}))
    with pytest.raises(ScenarioError, match="power-cut cannot be caused on real sockets"):
        await load_scenario(scenario(faults=[{"kind": "power-cut"}]))
    with pytest.raises(ScenarioError, match="process-killed needs a system that the load run starts itself"):
        await load_scenario(scenario(faults=[{"kind": "process-killed"}]), url="http://127.0.0.1:9")
    with pytest.raises(ScenarioError, match="names no system to start"):
        await load_scenario(Scenario.from_mapping({"client": SSE}))


def raised(code):
    """What Python writes about an exception."""
    import subprocess

    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("1/0", ["ZeroDivisionError"]),
        ("try:\n 1/0\nexcept ZeroDivisionError as error:\n raise KeyError('x') from error", ["KeyError"]),
        ("try:\n 1/0\nexcept ZeroDivisionError:\n raise KeyError('x')", ["KeyError"]),
        ("class WebSocketDisconnect(Exception): pass\nraise WebSocketDisconnect", []),
        ("raise ValueError", ["ValueError"]),
        ("import sys; sys.stderr.write('INFO: all is well')", []),
    ],
)
def test_each_exception_in_the_output_counts_once_and_a_chain_as_its_last(code, found):
    assert [error for error, _ in errors_in(raised(code))] == found
    assert [error for error, _ in errors_in(raised("1/0") + raised(code))] == ["ZeroDivisionError", *found]


def test_a_group_of_exceptions_counts_once():
    assert [error for error, _ in errors_in(raised("raise ExceptionGroup('all', [ValueError(1)])"))] == [
        "ExceptionGroup"
    ]

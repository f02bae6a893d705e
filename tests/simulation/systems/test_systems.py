"""A back end of other people runs unmodified under simulated users, and its defects show."""

import gc
import logging
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from netra_sim.checks import check
from netra_sim.exceptions import SystemFailedError
from netra_sim.history import Kind
from netra_sim.simulation import FAULTS, Scenario, ScenarioError, simulate
from netra_sim.simulation.systems import endless

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"

SSE = {
    "kind": "sse-json",
    "path": "/chat",
    "body": {"text": "{text}"},
    "type": "type",
    "content": "text",
    "end": {"path": "type", "values": ["done"]},
}


def scenario(**fields):
    plain = {
        "users": 5,
        "workload": {"window": 5.0},
        "system": {"app": "apps:app", "folder": str(HERE)},
        "client": SSE,
    }
    return Scenario.from_mapping(plain | fields)


def results(history):
    return {one.check: one.state for one in check(history)}


def failed(history):
    return {name for name, state in results(history).items() if state == "failed"}


def test_users_of_a_fastapi_back_end_get_their_answers_and_every_check_that_can_judge_passes():
    history = simulate(scenario())
    found = results(history)
    assert found["every-run-ends"] == found["content-isolation"] == found["tokens"] == "passed"
    assert found["unhandled-errors"] == found["liveness"] == "passed"
    assert not failed(history)
    assert len(history.frame(Kind.FIRST_CONTENT)) == 5


@pytest.mark.parametrize("path", ["/chat", "/chat-in-a-thread"])
def test_the_same_seed_gives_the_same_history_also_with_worker_threads_and_another_seed_another(path):
    one = scenario(client=SSE | {"path": path}, users=20)
    first, again, other = (simulate(one, seed) for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()
    assert not failed(first)


def test_another_process_with_another_hash_seed_gives_the_same_history():
    code = (
        "import sys; from netra_sim.simulation import FAULTS, Scenario, simulate;"
        "print(simulate(Scenario.load(sys.argv[1]).with_settings({'users': 4}), 3).digest())"
    )
    path = EXAMPLES / "fastapi_agents" / "agents.toml"
    command, environment = [sys.executable, "-c", code, str(path)], {"PYTHONHASHSEED": "1", "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=EXAMPLES.parent)
    here = simulate(Scenario.load(path).with_settings({"users": 4}), 3)
    assert done.stdout.strip() == here.digest()


@pytest.mark.parametrize(("processes", "most"), [(1, 6), (2, 3), (3, 2)])
def test_each_simulation_and_each_process_imports_the_program_anew(processes, most):
    system = {"app": "apps:app", "folder": str(HERE), "processes": processes}
    client = SSE | {"sequence": "number", "headers": {"Connection": "close"}}
    history = simulate(scenario(users=6, system=system, client=client))
    assert history.frame(Kind.RECEIVED)["seq"].max() == most, "the program counts its requests from 1"
    assert "apps" not in sys.modules


def test_a_program_that_listens_by_itself_is_a_system_too():
    client = {"kind": "websocket-json", "message": "{text}", "expect_broadcast": True, "path": "/echo"}
    history = simulate(scenario(client=client))
    assert results(history)["every-run-ends"] == "passed"
    line_server = scenario(system={"main": "apps:main", "folder": str(HERE)})
    history = simulate(line_server)
    assert {"every-run-ends"} <= failed(history), "it does not speak HTTP"
    assert not len(history.frame(Kind.LEFT_OVER)), "it stops on SIGTERM"


def test_a_program_that_cancels_all_tasks_cancels_only_those_of_its_process():
    line_server = scenario(system={"main": "apps:cancels_all", "folder": str(HERE)})
    history = simulate(line_server)
    assert "every-run-ends" in failed(history), "it does not speak HTTP"
    assert not len(history.frame(Kind.LOOP_ERROR))


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ({"app": "nowhere:app"}, "there is no module 'nowhere'"),
        ({"app": "apps:nothing"}, "has no attribute 'nothing'"),
        ({"app": "apps:STARTED"}, "cannot be called"),
        ({"main": "apps:deaf", "start_within": 5.0}, "does not listen on port 8000 within 5 s"),
        ({"main": "apps:short"}, "its main function returned"),
        ({"app": "exiting:app"}, "its import exited with MODEL_URL is not set"),
    ],
)
def test_a_system_that_does_not_start_says_why(system, says):
    with pytest.raises(SystemFailedError, match=says):
        simulate(scenario(system={"folder": str(HERE)} | system))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"system": {"app": "apps:app", "main": "apps:main"}}, "either an app"),
        ({"system": {"app": "apps"}}, "system.app"),
        ({"client": {"kind": "sse-jsn"}}, "did you mean sse-json"),
        ({"client": SSE | {"paht": "/"}}, "paht"),
        ({"services": {"model": {"kind": "modle"}}}, "did you mean model"),
        ({"faults": [{"kind": "tool-hang"}]}, "cannot hit a system under test"),
        ({"workload": {"tabs_per_user": 2}}, "tabs_per_user"),
    ],
)
def test_a_scenario_with_a_wrong_system_is_refused_with_the_field(fields, says):
    with pytest.raises(ScenarioError, match=says):
        scenario(**fields)


def test_a_scenario_without_a_system_takes_nothing_that_needs_one():
    for fields in ({"services": {}}, {"faults": [{"kind": "process-killed"}]}):
        with pytest.raises(ScenarioError, match=r"\[system\]"):
            Scenario.from_mapping(fields)
    with pytest.raises(ScenarioError, match=r"\[system\]"):
        simulate(Scenario.from_mapping({"client": SSE}))


def test_code_that_computes_for_ever_ends_the_simulation_and_its_line_is_named(monkeypatch):
    monkeypatch.setattr(endless, "PATIENCE", 0.5)
    with pytest.raises(SystemFailedError, match=r"computes at apps\.py:\d+ \(endless\) for 0\.5 s .* without an await"):
        simulate(scenario(client=SSE | {"path": "/endless"}))


def test_a_task_that_swallows_its_cancellation_does_not_keep_the_simulation_from_ending():
    assert not failed(simulate(scenario(client=SSE | {"path": "/undying"})))


@pytest.mark.parametrize("is_configured", [False, True])
def test_an_exception_in_the_application_is_an_unhandled_error_and_the_environment_is_set(is_configured, monkeypatch):
    if is_configured:  # as by a real uvicorn in this process
        monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", False)
        monkeypatch.setattr(logging.getLogger("uvicorn.error"), "level", logging.CRITICAL)
    system = {"app": "apps:app", "folder": str(HERE), "environment": {"GREETING": "good morning"}}
    history = simulate(scenario(system=system, client=SSE | {"path": "/environment"}))
    assert "unhandled-errors" in failed(history)
    assert "RuntimeError: good morning" in history.frame(Kind.LOOP_ERROR)["detail"].iloc[0]


def test_an_exception_that_ends_a_thread_is_an_unhandled_error():
    history = simulate(scenario(client=SSE | {"path": "/thread-of-its-own"}))
    assert "unhandled-errors" in failed(history)
    detail = history.frame(Kind.LOOP_ERROR)["detail"].iloc[0]
    assert "Exception in thread helper" in detail
    assert "makes a second event loop" in detail


def test_each_process_has_a_wall_clock_of_its_own():
    system = {"app": "apps:app", "folder": str(HERE), "processes": 2, "clock_skew": [0.0, 2.5]}
    history = simulate(scenario(system=system, client=SSE | {"path": "/clocks"}))
    times = {float(detail.rpartition("=")[2]) for detail in history.frame(Kind.LOOP_ERROR)["detail"]}
    assert max(times) - min(times) == 2.5
    with pytest.raises(ScenarioError, match="one number for each of 2 processes"):
        scenario(system=system | {"clock_skew": [1.0]})


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "process-killed", "at": 2.0, "lasts": 1.0},
        {"kind": "power-cut", "at": 2.0, "lasts": 1.0},
        {"kind": "deploy", "at": 2.0, "lasts": 1.0, "drain": 0.0},
        {"kind": "disconnect", "at": 2.0, "lasts": 1.0},
    ],
)
def test_requests_in_flight_fall_with_a_fault_and_later_ones_are_answered(fault):
    one = scenario(users=30, workload={"window": 10.0, "patience": 20.0}, faults=[fault])
    history = simulate(one)
    ended = set(history.frame(Kind.RECEIVED).query("event == 'agent_completed'")["run"])
    asked = history.frame(Kind.REQUESTED)
    lost = asked[~asked["run"].isin(ended)]
    assert 0 < len(lost) < 30
    assert lost["due"].between(1.0, 4.0).all()
    assert simulate(one).digest() == history.digest()


def test_a_rolling_deploy_of_two_processes_serves_everybody_who_asks_again():
    system = {"app": "apps:app", "folder": str(HERE), "processes": 2}
    history = simulate(scenario(system=system, users=30, faults=[{"kind": "rolling-deploy", "at": 2.0}]))
    assert not failed(history)


@pytest.mark.parametrize(("drain", "is_graceful"), [(3.0, True), (0.0, False)])
def test_a_process_that_is_restarted_ends_what_it_has_begun_if_it_may_and_the_other_one_goes_on(drain, is_graceful):
    system = {"app": "apps:app", "folder": str(HERE), "processes": 2}
    fault = {"kind": "process-restarted", "process": 2, "at": 4.0, "lasts": 5.0, "drain": drain}
    history = simulate(scenario(system=system, users=40, workload={"window": 12.0}, faults=[fault]))
    received, asked = history.frame(Kind.RECEIVED), history.frame(Kind.REQUESTED)
    ended = set(received.query("event == 'agent_completed'")["run"])
    lost = asked[~asked["run"].isin(ended)]
    begun = lost[lost["run"].isin(set(received["run"]))]
    assert begun.empty == is_graceful
    assert lost["due"].between(3.0, 4.0).all(), "at most what was on its way at that moment"
    assert asked["due"].max() > 9.0


def test_a_process_that_may_drain_for_longer_than_it_is_away_is_refused():
    with pytest.raises(ScenarioError, match=r"faults\[0\]: drain must be less than lasts, which is 2, and is 5"):
        scenario(faults=[{"kind": "process-restarted", "lasts": 2.0}])


def test_users_of_a_system_flap_one_by_one_and_are_served_again():
    flapping = {"kind": "flapping", "at": 2.0, "lasts": 10.0, "every": 4.0, "off": 1.0}
    one = scenario(users=20, workload={"window": 20.0, "patience": 20.0}, faults=[flapping])
    history = simulate(one)
    ended = set(history.frame(Kind.RECEIVED).query("event == 'agent_completed'")["run"])
    asked = history.frame(Kind.REQUESTED)
    lost = asked[~asked["run"].isin(ended)]["due"]
    assert 0 < len(lost) < 20
    assert lost.between(0.0, 14.0).all()
    assert history.frame(Kind.FAULT_ENDED)["value"].tolist() > [0.0]


def test_a_service_that_gets_slower_delays_the_answers_while_the_fault_lasts():
    agents = Scenario.load(EXAMPLES / "fastapi_agents" / "agents.toml").with_settings(
        {"system.folder": str(EXAMPLES / "fastapi_agents"), "workload.runs_per_user": 1}
    )
    slow = agents.with_settings(
        {"faults": [{"kind": "service-worse", "service": "model", "slower": 10.0, "at": 0.0, "lasts": 1000.0}]}
    )
    usual, delayed = (simulate(one).frame(Kind.FIRST_CONTENT)["time"].median() for one in (agents, slow))
    assert delayed > usual + 1.0


def test_the_planted_global_of_the_example_is_found_and_the_right_version_passes():
    agents = Scenario.load(EXAMPLES / "fastapi_agents" / "agents.toml").with_settings(
        {"system.folder": str(EXAMPLES / "fastapi_agents"), "workload.window": 1.0, "workload.runs_per_user": 1}
    )
    assert not failed(simulate(agents))
    wrong = simulate(agents.with_settings({"system.app": "wrong:app"}))
    assert {"content-isolation", "cross-user-isolation"} <= failed(wrong)


def test_a_services_work_is_recorded_for_the_run_so_that_work_after_leaving_is_judged():
    agents = Scenario.load(EXAMPLES / "fastapi_agents" / "agents.toml").with_settings(
        {"system.folder": str(EXAMPLES / "fastapi_agents"), "workload.runs_per_user": 1, "client.leave_share": 1.0}
    )
    history = simulate(agents)
    assert set(history.frame(Kind.WORKED)["run"]) <= set(history.frame(Kind.REQUESTED)["run"])
    judged = next(one for one in check(history) if one.check == "work-after-leaving")
    assert judged.looked_at == 20
    assert judged.measured["units of work after leaving"].value > 100


AS_IT_COMES = """            await socket.send_json({"type": "token", "run": run, "text": text})
"""
ONE_LATER = """            if held:
                await socket.send_json({"type": "token", "run": run, "text": held})
            held = text
"""
HANGS_UP = (
    AS_IT_COMES
    + """            if "#20;" in text:
                await stream.close()
                break
"""
)


@pytest.mark.parametrize(
    ("passes_on", "found", "judged"), [(ONE_LATER, 40, 40), (HANGS_UP, 0, 0), (AS_IT_COMES, 0, 40)]
)
def test_a_back_end_that_drops_the_last_token_of_each_answer_is_found(tmp_path, passes_on, found, judged):
    folder = EXAMPLES / "fastapi_agents"
    text = (folder / "right.py").read_text("utf-8").replace(AS_IT_COMES, passes_on)
    (tmp_path / "drops.py").write_text(
        text.replace("    async for chunk", '    held = ""\n    async for chunk'), "utf-8"
    )
    agents = Scenario.load(folder / "agents.toml").with_settings(
        {"system.folder": str(tmp_path), "system.app": "drops:app"}
    )
    tokens = next(one for one in check(simulate(agents)) if one.check == "tokens")
    assert (tokens.looked_at, tokens.found) == (40, found)
    assert tokens.measured["answers whose end was compared with the model's"].value == judged


SYSTEM_FAULTS = {
    "process-killed": {"at": 2.0, "lasts": 5.0},
    "power-cut": {"at": 2.0, "lasts": 5.0},
    "partition": {"hosts": ["server", "model"], "at": 1.0, "lasts": 100.0},
    "service-worse": {"service": "model", "down": True, "at": 1.0, "lasts": 5.0},
    "process-restarted": {"at": 5.0, "drain": 0.0},
    "rolling-deploy": {"at": 5.0, "drain": 0.0},
    "garbage": {"at": 2.0, "lasts": 6.0, "every": 1.0},
    "flood": {"at": 2.0, "lasts": 6.0},
    "half-close": {"at": 5.0},
}


def test_every_fault_of_systems_is_tried_here():
    assert SYSTEM_FAULTS.keys() == {name for name, fault in FAULTS.items() if fault.needs_system}


@pytest.mark.parametrize("name", SYSTEM_FAULTS)
def test_every_fault_of_systems_makes_requests_fail_that_succeed_without_it(name):
    agents = Scenario.load(EXAMPLES / "fastapi_agents" / "agents.toml").with_settings(
        {"system.folder": str(EXAMPLES / "fastapi_agents"), "workload.runs_per_user": 1, "workload.patience": 30.0}
    )
    assert not failed(simulate(agents))
    assert "completion" in failed(simulate(agents.with_settings({"faults": [{"kind": name} | SYSTEM_FAULTS[name]]})))


def test_a_sticky_balancer_brings_a_user_to_the_same_process_and_a_dead_one_is_left_out():
    client = SSE | {"sequence": "number", "headers": {"Connection": "close"}}
    system = {"app": "apps:app", "folder": str(HERE), "processes": 2, "balancer": "sticky"}
    workload = {"window": 10.0, "runs_per_user": 3}
    history = simulate(scenario(users=1, system=system, client=client, workload=workload))
    assert history.frame(Kind.RECEIVED)["seq"].max() == 3, "all three requests went to one process"
    killed = [{"kind": "process-killed", "at": 0.0, "lasts": 100.0, "process": number} for number in (1, 2)]
    for fault in killed:
        one = scenario(users=4, system=system, client=client, faults=[fault], workload={"window": 10.0})
        assert "completion" not in failed(simulate(one)), "the other process serves everybody"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "process-killed", "process": 3}, "process 3"),
        ({"kind": "service-worse", "service": "nobody"}, "nobody"),
        ({"kind": "partition", "hosts": ["server", "nobody"]}, "nobody"),
    ],
)
def test_a_fault_that_names_what_is_not_there_is_refused_before_anything_runs(fault, says):
    with pytest.raises(ScenarioError, match=says):
        scenario(faults=[fault])


def test_what_the_platform_module_remembers_changes_nothing(monkeypatch):
    agents = Scenario.load(EXAMPLES / "fastapi_agents" / "agents.toml").with_settings(
        {"system.folder": str(EXAMPLES / "fastapi_agents"), "workload.runs_per_user": 1, "users": 2}
    )
    monkeypatch.setattr(platform, "_platform_cache", {})
    monkeypatch.setattr(platform, "_uname_cache", None)
    first = simulate(agents)
    platform.platform()  # as any library may do, outside of a simulation; openai sends what it says
    assert simulate(agents).digest() == first.digest()


def test_a_killed_process_leaves_nothing_that_complains_when_python_frees_it(monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda complaint: complaints.append(repr(complaint)))
    path, settings = (
        EXAMPLES / "fastapi_agents" / "agents.toml",
        {"faults": [{"kind": "process-killed", "at": 3.0}], "workload.window": 6.0},
    )
    agents = Scenario.load(path).with_settings(settings)
    for seed in (1, 2):
        simulate(agents, seed)
        gc.collect()
    assert not complaints

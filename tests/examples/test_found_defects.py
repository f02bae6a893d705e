"""Defects that other people's back ends and the examples have are found, and their right twins pass."""

import pytest
from catalogue import HERE

from netra_sim.checks import check
from netra_sim.exploration import explore, shrink
from netra_sim.history import Kind
from netra_sim.simulation import Scenario, simulate

pytestmark = pytest.mark.filterwarnings("default")  # other people's code may use what is deprecated

EXAMPLES = HERE.parents[1] / "examples"


def example(path, **settings):
    plain = {"system.folder": str((EXAMPLES / path).parent)}
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return Scenario.load(EXAMPLES / path).with_settings(plain | named)


def results(scenario, seed=1):
    history = simulate(scenario, seed)
    return {one.check: one for one in check(history)}, history


def failed(found):
    return {name for name, one in found.items() if one.state == "failed"}


@pytest.mark.parametrize("order", ["random", "fifo"])
def test_langgraph_works_on_for_a_reader_who_has_left_and_pydantic_ai_stops(order):
    leaving = {"users": 8, "client__leave_share": 1.0, "client__leave_after": 20, "platform__order": order}
    found, _ = results(example("ag_ui/langgraph.toml", **leaving))
    assert "work-after-leaving" in failed(found)
    assert "services worked on for 3." in found["work-after-leaving"].findings[0].message
    found, history = results(example("ag_ui/pydantic-ai.toml", **leaving))
    assert found["work-after-leaving"].state == "passed"
    assert len(history.frame(Kind.LEFT)) == 8


def test_langgraph_shows_a_thread_to_whoever_names_it():
    found, _ = results(example("ag_ui/langgraph.toml", users=6, client__foreign_threads=0.5, services__model__tokens=5))
    assert {"content-isolation"} == failed(found)
    assert " received data of " in found["content-isolation"].findings[0].message
    found, _ = results(example("ag_ui/langgraph.toml", users=6, services__model__tokens=5))
    assert not failed(found)


@pytest.mark.parametrize("path", ["ag_ui/langgraph.toml", "ag_ui/pydantic-ai.toml"])
def test_an_adapter_sends_the_text_of_the_models_error_to_the_user(path):
    found, _ = results(example(path, users=3, services__model__error_share=1.0))
    assert "disclosure" in failed(found)
    assert "received the planted secret 'model' in agent_error" in found["disclosure"].findings[0].message


def test_a_back_end_that_keeps_the_models_error_to_itself_passes_and_one_that_met_no_error_is_not_judged():
    secret = {"users": 3, "services__model__secret": "sk-planted"}
    failing = example("fastapi_agents/agents.toml", **secret, services__model__error_share=1.0)
    found, _ = results(failing)
    assert "unhandled-errors" in failed(found)
    assert found["disclosure"].state != "failed"
    assert found["disclosure"].measured["secrets given to the system"].value > 0
    found, _ = results(example("fastapi_agents/agents.toml", **secret))
    assert found["disclosure"].state == "not applicable"
    assert found["disclosure"].inconclusive == "no planted secret was given to the system: not judged"


def test_two_users_of_one_name_are_found_among_many_and_shrunk_to_the_two():
    many = example("aiohttp_names/chat.toml", users=150)
    found = explore(many, seeds=1, jobs=1).failure
    assert found is not None
    assert {"every-run-ends", "unhandled-errors"} <= set(found.failed_checks)
    least = shrink(found)
    assert len(least.scenario.present_users) == 2
    assert {"every-run-ends", "unhandled-errors"} <= set(least.failed_checks)
    assert not failed(results(many.with_settings({"system.main": "right:main"}))[0])

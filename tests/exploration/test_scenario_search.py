"""The search of a scenario brings together users who act at different times, and accuses no right back end."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import scenario_races
import tomli_w

from netra_sim.exploration import explore, replay_line, run_trial, shrink
from netra_sim.exploration.plans import Plan, scenario_plan
from netra_sim.exploration.trial import explored_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario, find_scenario

PLANS = Plan("sticky:0"), Plan("sticky:0", 0.001), Plan("pauses:0.3:50")
NAMES = [race.__name__ for race in scenario_races.RACES]


def scenario(name, **system):
    """Eight users who ask three times each, at times spread over eight seconds."""
    return Scenario.from_mapping(
        {
            "users": 8,
            "workload": {"arrivals": {"kind": "poisson"}, "window": 8.0, "runs_per_user": 3},
            "system": {
                "main": f"scenario_races:{name}.main", "folder": str(Path(scenario_races.__file__).parent), **system,
            },
            "client": {
                "kind": "sse-json", "body": {"user": "{number}", "run": "{run}"}, "type": "type",
                "end": {"path": "type", "values": ["done"]},
            },
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_race_is_found(name):
    found = explore(scenario(name), seeds=150, jobs=1).failure
    assert found is not None
    assert found.failed_checks == ("unhandled-errors",)


@pytest.mark.parametrize("name", NAMES)
def test_no_right_back_end_is_accused(name):
    assert explore(scenario(name, environment={"IS_RIGHT": "1"}), seeds=24, jobs=1).failure is None


@pytest.mark.parametrize(("name", "place"), [("LazyInit", "scenario_races.py:"), ("LostItem", "(await ticks(2))")])
def test_a_race_between_users_who_act_at_different_times_shrinks_to_one_pause(name, place):
    found = next(trial for trial in pausing_trials(scenario(name)) if trial.failed_checks)
    smallest = shrink(found)
    assert len(smallest.scenario.present_users) <= 3
    first, pause = smallest.sentence.splitlines()
    assert first == "passes in asyncio's order; fails if"
    assert place in pause
    assert " ms while " in pause
    again = run_trial(smallest.scenario, smallest.seed)
    assert (again.digest, again.failed_checks) == (smallest.digest, ("unhandled-errors",))


def pausing_trials(one):
    """The trials of the seeds with pauses and without a step cost: these need no other help."""
    for seed in range(400):
        plan = scenario_plan(seed)
        if plan.has_pauses and not plan.step_cost:
            yield explored_trial(one, seed, ExecutionEngineFactory)


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_the_replay_line_repeats_the_pauses_of_a_seed_and_those_of_a_shrunk_order_in_another_process(
    hash_seed, tmp_path
):
    path, one = tmp_path / "mine.toml", scenario("LostItem")
    path.write_text(tomli_w.dumps(msgspec.to_builtins(one)))
    found = next(trial for trial in pausing_trials(one) if trial.failed_checks)
    for trial in (found, shrink(found)):
        line = replay_line(str(path), one, trial)
        done = subprocess.run(
            [sys.executable, "-m", "netra_sim", *shlex.split(line)[1:], "-o", str(tmp_path / "h.parquet")],
            capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert trial.digest[:16] in done.stdout


def test_a_search_ignores_times_if_tasks_pause_and_no_others():
    plans = {seed: scenario_plan(seed) for seed in range(100)}
    one = scenario("LostUpdate").with_settings({"users": 1})
    for seed in (next(seed for seed, plan in plans.items() if plan == wanted) for wanted in PLANS):
        trial = explored_trial(one, seed, ExecutionEngineFactory)
        assert bool(trial.ignored) == (plans[seed] != PLANS[0])


def test_the_start_of_a_server_and_what_it_leaves_at_its_end_are_not_blamed_on_pauses():
    one = find_scenario("steady-load").with_settings({"users": 6, "fidelity": "wire"})
    assert explore(one, seeds=24, jobs=1).failure is None

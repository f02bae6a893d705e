"""Exploration finds a planted race, and shrinks it to a scenario that one command repeats."""

import shlex
import subprocess
import sys

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from planted import RacyFactory

from netra_sim.cli.group import cli
from netra_sim.exploration import Trial, explore, replay_line, run_trial, shrink
from netra_sim.exploration.trial import toml
from netra_sim.history import Kind
from netra_sim.simulation import (
    Burst,
    Constant,
    Network,
    Scenario,
    Workload,
    find_scenario,
    parse_setting,
    simulate,
)

BUSY = Scenario(
    users=12,
    workload=Workload(arrivals=Burst(at=2.0, width=0.5), runs_per_user=4),
    network=Network(latency=Constant(0.03), jitter=Constant(0.0)),
    expect=("refusals", "completion"),
)


def test_a_planted_race_is_found_and_shrunk_to_three_users_at_most():
    scenario = msgspec.structs.replace(BUSY, workload=Workload(arrivals=Burst(at=2.0, width=0.0), runs_per_user=4))
    found = explore(scenario, seeds=50, jobs=1, factory_class=RacyFactory).failure
    assert found is not None
    assert found.failed_checks == ("engine-limit",)
    smallest = shrink(found, factory_class=RacyFactory)
    assert len(smallest.scenario.present_users) <= 3
    assert "engine-limit" in run_trial(smallest.scenario, smallest.seed, RacyFactory).failed_checks
    assert run_trial(smallest.scenario, smallest.seed).failed_checks == ()


def test_the_race_is_found_in_a_burst_of_half_a_second_and_needs_few_users_and_one_hold():
    found = explore(BUSY, seeds=50, jobs=1, factory_class=RacyFactory).failure
    assert found.failed_checks == ("engine-limit",)
    smallest = shrink(found, factory_class=RacyFactory)
    assert len(smallest.scenario.present_users) <= 3
    assert smallest.sentence.count(" is held ") == 1
    again = run_trial(smallest.scenario, smallest.seed, RacyFactory)
    assert (again.digest, again.failed_checks) == (smallest.digest, ("engine-limit",))
    line = replay_line("mine.toml", BUSY, smallest, RacyFactory)
    assert "--factory planted:RacyFactory" in line
    settings = dict(parse_setting(value) for value in shlex.split(line) if "=" in value)
    assert BUSY.with_settings(settings) == smallest.scenario


def test_only_the_named_users_take_part_and_their_draws_do_not_change():
    whole = simulate(Scenario(users=6), 3).frame()
    alone = simulate(Scenario(users=6, only_users=(4,)), 3).frame()
    requested = [frame[frame["kind"] == Kind.REQUESTED] for frame in (whole, alone)]
    assert set(alone["user"]) <= {"user-4", ""}
    assert requested[0][requested[0]["user"] == "user-4"]["due"].tolist() == requested[1]["due"].tolist()


def test_the_real_factory_has_no_such_race():
    assert explore(BUSY, seeds=20, jobs=1).failure is None


def test_the_finding_does_not_depend_on_the_number_of_processes():
    scenario = find_scenario("agent-crashes").with_settings({"expect": [], "users": 5, "faults.0.share": 0.03})
    alone, together = (explore(scenario, seeds=40, jobs=jobs).failure for jobs in (1, 2))
    assert alone is not None
    assert alone.failed_checks == ("completion",)
    assert (alone.seed, alone.digest) == (together.seed, together.digest)


def test_shrinking_removes_irrelevant_faults():
    scenario = find_scenario("everything-at-once").with_settings({"expect": [], "users": 10})
    trial = run_trial(scenario, 1)
    assert "completion" in trial.failed_checks
    smallest = shrink(
        msgspec.structs.replace(trial, results=tuple(r for r in trial.results if r.check == "completion"))
    )
    assert len(smallest.scenario.present_users) <= 3
    assert len(smallest.scenario.faults) <= 1


plain = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(values)
def test_whatever_is_set_is_told_on_one_line_and_read_back_the_same(value):
    assert "\n" not in toml(value)
    assert parse_setting(f"path={toml(value)}") == ("path", value)


def test_the_replay_line_repeats_the_finding(tmp_path):
    original = find_scenario("agent-crashes")
    trial = run_trial(original.with_settings({"users": 2, "faults.0.share": 1.0, "workload.window": 4.0}), 7)
    line = replay_line("agent-crashes", original, trial)
    command, *arguments = shlex.split(line)
    assert command == "netra-sim"
    done = subprocess.run(
        [sys.executable, "-m", "netra_sim", *arguments, "-o", str(tmp_path / "h.parquet")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert trial.digest[:16] in done.stdout


def test_the_command_prints_the_replay_line(tmp_path):
    arguments = ["explore", "agent-crashes", "--set", "expect=[]", "--seeds", "3", "--jobs", "1"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert "seed 1 fails completion; shrinking" in done.stdout
    assert "to repeat it: netra-sim simulate agent-crashes --seed" in done.stdout


@pytest.mark.parametrize(
    ("budget", "tried", "bound"),
    [
        ([], "no failure in 3 of 3 seeds\n", "fewer than 100% of seeds fail"),
        (
            ["--seconds", "0.001"],
            "no failure in 1 of 3 seeds; the 0.001 s were over before the others, --seconds takes more\n",
            "fewer than 100% of seeds fail",
        ),
    ],
)
def test_a_search_without_a_failure_ends_with_its_budget_and_says_how_far_it_went(budget, tried, bound):
    done = CliRunner().invoke(cli, ["explore", "--users", "3", "--seeds", "3", "--jobs", "1", *budget])
    assert done.exit_code == 0
    assert done.stdout.startswith(tried + bound)


def test_the_replay_line_names_resources_that_the_original_scenario_does_not_limit():
    original = find_scenario("steady-load")
    limited = original.with_settings({"resources.model.slots": 8, "users": 7})
    line = replay_line("steady-load", original, Trial(scenario=limited, seed=3, digest="", results=()))
    settings = [word for word in shlex.split(line) if "=" in word]
    assert original.with_settings(dict(map(parse_setting, settings))) == limited
    assert settings == ["users=7", "resources={ model = { slots = 8 } }"]

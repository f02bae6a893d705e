"""A failing run is told beside the nearest passing one, with the step at which they part."""

import asyncio
import pickle
from pathlib import Path

import msgspec
import pytest
import zoo
from click.testing import CliRunner
from planted import RacyFactory

from netra_sim.cli.group import cli
from netra_sim.exploration import explore, run_trial, shrink
from netra_sim.simulation import Burst, Constant, Network, Scenario, Workload
from netra_sim.simulation.schedule import holds_text

RACE = Scenario(
    users=1,
    workload=Workload(arrivals=Burst(at=2.0, width=0.1), runs_per_user=3),
    network=Network(latency=Constant(0.03), jitter=Constant(0.0)),
    expect=("refusals", "completion"),
)
ZOO = Path(zoo.__file__)


@pytest.fixture(scope="module")
def race():
    found = explore(RACE, seeds=200, jobs=1, factory_class=RacyFactory).failure
    return shrink(found, factory_class=RacyFactory)


def test_of_a_program_the_nearest_passing_run_and_the_first_difference_are_told_in_words():
    told = str(explore(zoo.BUGS["check_then_act:12"], seeds=400, jobs=1).failure.comparison).splitlines()
    assert told[0].startswith("the nearest run that passes is asyncio's own order; the two are equal up to step ")
    assert told[1].startswith("  it passes:  t=0.000  book('ann', 1) goes on at zoo.py:")
    assert told[2].startswith("  it fails:   t=0.000  book('bob', 12) goes on at zoo.py:")


def test_until_the_first_difference_both_runs_are_the_same_and_there_they_differ():
    comparison = explore(zoo.BUGS["check_then_act:12"], seeds=400, jobs=1).failure.comparison
    at = comparison.divergence
    passing, failing = (
        [(step.task, step.place) for step in run.log.steps] for run in (comparison.passing, comparison.failing)
    )
    assert passing[:at] == failing[:at]
    assert passing[at] != failing[at]
    assert (comparison.passing.error, comparison.failing.error[:14]) == ("", "AssertionError")


def test_of_two_holds_the_nearest_passing_run_keeps_one():
    failure = explore(zoo.BUGS["two_reorderings"], seeds=400, jobs=1).failure
    assert len(failure.holds) == 2
    assert failure.comparison.passing.holds in [failure.holds[:1], failure.holds[1:]]


def test_a_failure_in_asyncios_own_order_has_no_passing_run_beside_it():
    async def main():
        await asyncio.sleep(1)
        raise ValueError

    failure = explore(main, seeds=1).failure
    assert failure.comparison.passing is None
    assert "nearest" not in str(failure)


def test_of_a_scenario_the_run_with_one_hold_fewer_passes_and_is_told(race):
    comparison = race.comparison
    assert race.failed_checks == ("engine-limit",)
    assert comparison.failing.error == "engine-limit fails"
    assert len(comparison.passing.holds) == len(comparison.failing.holds) - 1
    in_order = msgspec.structs.replace(race.scenario.platform, order=holds_text(comparison.passing.holds))
    passing = run_trial(msgspec.structs.replace(race.scenario, platform=in_order), race.seed, RacyFactory, race.ignored)
    assert passing.failed_checks == ()
    assert passing.digest == comparison.passing.history.digest()
    assert "it passes:  t=" in str(comparison)
    assert "user-0] " in str(comparison)


def test_a_shrunk_trial_goes_to_another_process_with_its_comparison(race):
    assert str(pickle.loads(pickle.dumps(race)).comparison) == str(race.comparison)


def test_the_command_tells_the_first_difference_and_writes_the_page(tmp_path):
    page = tmp_path / "race.html"
    done = CliRunner().invoke(cli, ["explore", f"{ZOO}:check_then_act", "--html", str(page)])
    assert done.exit_code == 1, done.output
    assert "it passes:  t=0.000" in done.stdout
    assert done.stdout.splitlines()[-1] == f"the failing run beside the nearest passing one: {page}"
    assert "the seat was sold to" in page.read_text("utf-8")


def test_a_failure_without_a_passing_run_has_a_page_of_the_failing_run_alone(tmp_path):
    program, page = tmp_path / "always.py", tmp_path / "always.html"
    program.write_text("async def fails():\n    raise RuntimeError('the till is empty')\n", "utf-8")
    done = CliRunner().invoke(cli, ["explore", f"{program}:fails", "--html", str(page)])
    assert done.exit_code == 1, done.output
    assert done.stdout.splitlines()[-1] == f"the failing run, step by step: {page}"
    assert "The nearest run that passes" not in page.read_text("utf-8")


def test_without_a_failure_no_page_is_written_and_that_is_said(tmp_path):
    page = tmp_path / "none.html"
    done = CliRunner().invoke(cli, ["explore", f"{ZOO}:spin_wait", "--seeds", "5", "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert f"{page} is not written: there is no failure to show" in done.stdout
    assert not page.exists()

"""What the notebooks on load, on Windows' clock and on failures compute."""

import re
import shlex

import msgspec
import pytest
from click.testing import CliRunner

from netra_sim.charts import resources_over_time
from netra_sim.cli.group import cli
from netra_sim.defects import read_windows_runs
from netra_sim.history import Kind
from netra_sim.parameters import ParameterError
from netra_sim.site.report import plan
from netra_sim.studies.concurrency import ConcurrencyParameters, load_curve
from netra_sim.studies.explorer import ExplorerParameters, compare
from netra_sim.studies.windows import WindowsParameters, recorded_hazards, simulate_both_clocks, wait_errors
from netra_sim.verdict import ValidationParameters, simulated_evidence


@pytest.fixture(scope="module")
def curve():
    return load_curve(ConcurrencyParameters(most_users=160, loads=3, seeds=2, step_cost=0.01))


def test_latency_grows_with_load_and_the_knee_is_the_first_load_beyond_twice_the_lightest(curve):
    medians = curve.table.groupby("users")["p95"].median()
    assert list(medians.index) == [40, 80, 160]
    assert medians.is_monotonic_increasing
    assert curve.knee == next(users for users, p95 in medians.items() if p95 > 2 * medians.iloc[0])


def test_the_lightest_and_the_heaviest_load_keep_their_histories(curve):
    requested = {name: len(history.frame(Kind.REQUESTED)) for name, history in curve.extremes.items()}
    assert requested == {"40 users": 40, "160 users": 160}
    assert "160" in curve.summary()


def test_the_load_study_names_the_resource_that_gives_out_and_measures_what_a_step_costs_here(curve):
    idle = load_curve(ConcurrencyParameters(most_users=40, loads=2, seeds=1)).heaviest
    assert resources_over_time(curve.heaviest).title.startswith("CPU saturates")
    assert resources_over_time(idle).title.startswith("No resource saturates; the busiest is CPU")
    row = re.search("the runtime alone, measured.*?([0-9.]+) ms.*?CPython", curve.step_costs(), re.DOTALL)
    assert row
    assert 0 < float(row[1]) < 10
    assert "10 ms" in curve.step_costs()


def test_the_axis_of_the_load_says_how_often_a_user_asks_within_which_time(curve, tmp_path):
    assert curve.across == "users; each asks once within 30 s"
    (tmp_path / "burst.toml").write_text('workload.arrivals = {kind = "burst"}')
    burst = load_curve(ConcurrencyParameters(scenario=str(tmp_path / "burst.toml"), most_users=2, loads=2, seeds=1))
    assert burst.across == "users"


def test_the_command_of_the_load_study_sweeps_all_of_its_cells():
    parameters = ConcurrencyParameters(most_users=4, loads=2, seeds=2, seed=3)
    line = shlex.split(load_curve(parameters).command)
    assert line[:5] == ["netra-sim", "sweep", "steady-load", "--seeds", "4"]
    assert line[5:] == ["--set", "users=[2, 4]", "--set", "platform.step_cost=[0.0005]"]


def test_the_evidences_command_uses_the_reports_objectives(tmp_path):
    strict = simulated_evidence(ValidationParameters(users=2, delivery_p95=0.001))
    assert [result.check for result in strict.results if result.state == "failed"] == ["latency"]
    words = [*shlex.split(strict.command)[1:], "-o", str(tmp_path / "again.parquet")]
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 1
    assert "failed  latency" in again.output
    assert "objectives." not in simulated_evidence(ValidationParameters(users=2)).command


def test_without_cpu_cost_there_is_no_knee():
    flat = load_curve(ConcurrencyParameters(most_users=80, loads=2, seeds=1, step_cost=0.0))
    assert flat.knee is None


def test_stock_waits_end_early_on_a_windows_clock_and_safe_waits_never():
    errors = wait_errors(WindowsParameters(sleeps=30))
    early = errors.assign(early=errors["error"] < 0).groupby(["platform", "side"])["early"].agg(["sum", "count"])
    platforms = ["this machine", "simulated Windows clock", "Windows CPython 3.11.9"]
    assert list(dict.fromkeys(errors["platform"])) == platforms
    assert (early.xs("Windows-safe", level="side")["sum"] == 0).all()
    for platform in platforms[1:]:
        stock = early.loc[(platform, "stock")]
        assert stock["sum"] > 0.9 * stock["count"]
    safe = errors[(errors["side"] == "Windows-safe") & (errors["platform"] == "simulated Windows clock")]
    assert safe["error"].max() < 1 / 64


def test_the_table_of_hazards_names_the_windows_that_it_was_recorded_on_and_both_outcomes():
    page = recorded_hazards()._repr_html_()
    for recorded in read_windows_runs():
        assert recorded.label in page
    assert "has none" in page


def test_both_clocks_see_the_same_requests():
    histories = simulate_both_clocks(WindowsParameters(users=20))
    assert {len(history.frame(Kind.REQUESTED)) for history in histories.values()} == {20}


def test_scenarios_are_compared_with_one_seed_and_each_says_how_it_is_repeated():
    parameters = ExplorerParameters(
        scenarios="steady-load, disconnect-storm",
        users=20,
        settings="faults.0.every=2.0; network.latency.median=0.2",
        seed=7,
    )
    steady, storm = compare(parameters).explored
    assert steady.trial.scenario.faults == ()
    assert storm.trial.scenario.faults[0].every == 2.0
    assert steady.trial.scenario.network.latency.median == storm.trial.scenario.network.latency.median == 0.2
    assert "--seed 7" in storm.command
    assert "every = 2.0" in storm.command
    assert {len(one.history.frame(Kind.REQUESTED)) for one in (steady, storm)} == {20}


def test_a_comparison_uses_the_objective_of_its_scenarios():
    assert compare(ExplorerParameters(scenarios="thin-line", users=2)).objective == 4.0
    assert compare(ExplorerParameters(scenarios="thin-line, steady-load", users=2)).objective == 0.1


def test_a_failure_that_the_file_expects_is_told_apart_from_one_that_it_does_not_expect():
    expected = compare(ExplorerParameters(scenarios="agent-crashes", users=20, seed=3))._repr_html_()
    assert "as its file expects: completion fails" in expected
    assert "failed" not in expected
    several = compare(ExplorerParameters(scenarios="backend-outage", users=30))._repr_html_()
    assert "as its file expects: latency, refusals fail<" in several
    strict = ExplorerParameters(scenarios="steady-load", users=2, settings="objectives.delivery_p95=0.001")
    assert "failed latency; its file expects: all pass" in compare(strict)._repr_html_().replace("</span>", "")


def test_one_scenario_may_be_compared_with_itself():
    assert list(compare(ExplorerParameters(scenarios="steady-load, steady-load", users=3)).histories) == [
        "steady-load (1)",
        "steady-load (2)",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scenarios": "steady-lood"}, "did you mean steady-load"),
        ({"scenarios": ""}, "1 to 4 names, and had 0"),
        ({"scenarios": "a,b,c,d,e"}, "1 to 4 names, and had 5"),
        ({"settings": "faults.0.share"}, "there is no ="),
        ({"settings": "faults.0.share=lots"}, "lots is no number, .*quote a text"),
        ({"settings": "nowhere.at=1"}, "no setting nowhere.at"),
        ({"users": 0}, "users: expected a whole number >= 1"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_simulated(parameters, message):
    with pytest.raises(ParameterError, match=message):
        ExplorerParameters.check(**parameters)


def test_a_scenario_that_does_not_exist_stops_the_load_study_before_it_begins():
    with pytest.raises(ParameterError, match="did you mean burst"):
        ConcurrencyParameters.check(scenario="brust")


def test_a_kernel_in_another_folder_finds_the_users_file(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('name = "mine"\nusers = 2\n')
    monkeypatch.chdir(tmp_path)
    for task in plan([("explorer.scenarios", "mine.toml, burst"), ("concurrency.scenario", "mine.toml")]):
        monkeypatch.chdir("/")
        task.notebook.parameters.check(**msgspec.to_builtins(task.parameters))
        monkeypatch.chdir(tmp_path)

"""The notebook about a back end of one's own: its parameters, what it simulates, its pictures, and its place in a report."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from netra_sim.charts import request_endings, work_after_leaving
from netra_sim.cli.group import cli
from netra_sim.history import History
from netra_sim.notebooks import NOTEBOOKS
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.parameters import ParameterError
from netra_sim.recording import Recorder
from netra_sim.site.report import plan
from netra_sim.site.writing import command
from netra_sim.studies import SystemParameters, example_systems, try_system
from netra_sim.studies.objectives import read_results

ROOT = Path(__file__).parents[2]
FEW = {"users": 6, "settings": "workload.runs_per_user=1; workload.window=6"}


@pytest.fixture(scope="module")
def tried():
    return try_system(SystemParameters(**FEW))


def test_the_example_is_tried_as_it_is_and_with_each_trouble(tried):
    troubles = list(tried.histories)
    assert troubles == [
        "as it is", "model 10 x slower", "a process killed", "half of the users offline", "half of the runs left",
    ]  # fmt: skip
    assert tried.as_it_is.trial.failed == ()
    killed = tried.trials[2]
    assert "every-run-ends" in killed.trial.failed
    page = tried._repr_html_()
    assert "6 of 6" in page
    assert all(trouble in page for trouble in troubles)


def test_each_command_repeats_its_simulation(tried, tmp_path, monkeypatch):
    monkeypatch.chdir(tried.folder)
    one = tried.left
    words = [*shlex.split(one.command)[1:], "-o", str(tmp_path / "again.parquet")]
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 0, again.output
    assert History.load(tmp_path / "again.parquet").digest() == one.trial.digest


def test_the_checks_that_cannot_judge_say_why_and_stand_apart(tried):
    page = tried.checks()
    judged, _, others = page.partition("<details>")
    assert "Did every received message contain only data of the user who received it" in judged
    assert "not&nbsp;applicable" not in judged
    assert "it lacks records of the kind scope_opened" in others


def test_the_pictures_have_the_troubles_in_words_and_text(tried):
    content, last = tried.latency("content"), tried.latency("last")
    assert content.title.startswith("Within 3 s: ")
    assert "first pieces of answers" in content.alt
    assert list(content.numbers["series"]) == list(last.numbers["series"]) == list(tried.histories)
    assert tried.each(request_endings).count("<figure") == 5


def test_users_who_leave_the_example_leave_its_model_working_for_a_moment(tried):
    picture = work_after_leaving(tried.left.history, 5.0)
    assert picture.title.startswith("Services worked on for ")
    assert (picture.numbers["units of work after"] > 10).any()


def test_the_planted_global_of_the_example_is_missed_by_the_checks_of_isolation(tmp_path):
    parameters = SystemParameters(
        app="wrong:app", settings="workload.runs_per_user=1; workload.window=1", output=str(tmp_path)
    )
    wrong = try_system(parameters).as_it_is
    assert {"content-isolation", "cross-user-isolation"} <= set(wrong.trial.failed)
    results = {one.where: one for one in read_results(tmp_path)}
    found = results["fastapi-agents, content-isolation"]
    assert (found.parameter, found.state) == ("app", "missed")
    assert results["fastapi-agents, liveness"].state == "met"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scenario": "fastapi-agent"}, "there is no example 'fastapi-agent'; there are .*fastapi-agents"),
        ({"scenario": "nowhere.toml"}, "there is no file nowhere.toml"),
        ({"scenario": "steady-load"}, r"has no system under test; give one with a table \[system\]"),
        ({"scenario": "steady-load", "app": "mine:app"}, "a system needs clients"),
        ({"app": "right"}, "system.app"),
        ({"client": "ag-iu"}, "did you mean ag-ui"),
        ({"settings": "nowhere.at=1"}, "no setting nowhere.at"),
        ({"settings": "users"}, "there is no ="),
        ({"users": -1}, "users: expected a whole number >= 0"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_simulated(parameters, message):
    with pytest.raises(ParameterError, match=message):
        SystemParameters.check(**parameters)


@pytest.mark.parametrize("file", ["mine.toml", "lab/deeper/mine.toml"])
def test_a_kernel_in_another_folder_finds_the_users_application(tmp_path, monkeypatch, file):
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "app.py").write_text("app = 1\n")
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('name = "mine"\n[system]\napp = "app:app"\nfolder = "service"\n[client]\nkind = "ag-ui"\n')
    monkeypatch.chdir(tmp_path)
    (task,) = plan([("scenario", file)], names=["your-backend"])
    monkeypatch.chdir("/")
    with pytest.raises(RuntimeError, match="'app:app' is 1, which cannot be called"):
        try_system(task.parameters)


def test_a_report_runs_it_only_if_it_is_named():
    assert "your-backend" in NOTEBOOKS
    assert "your-backend" not in [task.notebook.name for task in plan(())]
    assert [task.notebook.name for task in plan((), names=["your-backend"])] == ["your-backend"]
    for names, words in (((), "netra-sim report"), (["your-backend"], "netra-sim report --notebook your-backend")):
        runs = [NotebookRun(task=one, executed=one.source(), problem="", seconds=1.0) for one in plan((), names=names)]
        assert command(runs) == words


def test_a_named_scenario_of_the_users_decides_about_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ["--notebook", "your-backend", "-p", "scenario", "examples/fastapi_agents/agents.toml"]
    settings = "workload.runs_per_user=1; workload.window=1; system.app='wrong:app'"
    done = CliRunner().invoke(cli, ["report", *arguments, "-p", "settings", settings, "-o", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert done.stdout.lstrip().startswith("NO-GO: your-backend: fastapi-agents, ")
    assert "-p your-backend.scenario" in (tmp_path / "manifest.json").read_text("utf-8")


def test_examples_are_found_by_the_names_of_their_scenarios():
    assert example_systems()["fastapi-agents"] == ROOT / "examples" / "fastapi_agents" / "agents.toml"
    assert all(path.name != "pyproject.toml" for path in example_systems().values())


class Clients:
    """Writes what clients of some system see; times are given."""

    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)

    def at(self, now):
        self.now = now
        return self.recorder

    def history(self):
        return self.recorder.finish({"source": "system", "scenario": {"name": "story"}, "seed": 1})


def asked(clients, number, due):
    clients.at(due).requested(f"u{number}.1", f"u{number}", due)


def received(clients, number, now, event="agent_completed"):
    user = f"u{number}"
    clients.at(now).received(user, user, f"{user}.1", event, -1, subject=user, timestamp=float("nan"))


def test_each_request_is_drawn_with_its_ending():
    clients = Clients()
    for number in range(5):
        asked(clients, number, float(number))
    received(clients, 0, 5.5)
    received(clients, 1, 6.0, "agent_error")
    clients.at(6.1).refused("u2.1", "u2", "http 503")
    clients.at(6.2).left("u3", "u3", "u3.1", is_lost=False)
    picture = request_endings(clients.history(), 5.0)
    assert picture.title == (
        "1 of 5 requests answered; 1 ended with an error; 1 refused; 1 left by the reader; 1 without an end. "
        "1 took longer than 5 s"
    )
    assert list(picture.numbers["ending"]) == [
        "answered", "ended with an error", "refused", "left by the reader", "without an end",
    ]  # fmt: skip
    assert list(picture.numbers["took (ms)"].dropna()) == [5500.0, 5000.0]
    (axes,) = picture.figure.axes
    assert "none" in [tick.get_text() for tick in axes.get_yticklabels()]


def test_an_objective_far_above_all_requests_is_named_and_not_drawn():
    clients = Clients()
    asked(clients, 0, 0.0)
    received(clients, 0, 1.0)
    picture = request_endings(clients.history(), 400.0)
    assert "The objective, 400 s, is beyond the axis." in picture.caption
    assert not picture.figure.axes[0].texts


def test_work_after_leaving_is_measured_from_the_last_reading_and_the_longest_stands_first():
    clients = Clients()
    for number in range(3):
        asked(clients, number, 0.0)
        clients.at(1.0).left(f"u{number}", f"u{number}", f"u{number}.1", is_lost=False)
    received(clients, 2, 2.0)  # on another connection: it is read to its end
    for now in (0.5, 3.0, 9.0):
        clients.at(now).worked("u1.1", "u1", 0, "model")
    clients.at(9.5).worked("u2.1", "u2", 0, "model")
    picture = work_after_leaving(clients.history(), 5.0)
    assert picture.title == (
        "Services worked on for 8 s at most after a reader had left: 1 of 2 left runs over the 5 s allowed"
    )
    assert picture.numbers.values.tolist() == [["u1.1", 1.0, 8.0, 2], ["u0.1", 1.0, 0.0, 0]]


def test_without_anybody_who_left_or_any_work_the_picture_says_so():
    clients = Clients()
    asked(clients, 0, 0.0)
    assert "no reader left a run" in work_after_leaving(clients.history(), 5.0).alt
    clients.at(1.0).left("u0", "u0", "u0.1", is_lost=False)
    assert "no service recorded any work for 1 run that a reader left" in work_after_leaving(clients.history(), 5.0).alt

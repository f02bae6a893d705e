"""`netra-sim report` with the real validation: its exit code, its verdict and its pages; and what the command refuses."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner
from pages import Page

from netra_sim.cli import main
from netra_sim.cli.group import cli
from netra_sim.notebooks import NOTEBOOKS
from netra_sim.parameters import ParameterError
from netra_sim.verdict import Source, ValidationParameters

SMALL = ["--notebook", "validation", "--users", "60", "-p", "windows_users", "60", "-p", "server_users", "20"]
SMALL += ["-p", "detection_seeds", "1"]
# Other work on the machine makes the real clients late.
LENIENT = ["-p", "delivery_mean", "5", "-p", "delivery_p95", "5", "-p", "first_event_p95", "20"]


def netra_sim(*arguments, **environment):
    command = [sys.executable, "-m", "netra_sim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def invoked(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def violated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("violated")
    return netra_sim("report", *SMALL, "-p", "first_event_p95", "0.001", "-o", folder), folder


@pytest.fixture(scope="module")
def good(violated, tmp_path_factory):
    """A second report, in the folder of the first."""
    _, folder = violated
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = netra_sim("report", *SMALL, *LENIENT, "-o", folder, HOME=str(tmp_path_factory.mktemp("home")))
    return done, folder, first


def verdict_of(folder):
    return json.loads((folder / "verdict.json").read_text("utf-8"))


def test_the_command_says_go_and_exits_with_0_also_with_an_empty_home(good):
    done, folder, _ = good
    assert done.returncode == 0, done.stdout + done.stderr
    states = [claim["state"] for claim in verdict_of(folder)["claims"]]
    headline = done.stdout.splitlines()[0]
    assert headline.startswith(
        "GO against weaker objectives and from less evidence: delivery mean 5 s, the plan says 100 ms"
    )
    assert headline.endswith(f"{states.count('proven')} of {len(states)} claims are proven")
    assert str(folder / "index.html") in done.stdout
    assert "notebook cells" in done.stderr  # progress


def test_the_verdict_is_computed_from_every_source(good):
    verdict = verdict_of(good[1])
    assert verdict["decision"] == "GO"
    assert set(verdict["evidence"]) == {str(source) for source in Source}
    assert "failed" not in {result["state"] for results in verdict["evidence"].values() for result in results}
    assert {claim["state"] for claim in verdict["claims"]} >= {"proven", "given"}
    assert verdict["parameters"]["users"] == 60
    assert verdict["unseen"] == []
    assert verdict["nest_asyncio"] is False


def test_the_page_is_self_contained_has_no_code_and_says_go_first(good):
    page = Page(good[1] / "validation.html")
    assert [
        load for load in page.loads if not load.startswith(("data:image/png;base64,", "data:text/csv;base64,"))
    ] == []
    assert page.tags.count("script") == 2  # one filters tables, one draws pictures
    assert "from netra_sim" not in page.text
    assert re.search(
        r"does the evidence prove\? GO against weaker objectives and from less evidence Tested The remediation",
        page.text,
    )
    assert "real server" in page.text


def test_every_picture_has_alternative_text_that_says_the_finding(good):
    for name in ("index", "validation"):
        images = Page(good[1] / f"{name}.html").images
        assert images
        assert all(len(image["alt"]) > 40 for image in images)


def test_the_histories_behind_the_report_are_kept_and_can_be_checked_again(good):
    _, folder, _ = good
    verdict = verdict_of(folder)
    histories = {path.name.partition(".")[0]: path for path in folder.glob("*.history.parquet")}
    assert set(histories) == set(verdict["digests"])
    done = invoked("check", histories["simulated"])
    assert done.exit_code == 0
    assert "passed  cross-user-isolation" in done.stdout


def test_a_missed_latency_objective_exits_with_1_and_names_the_figure(violated, good):
    done, _ = violated
    over = r"simulated: latency: .* p95 is [\d.]+ ms, [\d.]+ ms over the objective of 1.0 ms"
    assert done.returncode == 1
    assert re.search(over, done.stdout)
    text = Page(good[2]["index.html"].decode()).text
    assert "with its evidence. NO-GO" in text
    assert re.search(over, text)


def test_a_second_report_in_the_same_folder_says_what_has_changed(good):
    _, folder, _ = good
    for text in (Page(folder / "index.html").text, (folder / "summary.md").read_text("utf-8").replace("\\", "")):
        assert "the verdict was NO-GO and is GO" in text
        assert "the parameter first_event_p95 was 0.001 and is 20.0" in text
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["0001.json", "0002.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "userz", "5"], "there is no parameter userz; did you mean users?"),
        (["-p", "validation.userz", "5"], "there is no parameter userz; did you mean users?"),
        (["-p", "validaton.users", "5"], "there is no notebook validaton; did you mean validation?"),
        (["--notebook", "validaton"], "there is no notebook validaton; did you mean validation?"),
        (["-p", "users", "fifty"], "users takes a whole number, and had 'fifty'"),
        (["-p", "users", "1e3"], "users takes a whole number, and had '1e3'"),
        (["--users", "0"], "users: expected a whole number >= 1; it had 0"),
        (["-p", "delivered", "1.5"], "delivered: expected a number <= 1.0; it had 1.5"),
        (["--users", "5", "-p", "users", "6"], "users is given twice"),
        (["-p", "users", "5", "-p", "validation.users", "6"], "users is given twice"),
        (["-p", "seed", ""], "seed takes a whole number"),
        (["-p", "output", "elsewhere"], "output is set by the report; use -o FOLDER"),
        (["--base", "nowhere.json"], "'nowhere.json' does not exist"),
    ],
)
def test_unknown_and_mistyped_parameters_stop_the_command_before_anything_runs(tmp_path, arguments, message):
    done = CliRunner().invoke(cli, ["report", *arguments, "-o", str(tmp_path / "report")])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("values", [{"users": "fifty"}, {"users": 2.0}, {"users": True}, {"nope": 1}, {"output": 3}])
def test_the_notebooks_first_cell_refuses_them_too(values):
    with pytest.raises(ParameterError):
        ValidationParameters.check(**values)


@pytest.mark.parametrize("notebook", NOTEBOOKS.values(), ids=lambda notebook: notebook.name)
def test_a_notebooks_parameters_are_those_of_the_command(notebook):
    cells = nbformat.read(notebook.path, as_version=4).cells
    (cell,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    names = {}
    exec(cell.source, names)
    for name in notebook.parameters.__struct_fields__:
        assert names[name] == getattr(notebook.parameters(), name)
    assert set(notebook.parameters.__struct_fields__) == set(re.findall(r"^(\w+):", cell.source, re.M))


@pytest.mark.parametrize("notebook", NOTEBOOKS.values(), ids=lambda notebook: notebook.name)
def test_the_list_of_notebooks_has_questions_parameters_and_values(notebook):
    listed = CliRunner().invoke(cli, ["notebooks", notebook.name]).output
    assert notebook.question in listed
    assert notebook.file in listed
    for name, about in notebook.parameters.descriptions().items():
        assert name == "output" or f"{name} = {getattr(notebook.parameters(), name)}: {about} (" in listed
    assert listed in CliRunner().invoke(cli, ["notebooks"]).output


def test_the_list_of_notebooks_knows_types_and_bounds():
    listed = CliRunner().invoke(cli, ["notebooks", "validation"]).output
    assert "users = 1000: simulated users (whole number >= 1 and <= 100,000)" in listed
    assert CliRunner().invoke(cli, ["notebooks", "validaton"]).exit_code == 2


def test_simulate_keeps_a_history_and_checks_it(tmp_path):
    done = invoked("simulate", "--users", 5, "-o", tmp_path / "h.parquet")
    assert done.exit_code == 0, done.output
    assert "passed  critical-events: 5 runs" in done.stdout
    assert invoked("check", tmp_path / "h.parquet").stdout in done.stdout


def test_a_scenario_file_with_a_fault_is_refused_with_its_place(tmp_path):
    (tmp_path / "s.toml").write_text("users = 3\n[network]\nbandwidth = 0\n")
    done = invoked("simulate", tmp_path / "s.toml", "-o", tmp_path / "h.parquet")
    assert done.exit_code == 2
    assert "network.bandwidth" in done.stderr
    assert not (tmp_path / "h.parquet").exists()


def test_load_runs_real_clients_and_checks_them(tmp_path):
    done = invoked("load", "--users", 3, "-o", tmp_path / "h.parquet")
    assert done.exit_code == 0, done.output
    assert "passed  truthfulness" in done.stdout


def test_a_bug_in_a_command_exits_with_3_and_a_traceback(monkeypatch, capsys):
    def buggy(*_, **__):
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("netra_sim.cli.group.cli.main", buggy)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    told = capsys.readouterr().err
    assert "netra-sim broke: KeyError" in told
    assert "in buggy" in told

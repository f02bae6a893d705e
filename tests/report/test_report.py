"""The report as its readers meet it: the command's exit code, the page, the verdict, and what happens when things break."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from netra_sim.exit_code import ExitCode
from netra_sim.report import ParameterError, Parameters, make_report

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "remediation_validation.ipynb"
SMALL = ["--users", "20", "-p", "windows_users", "5", "-p", "server_users", "5"]


def netra_sim(*arguments, **environment):
    command = [sys.executable, "-m", "netra_sim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    done = netra_sim("report", *SMALL, "-o", folder, HOME=str(tmp_path_factory.mktemp("home")))
    return done, folder


@pytest.fixture(scope="module")
def violated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("violated")
    return netra_sim("report", *SMALL, "-p", "delivery_p95", "0.02", "-o", folder), folder


class Page(HTMLParser):
    """What a reader of the page meets: its words, its pictures and what it would load."""

    def __init__(self, path):
        super().__init__()
        self.words, self.images, self.loads, self.tags, self._skip = [], [], [], [], False
        self.feed(path.read_text("utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self._skip = tag == "style"
        if tag == "img":
            self.images.append(attributes)
        self.loads += [value for name, value in attributes.items() if name in ("src", "href") and value]

    def handle_endtag(self, tag):
        self._skip = False

    def handle_data(self, data):
        if not self._skip:
            self.words.append(data)


def test_the_command_says_go_and_exits_with_0_also_with_an_empty_home(good):
    done, folder = good
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("GO: 16 of 18 claims are shown")
    assert str(folder / "report.html") in done.stdout
    assert "cell" in done.stderr  # progress


def test_the_verdict_is_computed_from_every_source(good):
    verdict = json.loads((good[1] / "verdict.json").read_text("utf-8"))
    assert verdict["decision"] == "GO"
    assert set(verdict["evidence"]) == {"simulated", "simulated, Windows clock", "real server", "runtime"}
    assert {result["state"] for results in verdict["evidence"].values() for result in results} == {"passed"}
    states = {claim["claim"]: claim["state"] for claim in verdict["claims"]}
    assert states["$120K+ MRR protected"] == "open"
    assert verdict["scores"] == {
        "SSOT compliance": 7.5,
        "Architecture alignment": 10.0,
        "Business value": 7.5,
        "Implementation checklist": 10.0,
    }
    assert verdict["parameters"]["users"] == 20
    assert verdict["nest_asyncio"] is False


def test_the_page_is_self_contained_has_no_code_and_says_go_first(good):
    page = Page(good[1] / "report.html")
    assert [load for load in page.loads if not load.startswith("data:image/png;base64,")] == []
    assert "script" not in page.tags
    assert "import" not in page.text
    assert "Remediation validation report GO 16 of 18 claims" in page.text
    assert "real server" in page.text


def test_every_picture_has_alternative_text_that_says_the_finding(good):
    images = Page(good[1] / "report.html").images
    assert len(images) >= 4
    assert all(len(image.get("alt", "")) > 40 for image in images)
    assert any("0 of 85 events reached somebody else" in image["alt"] for image in images)


def test_the_histories_behind_the_report_are_kept_and_can_be_checked_again(good):
    histories = sorted(good[1].glob("*.parquet"))
    assert len(histories) == 3
    done = netra_sim("check", histories[0])
    assert done.returncode == 0
    assert "passed  cross-user-isolation" in done.stdout


def test_a_violated_latency_objective_exits_with_1_and_says_what_where_and_by_how_much(violated):
    done, folder = violated
    assert done.returncode == 1
    assert re.search(r"simulated: latency: .* p95 is [\d.]+ ms, [\d.]+ ms over the objective of 20.0 ms", done.stdout)
    text = Page(folder / "report.html").text
    assert "NO-GO" in text
    assert "over the objective of 20.0 ms" in text
    assert re.search(r"latency: \d+ found, \d+ shown .* user-\d+ user-\d+\.1 ", text)


def test_a_second_report_in_the_same_folder_says_what_has_changed(violated):
    _, folder = violated
    done = netra_sim("report", *SMALL, "-o", folder)
    assert done.returncode == 0
    text = Page(folder / "report.html").text
    assert "the verdict was NO-GO and is GO" in text
    assert "the parameter delivery_p95 was 0.02 and is 0.1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "userz", "5"], "there is no parameter userz; did you mean users?"),
        (["-p", "users", "fifty"], "users takes a whole number, and had 'fifty'"),
        (["-p", "users", "1e3"], "users takes a whole number, and had '1e3'"),
        (["--users", "0"], "users: expected `int` >= 1; it had 0"),
        (["-p", "delivered", "1.5"], "delivered: expected `float` <= 1.0; it had 1.5"),
        (["--users", "5", "-p", "users", "6"], "users is given twice"),
        (["-p", "seed", ""], "seed takes a whole number"),
    ],
)
def test_unknown_and_mistyped_parameters_stop_the_command_before_anything_runs(tmp_path, arguments, message):
    done = netra_sim("report", *arguments, "-o", tmp_path / "report")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("values", [{"users": "fifty"}, {"users": 2.0}, {"users": True}, {"nope": 1}, {"output": 3}])
def test_the_notebooks_first_cell_refuses_them_too(values):
    with pytest.raises(ParameterError):
        Parameters.check(**values)


def test_the_notebooks_parameters_are_those_of_the_command():
    cell = nbformat.read(NOTEBOOK, as_version=4).cells[1]
    assert cell.metadata["tags"] == ["parameters"]
    names = {}
    exec(cell.source, names)
    for name in Parameters.__struct_fields__:
        assert names[name] == getattr(Parameters(), name)
    assert set(Parameters.__struct_fields__) == set(re.findall(r"^(\w+):", cell.source, re.M))


def broken_notebook(folder, source):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells[4].source = source
    path = folder / "broken.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise LookupError('no such thing')", "raised LookupError: no such thing"),
        ("import os; os._exit(1)", "the kernel died"),
        ("import sys; sys.exit(0)", "raised SystemExit"),
    ],
    ids=["raises", "kernel dies", "sys.exit(0)"],
)
def test_a_notebook_that_breaks_is_reported_as_broken_never_as_go(tmp_path, source, problem):

    report = make_report(Parameters(output=str(tmp_path / "out")), notebook=broken_notebook(tmp_path, source))
    assert report.code is ExitCode.BROKE
    assert problem in report.headline
    text = Page(report.page).text
    assert "BROKEN" in text
    assert problem in text
    assert json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))["decision"] == "BROKEN"


def test_simulate_keeps_a_history_and_checks_it(tmp_path):
    done = netra_sim("simulate", "--users", 5, "-o", tmp_path / "h.parquet")
    assert done.returncode == 0, done.stderr
    assert "passed  critical-events: 5 runs" in done.stdout
    assert netra_sim("check", tmp_path / "h.parquet").stdout in done.stdout


def test_a_scenario_file_with_a_fault_is_refused_with_its_place(tmp_path):
    (tmp_path / "s.toml").write_text("users = 3\n[network]\nbandwidth = 0\n")
    done = netra_sim("simulate", tmp_path / "s.toml", "-o", tmp_path / "h.parquet")
    assert done.returncode == 2
    assert "network.bandwidth" in done.stderr
    assert not (tmp_path / "h.parquet").exists()


def test_load_runs_real_clients_and_checks_them(tmp_path):
    done = netra_sim("load", "--users", 3, "-o", tmp_path / "h.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed  truthfulness" in done.stdout


def test_a_folder_that_cannot_be_written_breaks_with_a_reason(tmp_path):
    (tmp_path / "file").write_text("")
    done = netra_sim("report", *SMALL, "-o", tmp_path / "file" / "report")
    assert done.returncode == 3
    assert "netra-sim broke: NotADirectoryError" in done.stderr

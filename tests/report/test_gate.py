"""`netra-sim gate`: a system under test passes or fails, and the folder says so to people and to CI."""

import json
import platform
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import chromium, violations
from click.testing import CliRunner
from pages import Page

from netra_sim.cli.group import cli
from netra_sim.history import History

ROOT = Path(__file__).parents[2]
EXAMPLE = "examples/fastapi_agents/agents.toml"
FEW = ["--users", "6", "--set", "workload.runs_per_user=1", "--set", "workload.window=0.05"]
NO_COST = "To count the time of the code, set platform.step_cost in the scenario."
FILES = {"index.html", "junit.xml", "results.sarif", "summary.md", "verdict.json", "manifest.json"}


def gate(*words):
    return CliRunner().invoke(cli, ["gate", *map(str, words)])


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A gate that fails with three seeds, and in the same folder one that passes with two."""
    folder = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        failed = gate(EXAMPLE, *FEW, "--app", "wrong:app", "--seeds", 3, "-o", folder / "failed")
        first = gate(EXAMPLE, *FEW, "--app", "wrong:app", "--seeds", 3, "-o", folder / "passed")
        (folder / "passed" / "notes.txt").write_text("mine")
        passed = gate(EXAMPLE, *FEW, "--seeds", 2, "-o", folder / "passed")
    assert first.exit_code == 1
    return failed, passed, folder


def verdict_of(folder):
    return json.loads((folder / "verdict.json").read_text("utf-8"))


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_a_system_that_passes_exits_with_0_and_its_folder_says_what_was_tested(gated):
    _, done, folder = gated
    assert done.exit_code == 0, done.output
    headline = "PASS: fastapi-agents: 12 checks passed with 2 seeds, 6 users and 6 requests each"
    assert done.stdout.splitlines()[-2] == headline
    assert "last event of a request, p95" in done.stdout
    page = Page(folder / "passed" / "index.html")
    for words in (
        "right:app in examples/fastapi_agents, 1 process",
        "websocket-json",
        "model (model)",
        headline,
        NO_COST,
    ):
        assert words in page.text
    assert verdict_of(folder / "passed")["decision"] == "PASS"


def test_an_earlier_gate_in_the_folder_is_replaced_and_other_files_stay(gated):
    folder = gated[2] / "passed"
    assert names_in(folder) == FILES | {"history-1.parquet", "history-2.parquet", "notes.txt"}


def test_a_defect_fails_the_gate_and_its_findings_stand_first(gated):
    done, _, folder = gated
    assert done.exit_code == 1, done.output
    assert "FAIL: fastapi-agents: " in done.stdout
    assert "content-isolation: user-" in done.stdout
    text = Page(folder / "failed" / "index.html").text
    told = "Messages held data of other users or of other requests: "
    assert text.index(told) < text.index("content-isolation: user-") < text.index("What was tested")
    assert "promised none (first: seed 1: user-" in text
    assert re.search(r"With [123] of 3 seeds", text)
    times = text[text.index("How long users waited") : text.index("Each seed, from the due time")]
    assert "What these figures rest on" in times
    assert "virtual time" in times
    answers = text[text.index("Did every") : text.index("Objectives:")]
    assert answers.rindex("failed") < answers.index("passed")
    verdict = verdict_of(folder / "failed")
    assert verdict["decision"] == "FAIL"
    assert {"cross-user-isolation", "content-isolation"} <= set(verdict["seeds"][0]["failed"])


def test_the_commands_of_the_page_repeat_a_seed_and_make_the_same_folder(gated, tmp_path):
    _, _, folder = gated
    verdict = verdict_of(folder / "failed")
    repeat = shlex.split(verdict["seeds"][1]["command"])
    done = CliRunner().invoke(cli, [*repeat[1:], "-o", str(tmp_path / "again.parquet")])
    assert done.exit_code == 1
    digest = History.load(tmp_path / "again.parquet").digest()
    assert digest == verdict["seeds"][1]["digest"] == History.load(folder / "failed" / "history-2.parquet").digest()
    again = CliRunner().invoke(cli, [*shlex.split(verdict["command"])[1:], "-o", str(tmp_path / "gate")])
    assert again.exit_code == 1
    for name in ("verdict.json", "summary.md", "junit.xml", "index.html"):
        texts = [(where / name).read_text("utf-8") for where in (tmp_path / "gate", folder / "failed")]
        first, second = (re.sub(r"load average [\d.]+", "", text) for text in texts)  # how busy the machine is differs
        assert first == second, name


def test_junit_has_a_case_for_each_check_with_each_seed(gated):
    root = ElementTree.parse(gated[2] / "failed" / "junit.xml").getroot()
    assert [suite.get("name") for suite in root] == ["gate", "seed 1", "seed 2", "seed 3"]
    suite = root.find("testsuite[@name='seed 1']")
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert {"cross-user-isolation", "content-isolation"} <= failed
    assert int(suite.get("failures")) == len(failed)
    assert "user-" in suite.find("testcase[@name='content-isolation']/failure").text
    passed = ElementTree.parse(gated[2] / "passed" / "junit.xml").getroot()
    assert {suite.get("failures") for suite in passed} == {"0"}


def sarif_of(folder):
    (run,) = json.loads((folder / "results.sarif").read_text("utf-8"))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    return run


def test_sarif_has_the_failed_checks_at_the_scenarios_file(gated):
    run = sarif_of(gated[2] / "failed")
    failed = [one for one in run["results"] if one["level"] == "error"]
    assert {"cross-user-isolation", "content-isolation"} <= {one["ruleId"] for one in failed}
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in failed]
    assert set(places) == {EXAMPLE}
    verdict = verdict_of(gated[2] / "failed")
    assert [one["message"]["text"].partition(". Repeat it with: netra-sim simulate")[0] for one in failed] == verdict[
        "reasons"
    ]
    assert run["automationDetails"]["description"]["text"] == verdict["headline"]
    assert "invocations" not in run
    assert [one for one in sarif_of(gated[2] / "passed")["results"] if one["level"] == "error"] == []


SCENARIO = """
name = "own"
description = "Two users ask."
users = 2
[workload]
window = 0.05
[system]
app = "%s"
folder = "src"
[client]
kind = "sse-json"
path = "/chat"
body = { text = "{text}" }
"""
PATCHES = """
import asyncio

async def app(scope, receive, send):
    pass  # no answer to any request

def patch():
    asyncio.sleep = None
"""


@pytest.mark.parametrize(
    ("files", "app", "found"),
    [
        ({"chat.py": PATCHES, "other.py": PATCHES}, "chat:app", {"src/chat.py"}),
        ({"chat/__init__.py": "", "chat/web.py": PATCHES, "other.py": PATCHES}, "chat.web:app", {"src/chat/web.py"}),
    ],
)
def test_sarif_has_what_the_audit_finds_in_the_source_of_the_system(tmp_path, monkeypatch, files, app, found):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(text)
    (tmp_path / "own.toml").write_text(SCENARIO % app)
    assert gate("own.toml", "--seeds", 1).exit_code == 1
    audited = [one for one in sarif_of(tmp_path / "gate")["results"] if one["level"] == "warning"]
    assert {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in audited} == found
    lines = CliRunner().invoke(cli, ["audit", *found, "--format", "json"])
    assert {one["ruleId"] for one in audited} >= {"NS103"}
    assert [one["message"]["text"] for one in audited] == [
        one["message"] for one in json.loads(lines.stdout)["findings"]
    ]


def test_sarif_says_what_the_audit_could_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    for folder in ("src", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere" / "installed_chat.py").write_text(PATCHES)
    (tmp_path / "own.toml").write_text(SCENARIO % "installed_chat:app")
    assert gate("own.toml", "--seeds", 1).exit_code == 1
    (invocation,) = sarif_of(tmp_path / "gate")["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "The audit has not read installed_chat: it is not in src."


def test_the_summary_has_decision_findings_figures_and_the_way_to_repeat_it(gated):
    text = (gated[2] / "failed" / "summary.md").read_text("utf-8")
    assert text.startswith("# FAIL: fastapi-agents\n")
    assert f"CPUs, Python {platform.python_version()}" in text
    assert "## Failed checks\n\n- " in text
    assert text.index("- content-isolation: user-") < text.index("## Each seed")
    assert "| 1 | cross-user-isolation, " in text
    assert "\nnetra-sim simulate examples/fastapi_agents/agents.toml --seed 1 " in text
    assert "\nnetra-sim explore examples/fastapi_agents/agents.toml --users 6 --app wrong:app " in text


def test_the_page_is_one_file_whose_pictures_have_words(gated):
    for name in ("failed", "passed"):
        page = Page(gated[2] / name / "index.html")
        assert not page.unbalanced
        assert page.tags.count("script") == 2  # one filters tables, one draws pictures
        assert [load for load in page.loads if not load.startswith("data:")] == []
        assert len(page.images) == 4
        assert all(len(image["alt"]) > 40 for image in page.images)
        links = {link for link in page.links if not link.startswith(("#", "data:"))}
        assert links == names_in(gated[2] / name) - {"index.html", "manifest.json", "notes.txt"}
        assert "The numbers under “Looked at” add up all seeds" in page.text


def test_the_page_is_quiet_and_accessible_in_a_browser_and_fits_a_phone(gated):
    with chromium() as tab:
        for width, dark in ((1280, False), (1280, True), (390, False)):
            tab.open(gated[2] / "failed" / "index.html", width=width, height=844, dark=dark)
            assert tab.complaints == []
            assert violations(tab) == []
        assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_failure_that_the_scenario_expects_does_not_fail_the_gate(tmp_path):
    expected = ["cross-user-isolation", "connection-isolation", "content-isolation"]
    expected += ["every-run-ends", "latency", "completion", "answers", "tokens"]
    words = ["--app", "wrong:app", "--seeds", 1, "--set", f"expect={expected}", "-o", tmp_path]
    done = gate(EXAMPLE, *FEW, *words)
    assert done.exit_code == 0, done.output
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    case = root.find("testsuite[@name='seed 1']/testcase[@name='content-isolation']")
    assert case.find("skipped").get("message") == "failed, as the scenario expects"
    assert "Failures that are expected" in Page(tmp_path / "index.html").text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["steady-load"], "has no system under test; give it a table [system], or give --app and --client"),
        (["nowhere.toml"], "there is no file nowhere.toml"),
        ([EXAMPLE, "--set", "nowhere.at=1"], "no setting nowhere.at"),
        ([EXAMPLE, "--seeds", "0"], "0 is not between 1 and 10000"),
        ([EXAMPLE, "--client", "ag-iu"], "did you mean ag-ui"),
        ([EXAMPLE, "--app", "nowhere:app"], "there is no module 'nowhere'"),
        ([EXAMPLE, "--set", "expect=['nothing']"], "there is no check 'nothing'"),
    ],
)
def test_wrong_usage_exits_with_2_and_leaves_an_earlier_folder_as_it_is(tmp_path, words, message):
    (tmp_path / "index.html").write_text("earlier")
    done = gate(*words, "-o", tmp_path)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert names_in(tmp_path) == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "earlier"


def test_another_application_keeps_the_folder_and_the_environment_of_the_scenario(tmp_path):
    done = CliRunner().invoke(cli, ["simulate", EXAMPLE, *FEW, "--app", "wrong:app", "-o", str(tmp_path / "h.parquet")])
    assert done.exit_code == 1, done.output
    system = History.load(tmp_path / "h.parquet").meta["scenario"]["system"]
    assert (system["app"], system["folder"]) == ("wrong:app", "examples/fastapi_agents")
    assert system["environment"] == {"MODEL_URL": "{model}/v1"}

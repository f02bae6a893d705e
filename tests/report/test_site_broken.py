"""Each way in which a real notebook can break: the report and the exit code say so, and no process is left."""

import json
import os
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest

pytest.importorskip("resource", reason="these ways to die are those of POSIX: signals to a group, limits on files, ps")
from pages import Page
from tiny_notebooks import notebook, text, validation, verdict

from netra_sim.exit_code import ExitCode
from netra_sim.site.report import make_report, plan

WAYS = {
    "raises": ("raise LookupError('no <b>such</b> thing')", "raised LookupError: no <b>such</b> thing"),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "the kernel died"),
    "leaves": ("import sys\nsys.exit(0)", "raised SystemExit"),
    "fills": (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with open('big', 'w') as file:\n    file.write('x' * 2000)",
        "raised OSError: [Errno 27] File too large",
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A report with notebooks that break in different ways, and two that do not."""
    folder = tmp_path_factory.mktemp("broken")
    notebooks = [notebook(folder, name, "print('began')", source, "1") for name, (source, _) in WAYS.items()]
    notebooks += [notebook(folder, "well", "print('well done')"), validation(folder, verdict())]
    return make_report(plan((), notebooks=notebooks), folder / "report"), folder / "report"


@pytest.mark.parametrize("name", WAYS)
def test_a_notebook_that_dies_is_reported_on_the_index_and_on_its_own_pages(broken, name):
    report, folder = broken
    problem = WAYS[name][1]
    assert report.code is ExitCode.BROKE
    assert any(reason.startswith(f"{name}: ") and problem in reason for reason in report.reasons)
    assert problem in Page(folder / "index.html").text
    for page in (Page(folder / f"{name}.html"), Page(folder / f"{name}-code.html")):
        assert f"{name.title()} What happens here? BROKEN This notebook did not run to its end" in page.text
        assert problem in page.text
        assert "began" in page.text
    case = ElementTree.parse(folder / "junit.xml").getroot().find(f".//testcase[@name='{name}']/error")
    assert problem in case.get("message")


def test_the_other_notebooks_are_complete_and_the_verdict_is_there(broken):
    _, folder = broken
    page = Page(folder / "well.html")
    assert "well done" in page.text
    assert "BROKEN" not in page.text
    validated = Page(folder / "validation.html").text
    assert "does the evidence prove? GO " in validated
    assert "BROKEN" not in validated
    index = Page(folder / "index.html").text
    assert index.startswith("BROKEN: ")
    assert "The validation itself was completed, and says GO." in index
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["decision"] == "BROKEN"
    assert not manifest["complete"]
    assert (folder / "summary.md").read_text("utf-8").startswith("# Validation: BROKEN")


def test_a_notebook_that_takes_too_long_is_ended_and_so_is_its_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tasks = plan((), notebooks=[notebook(tmp_path, "slow", "import time\ntime.sleep(600)")])
    report = make_report(tasks, tmp_path / "report", time_limit=3)
    assert report.code is ExitCode.BROKE
    assert report.reasons == ["slow: it took longer than 3 s"]
    assert "it took longer than 3 s" in Page(tmp_path / "report" / "slow.html").text
    assert_nothing_is_left(tmp_path)


def test_a_validation_without_a_verdict_is_broken_never_go(tmp_path):
    silent = validation(tmp_path, verdict(), text("x"), "1")
    source = json.loads(silent.path.read_text())
    source["cells"] = source["cells"][:-1]
    silent.path.write_text(json.dumps(source))
    report = make_report(plan((), notebooks=[silent]), tmp_path / "report")
    assert report.code is ExitCode.BROKE
    assert report.reasons == ["validation: it left no verdict.json that can be read"]
    assert json.loads((tmp_path / "report" / "verdict.json").read_text("utf-8"))["decision"] == "BROKEN"


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_notebooks import notebook
from netra_sim.site.report import make_report, plan
here, printed, room = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
tasks = plan((), notebooks=[notebook(here, "chatty", f"print('x' * {printed})")])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
report = make_report(tasks, here / "report")
print(report.reasons)
sys.exit(report.code)
"""


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """What a folder holds after each of four reports: a complete one, two on a full disk, another complete one."""
    here = tmp_path_factory.mktemp("life")
    folder = here / "report"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "0001.json").write_text("{}")
    (folder / "mine.txt").write_text("mine")
    make_report(plan((), notebooks=[notebook(here, "chatty", "print('first')")]), folder)
    pages = [pages_of(folder)]
    # First there is no room for the executed notebook, then for its page.
    for printed, room in ((200_000, 60_000), (8_000, 15_000)):
        command = [sys.executable, "-c", FULL, os.path.dirname(__file__), here, str(printed), str(room)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == ExitCode.BROKE, done.stderr
        assert "file too large" in done.stdout.lower()
        pages.append(pages_of(folder))
    make_report(plan((), notebooks=[notebook(here, "other", "print('second')")]), folder)
    return [*pages, pages_of(folder)]


def pages_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): Page(path) for path in files if path.suffix in (".html", ".txt", ".json")
    }


def test_a_full_disk_leaves_a_report_that_says_so_and_keeps_the_last_complete_one(life):
    _, without_notebook, without_pages, _ = life
    for pages in (without_notebook, without_pages):
        assert "BROKEN" in pages["index.html"].text
        assert "file too large" in pages["index.html"].text.lower()
        assert "earlier/index.html" in pages["index.html"].links
        assert "first" in pages["earlier/chatty.html"].text
    assert "File too large" in without_notebook["chatty.html"].text
    assert "chatty.html" not in without_pages


def test_a_complete_report_replaces_the_one_before_and_touches_nothing_else(life):
    pages = life[-1]
    assert "second" in pages["other.html"].text
    assert not [name for name in pages if "chatty" in name or "earlier" in name or name.startswith(".")]
    assert pages["mine.txt"].text == "mine"
    assert pages["runs/0001.json"].text == "{}"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_an_interrupted_command_leaves_a_report_that_says_so_and_no_kernel(tmp_path, sent):
    running = start(tmp_path)
    os.killpg(running.pid, sent)
    output, errors = running.communicate(timeout=180)
    assert running.returncode == ExitCode.BROKE, errors
    assert "BROKEN: validation: it was interrupted" in output
    assert "it was interrupted" in Page(tmp_path / "report" / "index.html").text
    assert "it was interrupted" in Page(tmp_path / "report" / "validation.html").text
    assert_nothing_is_left(tmp_path)


def test_a_killed_command_leaves_the_folder_unchanged_and_no_kernel(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("earlier")
    running = start(tmp_path)
    running.kill()
    running.communicate(timeout=180)
    assert_nothing_is_left(tmp_path)
    assert (tmp_path / "report" / "index.html").read_text() == "earlier"


def start(tmp_path):
    """Start `netra-sim report` in a new process group, and wait until its kernel runs."""
    command = [sys.executable, "-m", "netra_sim", "report", "--notebook", "validation", "-p", "users", "100000"]
    running = subprocess.Popen(
        [*command, "-o", tmp_path / "report"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    until(lambda: any("ipykernel_launcher" in line for line in processes(tmp_path)) or running.poll() is not None)
    assert running.poll() is None, running.communicate()
    return running


def processes(folder):
    """The command lines of all processes that mention a folder."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


def assert_nothing_is_left(folder):
    until(lambda: not processes(folder))


def until(holds):
    deadline = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)

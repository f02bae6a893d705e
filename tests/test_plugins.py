"""Another package adds one object of each kind, and netra-sim finds it; the package is `examples/their_lab`."""

import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import pytest

from netra_sim.checks import OWN_CHECKS, Check
from netra_sim.registry import PluginError, Registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter that has the package beside all that this one has."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name == "posix")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "lent.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(site), str(ROOT / "examples" / "their_lab")], check=True)
    return Path(sysconfig.get_path("scripts", vars={"base": str(folder)})) / Path(sys.executable).name


@pytest.fixture
def run(python, tmp_path):
    def run(*words, path=""):
        command = [python, *words] if words[0] == "-c" else [python, "-m", "netra_sim", *words]
        env = os.environ | {"PYTHONPATH": str(path)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    return run


SCENARIO = """
name = "theirs"
users = 5
expect = ["double-ends"]
[[faults]]
kind = "double-click"
at = 0.0
clicks = 2
"""


def test_a_scenario_names_their_fault_and_their_check(run, tmp_path):
    (tmp_path / "theirs.toml").write_text(SCENARIO)
    done = run("scenarios", "theirs.toml", "--run")
    assert "UNEXPECTED" in done.stdout, done.stderr  # the runtime ends no run twice
    done = run("simulate", "theirs.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed  double-ends: " in done.stdout
    assert "passed  faults-acted: 1 faults" in done.stdout


def test_a_wrong_value_of_their_fault_is_explained(run, tmp_path):
    (tmp_path / "theirs.toml").write_text(SCENARIO.replace("clicks = 2", "clicks = 20"))
    done = run("simulate", "theirs.toml")
    assert done.returncode == 2
    assert "faults[0].clicks: expected a whole number <= 10; it had 20" in done.stderr


def test_their_kinds_are_listed(run):
    assert "double-click" in run("scenarios", "--faults").stdout
    assert "ends-twice" in run("defects").stdout
    assert "TL001 print-in-streaming" in run("audit", "--rules").stdout
    assert "How many events does their system publish?" in run("notebooks", "their-notebook").stdout
    assert "greet" in run("--help").stdout


def test_their_command_runs(run):
    assert run("greet").stdout == "hello from their lab\n"


def test_their_factory_makes_the_engines(run):
    assert run("simulate", "--users", "3", "--factory", "their_lab.commands:TheirFactory").returncode == 0
    done = run("simulate", "--users", "3", "--factory", "their_lab.commands:greet")
    assert done.returncode == 2
    assert "is no subclass of netra_sim.factory.ExecutionEngineFactory" in done.stderr


def test_their_rule_finds_something(run, tmp_path):
    (tmp_path / "stream.py").write_text("async def stream():\n    print('x')\n    yield 1\n")
    (tmp_path / "pyproject.toml").write_text('[tool.netra-sim.audit]\nstreaming = ["stream"]\n')
    done = run("audit", "stream.py")
    assert done.returncode == 1
    assert "TL001" in done.stdout


def test_their_notebook_runs_in_a_report(run, tmp_path):
    done = run("report", "--notebook", "their-notebook")
    assert "nothing was judged" in done.stdout, done.stdout + done.stderr
    assert "is the most frequent event" in (tmp_path / "report" / "their-notebook.html").read_text("utf-8")


def test_their_check_is_proven_by_their_planted_history_and_their_defect_is_caught(run):
    script = """
        from netra_sim import check
        from netra_sim.checks import CHECKS
        from netra_sim.defects import detect
        from netra_sim.defects.planted import PLANTED_HISTORIES
        one, theirs = PLANTED_HISTORIES["double-ends"], [CHECKS["double-ends"]]
        print(check(one.planted(), checks=theirs)[0].state, check(one.clean(), checks=theirs)[0].state)
        print(detect([1], defects=["ends-twice"], jobs=1).rows[0].caught["double-ends"])
        """
    assert run("-c", textwrap.dedent(script)).stdout == "failed passed\n1\n"


def test_their_source_of_evidence_is_gathered_and_judged(run):
    script = """
        from netra_sim.verdict import SOURCES, ValidationParameters
        evidence = SOURCES["small-talk"].gather(ValidationParameters())
        print(evidence.label, [one.state for one in evidence.results])
        """
    assert run("-c", textwrap.dedent(script)).stdout == "small talk ['passed']\n"


@pytest.fixture
def broken(tmp_path):
    """Adds the metadata of a package with one entry point to a folder."""

    def add(target):
        metadata = tmp_path / "broken-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[netra_sim.checks]\nbroken = {target}\n")
        return tmp_path

    return add


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("json:MISSING", "cannot be imported: AttributeError"),
        ("no_such_module:CHECK", "cannot be imported: ModuleNotFoundError"),
        ("json:dumps", "names <function dumps at .*>, which is no Check that netra_sim.checks takes"),
        ("netra_sim.checks.latency:latency", "the name 'latency' is taken"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_named(monkeypatch, broken, target, why):
    # Not syspath_prepend: it needs the real pkg_resources, in whose place a test of the server puts another.
    monkeypatch.setattr(sys, "path", [str(broken(target)), *sys.path])
    checks = Registry("netra_sim.checks", OWN_CHECKS, kind=Check)
    point = f"the entry point broken = {target} of broken in the group netra_sim.checks"
    with pytest.raises(PluginError, match=f"^{point}:? {why}"):
        list(checks)


def test_a_check_that_cannot_be_used_stops_a_command_before_anything_runs(run, broken, tmp_path):
    done = run("simulate", "--users", "2", path=broken("no_such_module:CHECK"))
    assert done.returncode == 3
    assert "the entry point broken = no_such_module:CHECK of broken" in done.stderr
    assert not (tmp_path / "history.parquet").exists()

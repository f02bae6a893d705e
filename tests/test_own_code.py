"""Code of one's own by its place MODULE:NAME: from the command line, a scenario, a notebook, and in worker processes."""

import json
import os
import subprocess
import sys

import msgspec
import pytest
from click.testing import CliRunner

from netra_sim.checks import Check, CheckError
from netra_sim.cli.group import cli
from netra_sim.exploration import cells
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.own_code import MODULES, OwnCodeError, own_class, own_object
from netra_sim.simulation import Scenario, ScenarioError

MINE = '''
import asyncio

import netra_sim
from netra_sim.checks import Finding, Observation, define
from netra_sim.history import Kind
from netra_sim.simulation.faults import LineFault


class Advisor:
    name = "advisor"

    async def run(self, session):
        session.think("hm")
        await asyncio.sleep(1.0)
        return "42"


class Factory(netra_sim.ExecutionEngineFactory):
    def __init__(self, **settings):
        super().__init__(**settings | {"pipeline": lambda context: [[Advisor()]]})


@define("few-events", question="Did every run publish at most ten events?", unit="events")
def few_events(records, objectives):
    published = records.rows(Kind.PUBLISHED)
    most = 10 * len(set(records.codes["run"][published].tolist()))
    found = (Finding(message=f"{len(published)} events"),) if len(published) > most else ()
    return Observation(looked_at=len(published), found=len(found), findings=found)


@define("latency", question="?", unit="x")
def taken(records, objectives):
    return Observation(looked_at=1)


class TakesLess(netra_sim.ExecutionEngineFactory):
    def __init__(self, *, websocket_bridge):
        super().__init__(websocket_bridge=websocket_bridge)


class TakesMore(netra_sim.ExecutionEngineFactory):
    def __init__(self, database, **settings):
        super().__init__(**settings)


class Stalled(LineFault, frozen=True, kw_only=True, tag="NAME:Stalled"):
    """Clients stop reading."""

    depth: float = 1.0

    def affect(self, line):
        line.is_stalled = True


class Untagged(LineFault, frozen=True, kw_only=True):
    """A fault that does not say where it is."""
'''

TOML = """
name = "own"
users = 6
factory = "NAME:Factory"
checks = ["NAME:few_events"]
[[faults]]
kind = "NAME:Stalled"
at = 1.0
lasts = 30.0
share = 0.5
"""


@pytest.fixture
def name(tmp_path, monkeypatch):
    """The name of a module of one's own in the working directory, which no other test has."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE.replace("NAME", name))
    (tmp_path / "own.toml").write_text(TOML.replace("NAME", name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="netra-sim")


def checks_of(done):
    return {one["check"]: one["state"] for one in json.loads(done.stdout)["checks"]}


def test_the_command_line_takes_agents_and_checks(name):
    checks = ("--check", f"{name}:few_events")
    theirs = run("simulate", "--users", 5, *checks, "--format", "json")
    assert theirs.exit_code == 1
    assert checks_of(theirs)["few-events"] == "failed"  # the default agents publish 20 events in each run
    ours = run("simulate", "--users", 5, *checks, "--factory", f"{name}:Factory", "--format", "json")
    assert checks_of(ours)["few-events"] == "passed"
    assert run("check", "history.parquet", "--format", "json").stdout.count("few-events") == 0
    assert checks_of(run("check", "history.parquet", *checks, "--format", "json"))["few-events"] == "passed"


def test_a_scenario_names_agents_checks_and_faults_and_stays_the_same_when_it_is_written_out(name):
    scenario = Scenario.load("own.toml")
    assert scenario.factory_class().__name__ == "Factory"
    again = scenario.with_settings({"faults.0.depth": 2.0, "users": 7})
    assert (again.faults[0].depth, again.faults[0].name) == (2.0, f"{name}:Stalled")
    assert Scenario.from_mapping(msgspec.to_builtins(again)) == again
    done = run("simulate", "own.toml", "--format", "json")
    assert checks_of(done) | {"few-events": "passed", "faults-acted": "passed"} == checks_of(done)


def test_worker_processes_simulate_them_and_the_result_is_that_of_one_process(name):
    digests = []
    for jobs in (1, 2):
        words = ("--set", "users=[3,4]", "--seeds", 1, "--jobs", jobs, "-o", f"sweep{jobs}", "--format", "json")
        rows = json.loads(run("sweep", "own.toml", *words).stdout)["simulations"]
        assert [row["few-events"] for row in rows] == ["passed", "passed"]
        digests.append([row["digest"] for row in rows])
    assert digests[0] == digests[1]


def test_a_search_repeats_its_failure_by_a_command_that_names_them(name):
    done = run("explore", "own.toml", "--set", "agents.think.median=1.0", "--set", "checks=[]", "--set",
               "limits.agent_seconds=0.5", "--seeds", 1, "--jobs", 1, "--format", "json")  # fmt: skip
    failure = json.loads(done.stdout)["failure"]
    assert failure["scenario"]["factory"] == f"{name}:Factory"
    assert failure["replay"].startswith("netra-sim simulate own.toml --seed 1 ")


def test_a_notebook_of_the_report_finds_them_from_its_own_folder(name, tmp_path):
    done = run("report", "--notebook", "explorer", "-p", "explorer.scenarios", "own.toml", "--users", 5,
               "-p", "explorer.settings", "objectives.delivered=0.9", "-o", "pages")  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    assert "NO VERDICT" not in done.output
    assert "own.toml" in (tmp_path / "pages" / "explorer.html").read_text("utf-8")


def test_a_changed_module_makes_other_cells_of_a_sweep(name, tmp_path):
    (cell,), (plain,) = cells(Scenario.load("own.toml"), {}, [1]), cells(Scenario(users=2), {}, [1])
    before = cell.name, plain.name
    with (tmp_path / f"{name}.py").open("a") as file:
        file.write("# another agent\n")
    assert cell.name != before[0]
    assert plain.name == before[1]


def test_a_folder_of_modules_can_be_named(name, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / f"far_{name}.py").write_text(MINE.replace("NAME", f"far_{name}"))
    with pytest.raises(OwnCodeError, match="there is no module far_"):
        own_class(f"far_{name}:Factory", ExecutionEngineFactory, "factory")
    monkeypatch.setenv(MODULES, f"{tmp_path}{os.pathsep}{other}")
    assert own_class(f"far_{name}:Factory", ExecutionEngineFactory, "factory").__name__ == "Factory"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--factory", "NAME:Factry"), "factory is 'NAME:Factry', and the module NAME has no Factry; did you mean Factory?"),
        (("--factory", "NAME"), "factory is 'NAME'; code of your own is MODULE:"),
        (("--factory", "nowhere:X"), "factory is 'nowhere:X', and there is no module nowhere in "),
        (("--factory", "NAME:Advisor"), "which is no subclass of netra_sim.factory.ExecutionEngineFactory"),
        (("--factory", "NAME:TakesLess"), "which cannot be made: got an unexpected keyword argument 'pipeline'; it is"),
        (("--factory", "NAME:TakesMore"), "which cannot be made: missing a required argument: 'database'; it is"),
        (("--factory", "broken:X"), "factory is 'broken:X', which cannot be imported: SyntaxError: "),
        (("--factory", "needy:X"), "cannot be imported: ModuleNotFoundError: No module named 'not_there'"),
        (("--check", "NAME:Factory"), "check is 'NAME:Factory', which is no netra_sim.checks.Check"),
        (("--check", "NAME:taken"), "its name 'latency' is taken; choose another"),
        (("--set", 'faults=[{kind="NAME:Stall"}]'), "faults[0].kind is 'NAME:Stall', and the module NAME has no Stall"),
        (("--set", 'faults=[{kind="NAME:Untagged"}]'), 'd(LineFault, frozen=True, kw_only=True, tag="NAME:Untagged")'),
        (("--set", 'faults=[{kind="NAME:Stalled", deep=1}]'), "did you mean depth?"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_the_reason_before_anything_runs(name, tmp_path, words, says):
    (tmp_path / "broken.py").write_text("class (")
    (tmp_path / "needy.py").write_text("import not_there")
    done = run("simulate", *(word.replace("NAME", name) for word in words))
    assert done.exit_code == 2
    assert says.replace("NAME", name) in done.stderr
    assert not (tmp_path / "history.parquet").exists()


def test_a_system_under_test_takes_no_factory(name):
    with pytest.raises(ScenarioError, match="does not use a factory"):
        Scenario.from_mapping({"factory": f"{name}:Factory", "system": {"app": "a:b"}, "client": {"kind": "ag-ui"}})


def test_an_object_is_of_its_class(name):
    assert own_object(f"{name}:few_events", Check, "check").name == "few-events"


AT_IMPORT = "raise SystemExit(0)\n"
IN_THE_CHECK = """from netra_sim.checks import define


@define("leaves", question="Does it end?", unit="runs")
def look(records, objectives):
    raise SystemExit(0)
"""


@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        (AT_IMPORT, 2, "cannot be imported: SystemExit: 0"),
        (IN_THE_CHECK, 3, "the check leaves raised SystemExit: 0 (leaving.py:6)"),
    ],
    ids=["at import", "in the check"],
)
def test_code_that_ends_the_program_is_never_a_success(tmp_path, code, exit_code, says):
    (tmp_path / "leaving.py").write_text(code)
    command = [sys.executable, "-m", "netra_sim", "simulate", "--users", "2", "--check", "leaving:look"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stderr
    assert says in done.stderr


BROKEN = """from netra_sim.checks import Finding, Measurement, Observation, define


@define("breaks", question="Does it answer?", unit="runs")
def look(records, objectives):
    return VALUE


@define("passes", question="Does it answer?", unit="runs")
def answer(records, objectives):
    return Observation(looked_at=1)
"""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("1 / 0", "the check breaks raised ZeroDivisionError: division by zero (MODULE.py:6)"),
        ("(one for one in ()).throw(BaseException('odd'))", "the check breaks raised BaseException: odd"),
        (
            "(one for one in ()).throw(type('Odd', (Exception,), {'__str__': lambda self: 1 / 0}))",
            "Odd: <exception str() failed>",
        ),
        ("None", "the check breaks returned None; it returns an Observation"),
        ("type('Odd', (), {'__repr__': lambda self: 1 / 0})()", "the check breaks returned <Odd instance"),
        ("Observation(looked_at=float('nan'))", "returned a wrong looked_at: expected a whole number, and got "),
        ("Observation(looked_at=True)", "returned a wrong looked_at: expected a whole number, and got true or false"),
        ("Observation(looked_at=-1)", "returned a wrong looked_at: expected a whole number >= 0"),
        ("Observation(looked_at=1, found=-1)", "returned a wrong found: expected a whole number >= 0"),
        ("Observation(looked_at=1, found='2')", "returned a wrong found: expected a whole number, and got a text"),
        ("Observation(looked_at=1, found=1, findings=['late'])", "returned a wrong findings[0]: expected a table"),
        (
            "Observation(looked_at=1, found=1, findings=(Finding(message=5),))",
            "returned a wrong findings[0].message: ",
        ),
        (
            "Observation(looked_at=1, findings=(Finding(message='late'),))",
            "returned found=0 beside 1 in findings; found counts all",
        ),
        ("Observation(looked_at=1, measured={'time': 0.5})", "returned a wrong measured[...]: expected a table"),
        ("Observation(looked_at=1, measured=5)", "returned a wrong Observation: "),
        ("Observation(looked_at=1, inconclusive=None)", "returned a wrong inconclusive: expected a text in quotes"),
    ],
)
def test_a_check_that_breaks_has_not_passed_and_costs_no_result_of_the_others(name, tmp_path, value, says):
    module = f"checks_of_{name}"
    (tmp_path / f"{module}.py").write_text(BROKEN.replace("VALUE", value))
    checks = ("--check", f"{module}:look", "--check", f"{module}:answer")
    done = run("simulate", "--users", 2, *checks, "--format", "json")
    assert says.replace("MODULE", module) in str(done.exception)
    assert checks_of(done) | {"passes": "passed", "delivery": "passed"} == checks_of(done)
    assert "breaks" not in checks_of(done)
    assert json.loads(done.stdout)["exit_code"] == 3


def test_a_check_that_breaks_is_an_error_for_other_programs_and_of_a_search(name, tmp_path):
    module = f"checks_of_{name}"
    (tmp_path / f"{module}.py").write_text(BROKEN.replace("VALUE", "None"))
    assert run("simulate", "--users", 2).exit_code == 0
    done = run("check", "history.parquet", "--check", f"{module}:look", "--format", "junit")
    assert isinstance(done.exception, CheckError)
    assert '<error message="returned None; it returns an Observation"' in done.stdout
    searched = run("explore", "--users", 2, "--seeds", 2, "--check", f"{module}:look")
    assert isinstance(searched.exception, CheckError)

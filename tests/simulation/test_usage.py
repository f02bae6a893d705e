"""`netra-sim simulate`, `scenarios` and `sweep`: wrong usage is refused before anything runs."""

import json

import pytest
from click.testing import CliRunner

from netra_sim.cli.group import cli


def said(*arguments):
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "--set", "users"], "'users': there is no ="),
        (["simulate", "--set", "users=many"], "users: many is no number"),
        (["simulate", "--set", 'expect=["latancy"]'], "there is no check 'latancy'; there are cross-user-isolation"),
        (["simulate", "-o", "folder"], "'folder' is a directory"),
        (["scenarios", "steady-lod"], "did you mean steady-load?"),
        (["explore", "--seconds", "0"], "0.0 is not > 0"),
        (["sweep", "--set", "users=[]"], "users has no values to try; name one at least"),
        (["sweep", "--set", "users=[1]", "-o", "file"], "'file' is a file"),
    ],
)
def test_wrong_usage_exits_with_2_says_why_and_leaves_nothing_behind(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    code, output = said(*arguments)
    assert (code, message in output) == (2, True), output
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_one_scenario_can_be_run_by_itself():
    code, output = said("scenarios", "agent-crashes", "--run")
    assert code == 0
    assert [line.split() for line in output.splitlines() if "agent" in line] == [
        ["as", "expected", "agent-crashes", "fails:", "completion"]
    ]


def document(*words):
    done = CliRunner().invoke(cli, words)
    return done.exit_code, done.stdout


def test_the_runs_of_the_library_have_documents_for_other_programs():
    code, output = document("scenarios", "agent-crashes", "--run", "--format", "json")
    found = json.loads(output)
    assert (code, found["exit_code"], found["unexpected"]) == (0, 0, 0)
    assert [(one["scenario"], one["failed"]) for one in found["simulations"]] == [("agent-crashes", ["completion"])]


def test_the_library_is_a_document_too():
    _, output = document("scenarios", "--format", "json")
    assert "agent-crashes" in [one["name"] for one in json.loads(output)["scenarios"]]
    _, output = document("scenarios", "--faults", "--format", "json")
    assert "flapping" in [one["fault"] for one in json.loads(output)["faults"]]


def test_a_scenario_that_comes_out_otherwise_than_it_expects_is_a_failure_of_junit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('users = 2\nexpect = ["delivery"]\n')
    code, output = document("scenarios", "mine.toml", "--run", "--format", "junit")
    assert code == 1
    assert "it fails nothing, and delivery is expected to fail" in output

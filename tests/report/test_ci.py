"""The recipes for CI parse, and every command in them exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from netra_sim.cli.group import cli

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
RECIPE = (ROOT / "docs" / "ci.md").read_text("utf-8")
STEPS = WORKFLOW["jobs"]["report"]["steps"]
BLOCKS = re.findall(r"^```(?:sh|yaml)\n(.*?)^```", RECIPE, re.M | re.S)


def commands(text):
    """The arguments of each call of the command line, with those of the shell's "$@"."""
    kept = " ".join(re.findall(r"set -- (--[^;|\n]+)", text))
    lines = re.findall(r"python3 bootstrap\.py (.*)", text)
    return [shlex.split(line.split("||")[0].replace('"$@"', kept)) for line in lines]


@pytest.mark.parametrize(
    "arguments",
    [command for text in [*BLOCKS, *(step.get("run", "") for step in STEPS)] for command in commands(text)],
    ids=" ".join,
)
def test_every_command_of_the_recipes_parses(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    Path("base", "verdict.json").write_text("{}")
    name, *rest = arguments
    cli.get_command(None, name).make_context(name, rest)


def test_the_recipe_has_a_valid_gitlab_job_that_keeps_the_report_always():
    job = yaml.safe_load(next(block for block in BLOCKS if "artifacts:" in block))["validation"]
    assert job["artifacts"]["when"] == "always"
    assert "report" in job["artifacts"]["paths"]


def test_the_workflow_keeps_and_shows_the_report_whatever_its_outcome():
    after = STEPS[[step.get("name") for step in STEPS].index("Write the report") + 1 :]
    assert len(after) == 5
    assert all(str(step["if"]).startswith("always()") for step in after)
    kept = [step["with"]["path"] for step in after if "upload-artifact" in step.get("uses", "")]
    assert kept == ["report", "report/junit.xml"]


def test_only_the_report_job_has_write_permissions_and_only_those_it_needs():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in WORKFLOW["jobs"]["test"]
    rights = WORKFLOW["jobs"]["report"]["permissions"]
    assert {name for name, right in rights.items() if right == "write"} == {"security-events", "pull-requests"}


def test_no_text_of_a_pull_request_is_pasted_into_a_script():
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


def test_a_report_annotates_the_pull_request_with_headline_and_reasons(tmp_path):
    words = ["--notebook", "concurrency", "-p", "most_users", "20", "-p", "loads", "2", "-p", "seeds", "1"]
    words += ["-p", "delivery_p95", "0.001", "--format", "github"]
    done = CliRunner().invoke(cli, ["report", *words, "-o", str(tmp_path / "report")])
    assert done.exit_code == 1, done.output
    *errors, headline = done.stdout.splitlines()
    assert errors
    assert all(line.startswith("::error title=report%3A NO-GO::concurrency: ") for line in errors)
    assert headline.startswith("::notice title=netra-sim report::NO-GO: ")

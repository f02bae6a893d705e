"""`netra-sim audit`: its formats and exit codes."""

import json
import re
import subprocess
import sys

import pytest

from netra_sim.audit import RULES

PATCH = "import asyncio\nasyncio.sleep = None\n"


def command(*arguments, folder):
    done = subprocess.run(
        [sys.executable, "-m", "netra_sim", "audit", *map(str, arguments)], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bad,name.py").write_text(PATCH)
    return tmp_path


def test_findings_exit_with_1_and_a_clean_tree_with_0(folder):
    code, out, _ = command("bad,name.py", folder=folder)
    assert code == 1
    assert "bad,name.py:2:1: NS103 patched-asyncio: asyncio.sleep is replaced for the whole process." in out
    (folder / "bad,name.py").write_text("import asyncio\n")
    code, out, _ = command(".", folder=folder)
    assert code == 0
    assert "no finding in 1 file," in out


def test_wrong_usage_exits_with_2(folder):
    assert command("missing", folder=folder)[0] == 2
    assert command(folder=folder)[0] == 2
    assert command(".", "--format", "xml", folder=folder)[0] == 2
    (folder / "pyproject.toml").write_text("[tool.netra-sim.audit]\nwrong = 1\n")
    code, _, error = command(".", folder=folder)
    assert code == 2
    assert "wrong" in error


def test_an_unwritable_output_is_refused_before_anything_runs(folder):
    assert command(".", "-o", "bad,name.py/x", folder=folder)[0] == 2


def test_sarif_names_rule_file_line_and_column(folder):
    code, out, _ = command(".", "--format", "sarif", "-o", "found.sarif", folder=folder)
    assert (code, out) == (1, "")
    document = json.loads((folder / "found.sarif").read_text())
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "bad%2Cname.py"}, "region": {"startLine": 2, "startColumn": 1}}
    rules = run["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "NS103"


def test_json_has_findings_and_counts(folder):
    document = json.loads(command(".", "--format", "json", folder=folder)[1])
    assert [one["rule"] for one in document["findings"]] == ["NS103"]
    assert {one["rule"] for one in document["counts"]} == {rule.id for rule in RULES.values()}


def test_annotations_are_escaped_for_github(folder):
    out = command(".", "--format", "github", folder=folder)[1]
    assert re.fullmatch(
        r"::error file=bad%2Cname\.py,line=2,col=1,title=NS103 patched-asyncio::asyncio\.sleep .*\n", out
    )


def test_rules_are_listed_with_their_questions(folder):
    code, out, _ = command("--rules", folder=folder)
    assert code == 0
    assert all(f"{rule.id} {rule.name}: {rule.question}" in out for rule in RULES.values())

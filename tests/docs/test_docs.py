"""The README and the documents are correct: the tests run every command and script in them."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from walkthrough import ROOT, DocumentError, Reader, blocks, check_options, commands, follow

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLLOWED = [path for path in DOCUMENTS if path.name != "ci.md"]  # ci.md has whole reports only, and scripts of a shell


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Follow all documents, two at a time: starting Python takes most of the time."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            path: pool.submit(follow, path.read_text("utf-8"), tmp_path_factory.mktemp(path.stem)) for path in FOLLOWED
        }


def test_the_recipes_for_ci_have_no_option_that_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "verdict.json").write_text("{}")
    recipes = "".join(block.text for block in blocks((ROOT / "docs" / "ci.md").read_text("utf-8")))
    reports = re.findall(r"python3 bootstrap\.py (report[^\"|\n]*)", recipes)
    assert len(reports) >= 3
    for line in reports:
        check_options(line.split())


def test_the_event_logs_commands_find_what_the_document_says(tmp_path):
    text = (ROOT / "docs" / "event-log.md").read_text("utf-8")
    record = json.loads(next(block.text for block in blocks(text) if block.language == "json"))
    by_options, by_file = re.findall(r"^netra-sim (check .*)$", text, re.M)
    said = re.search(r"`(bob received .*?)`", text)[1]

    def found(command, *records):
        (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, records)))
        return Reader(tmp_path).run(f".venv/bin/netra-sim {command}", "exits with 1")

    first = record | {"user": "alice", "seq": 0, "time": "2025-09-09T12:00:00Z"}
    assert said in found("check events.jsonl", record, first)
    theirs = [
        one | {"recipient": {"id": one["user"]}, "run": {"id": one["run"], "owner": one["owner"]}, "owner": "nobody"}
        for one in (record, first)
    ]
    assert said in found(by_options, *theirs)
    (tmp_path / "ours.toml").write_text(next(block.text for block in blocks(text) if block.language == "toml"))
    others = {"recipient": {"id": "bob"}, "context": {"run_id": "run-17"}, "action": "push", "event": "done"}
    assert "bob received agent_completed of alice's run" in found(by_file, others | {"owner": "alice"})


def test_ci_runs_the_two_commands_that_these_tests_skip():
    readme = (ROOT / "README.md").read_text("utf-8")
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    first = next(block for block in blocks(readme) if block.language == "sh")
    assert {command for command, _ in commands(first.text)} == {
        "python3 bootstrap.py report",
        "python3 bootstrap.py test",
    }
    assert "python3 bootstrap.py report" in ci
    assert "bash .ci/run" in ci
    assert "python3 bootstrap.py test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_document_can_be_reached_from_the_readme():
    seen, to_read = set(), [ROOT / "README.md"]
    while to_read:
        path = to_read.pop()
        if path.suffix == ".md" and path not in seen:
            seen.add(path)
            links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8"))
            to_read += [(path.parent / link).resolve() for link in links]
    assert set(DOCUMENTS) <= seen


BROKEN = {
    "another exit code": "```sh\n.venv/bin/netra-sim --version  # exits with 1\n```\n",
    "a command before it is on the path": "```sh\nnetra-sim --version\n```\n",
    "another output": "```sh\n.venv/bin/netra-sim --version\n```\n```text\nversion 99\n```\n",
    "an output of nothing": "```text\nversion 99\n```\n",
    "a parameter that the report does not have": "```sh\npython3 bootstrap.py report -p usres 5\n```\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_wrong_document_is_caught(text, tmp_path):
    with pytest.raises(DocumentError, match=r"^line \d: "):
        follow(text, tmp_path)


@pytest.mark.parametrize("path", FOLLOWED, ids=lambda path: path.name)
def test_every_command_and_script_of_a_document_does_what_it_says(path, followed):
    followed[path].result()

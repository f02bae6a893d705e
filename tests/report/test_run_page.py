"""`--html FILE`: the page of one run."""

import json
import re

import pytest
from click.testing import CliRunner
from pages import Page

from netra_sim.cli.group import cli


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, list(map(str, words)))


def test_a_run_gets_a_page_with_its_figures_its_pictures_and_its_slowest_request(run, tmp_path):
    done = run("simulate", "stalled-sockets", "--seed", 7, "--html", "one.html")
    assert done.exit_code == 1, done.output
    assert "Page: one.html" in done.stdout
    page = Page(tmp_path / "one.html")
    for words in (
        "FAILED",
        "Some clients stop reading for 15 s",
        "stalled-socket from 6 s for 15 s",
        "40, of which 40 were",
    ):
        assert words in page.text
    assert "p95: 12.1 s > 100 ms" in page.text
    assert len(page.images) == 5
    assert all(image["alt"] for image in page.images)
    assert any(image["alt"].startswith("Timeline of the run") for image in page.images)
    assert not page.unbalanced
    assert all(load.startswith("data:") for load in page.loads)
    assert "no step cost: CPU takes no time in this simulation" in page.text
    told = "Messages arrived late: 2.15 s on average, promised 100 ms, and 12.1 s for 95 of 100, promised 100 ms"
    assert (
        page.text.index(told)
        < page.text.index("latency: delivery of events: mean is")
        < page.text.index("What was run")
    )
    done = run("check", "history.parquet", "--html", "two.html")
    assert Page(tmp_path / "two.html").images == page.images


@pytest.mark.parametrize(("told", "shown"), [("", "mine"), ('description = "Two users ask."', "mine: Two users ask.")])
def test_a_page_tells_a_scenario_by_its_own_words_only(run, tmp_path, told, shown):
    (tmp_path / "mine.toml").write_text(f'name = "mine"\nusers = 2\n{told}\n', "utf-8")
    done = run("simulate", "mine.toml", "--html", "mine.html")
    assert "Page: mine.html" in done.stdout, done.output
    assert f"Scenario {shown} Users" in " ".join(Page(tmp_path / "mine.html").text.split())


def test_the_page_of_a_log_has_what_the_log_can_show(run, tmp_path):
    event = {"user": "<b>bob", "owner": "alice", "run": "r", "event": "agent_started"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event))
    assert run("check", "events.jsonl", "--html", "log.html").exit_code == 1
    page = Page(tmp_path / "log.html")
    assert "<b>bob received agent_started of alice's run" in page.text
    assert len(page.images) == 1
    assert not page.unbalanced


def test_a_page_of_a_load_run_says_that_its_times_are_real(run, tmp_path):
    done = run("load", "--users", 5, "--window", 0.2, "--html", "load.html")
    assert done.exit_code in (0, 1), done.output
    page = Page(tmp_path / "load.html")
    assert "a load run, in real time" in page.text
    assert re.search(r"Times are real and hold for this machine", page.text)

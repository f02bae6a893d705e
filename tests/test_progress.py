"""A long command says how far it is: in a log by whole lines, in a terminal by a bar that moves."""

import os
import re
import subprocess
import sys
from threading import Event

import pytest
from click.testing import CliRunner

from netra_sim.cli import progress
from netra_sim.cli.group import cli

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_heartbeat_says_what_is_done_and_what_runs_and_for_how_long():
    clock, said = Clock(), []
    shown = progress.Progress(68, "notebook cells", said.append, clock)
    shown.begin("validation", "cell 1 of 12")
    clock.now = 100.0
    shown()
    shown.begin("validation", "cell 2 of 12")
    shown.begin("isolation", "cell 1 of 6")
    clock.now = 230.0
    assert shown.counted() == "notebook cells: 1 of 68, 3 min 50 s"
    assert shown.running() == "validation: cell 2 of 12, 2 min 10 s; isolation: cell 1 of 6, 2 min 10 s"
    shown.end("isolation", "is done")
    assert shown.running() == "validation: cell 2 of 12, 2 min 10 s"
    assert said == ["validation begins", "isolation begins", "isolation is done; notebook cells: 1 of 68, 3 min 50 s"]


def test_a_long_command_says_in_a_log_again_and_again_what_runs(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.001)
    beat, say = Event(), progress.click.echo

    def echo(line, err):
        say(line, err=err)
        beat.set()

    monkeypatch.setattr(progress.click, "echo", echo)
    with progress.progress(10, "seeds") as shown:
        shown()
        shown.now("seed 2")
        beat.clear()
        assert beat.wait(60)
        beat.clear()
        assert beat.wait(60)
    written = capsys.readouterr().err
    assert re.search(r"^seeds: 1 of 10, 0 s; seed 2, 0 s$", written, re.M)
    assert not CONTROL.search(written)


def test_a_report_says_in_a_log_which_notebook_begins_and_ends_and_counts_every_cell_once(tmp_path):
    words = ["--notebook", "concurrency", "-p", "most_users", "4", "-p", "loads", "2", "-p", "seeds", "1"]
    done = CliRunner().invoke(cli, ["report", *words, "-o", str(tmp_path / "report")])
    lines = done.stderr.splitlines()
    assert lines[0] == "concurrency begins"
    found = re.search(r"^concurrency is done; notebook cells: (\d+) of (\d+), .* s$", done.stderr, re.M)
    assert found, done.stderr
    assert found[1] == found[2]
    assert not CONTROL.search(done.stderr)


@pytest.mark.parametrize(
    "words",
    [["simulate", "--users", "3"], ["explore", "--users", "3", "--seeds", "3", "--jobs", "1"]],
)
def test_a_short_command_writes_nothing_but_its_result(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, words).stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal of POSIX")
def test_in_a_terminal_there_is_a_bar():
    import pty
    import termios

    own, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    words = [sys.executable, "-m", "netra_sim", "explore", "--users", "3", "--seeds", "3", "--jobs", "1"]
    with subprocess.Popen(words, stderr=theirs, stdout=subprocess.DEVNULL):
        os.close(theirs)
        shown = os.read(own, 1000).decode()
    os.close(own)
    assert "seeds" in shown
    assert "\r" in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["sweep", "steady-load", "--set", "users=[2, 3]", "--seeds", "2", "-o", "swept"],
            ["users=2, seed 1", "users=2, seed 2", "users=3, seed 1", "users=3, seed 2"],
        ),
        (["capacity", "steady-load", "--from", "1", "--to", "2"], ["1 user", "2 users"]),
        (["load", "--users", "1", "--window", "0.1"], ["no answer yet", "since the last answer"]),
    ],
    ids=["sweep", "capacity", "load"],
)
def test_a_long_command_names_what_it_is_at(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    monkeypatch.setattr(progress.Progress, "now", lambda self, what: said.append(what))
    done = CliRunner().invoke(cli, words)
    assert said == told, done.output

"""A command that runs code of one's own ends as it should, however that code, a signal or a reader ends a process."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")

PROGRAMS = """
import asyncio, atexit, ctypes, multiprocessing, os, signal, sys, time
import netra_sim
from netra_sim.checks import Observation, define

print("printed by an import")
os.write(1, b"written by an import\\n")


async def good():
    print("printed by a program")


async def waits():
    open("began", "w").write(str(os.getpid()))
    while True:
        time.sleep(0.01)
        await asyncio.sleep(0)


async def exits():
    os._exit(0)


async def exits_in_c():
    ctypes.CDLL(None)._exit(0)


async def becomes_another_program():
    os.execv(sys.executable, [sys.executable, "-c", "pass"])


async def exits_at_the_end():
    atexit.register(os._exit, 0)


async def crashes():
    ctypes.string_at(0)


async def kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)


async def exits_in_a_worker():
    if multiprocessing.parent_process() is not None:
        os._exit(0)
    time.sleep(0.4)


class Leaver:
    name = "leaver"

    async def run(self, session):
        os._exit(0)


class Factory(netra_sim.ExecutionEngineFactory):
    def __init__(self, **settings):
        super().__init__(**settings | {"pipeline": lambda context: [[Leaver()]]})


@define("prints", question="Does it print?", unit="runs")
def prints(records, objectives):
    print("printed by a check")
    return Observation(looked_at=1)


@define("leaves", question="Does it leave?", unit="runs")
def leaves(records, objectives):
    os._exit(0)
"""


@pytest.fixture
def netra_sim(tmp_path):
    """Starts a command in a folder with code of one's own."""
    (tmp_path / "mine.py").write_text(PROGRAMS, encoding="utf-8")

    environment = os.environ | {"PYTHONUNBUFFERED": ""}  # output waits in a buffer, as it does by default

    def start(*words, **settings):
        command = [sys.executable, "-m", "netra_sim", *words]
        settings = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": tmp_path,
            "env": environment,
        } | settings
        return subprocess.Popen(command, **settings)

    return start


@pytest.mark.parametrize(
    ("words", "how"),
    [
        (["explore", "mine.py:exits"], "with the exit code 0"),
        (["explore", "mine.py:exits_in_c"], "with the exit code 0"),
        (["explore", "mine.py:exits_at_the_end", "--seeds", "2"], "with the exit code 0"),
        (["explore", "mine.py:becomes_another_program"], "with the exit code 0"),
        (["explore", "mine.py:crashes"], "of SIGSEGV"),
        (["explore", "mine.py:kills_itself"], "of SIGKILL"),
        (["explore", "--factory", "mine:Factory", "--users", "2", "--seeds", "1"], "with the exit code 0"),
        (["simulate", "--factory", "mine:Factory", "--users", "2"], "with the exit code 0"),
        (["simulate", "--check=mine:leaves", "--users", "2"], "with the exit code 0"),
    ],
)
def test_a_process_that_own_code_ends_is_no_success(netra_sim, words, how):
    out, err = (process := netra_sim(*words)).communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert f"its process ended {how} before there was a result" in err


def test_a_worker_process_that_own_code_ends_is_no_success(netra_sim):
    out, err = (process := netra_sim("explore", "mine.py:exits_in_a_worker", "--jobs", "2")).communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert "a worker process died with the exit code 0 before its work was done" in err


@pytest.mark.parametrize(
    ("words", "code"), [(["explore", "mine.py:good", "--seeds", "3"], 0), (["explore", "x.py:y"], 2)]
)
def test_the_second_process_gives_the_command_its_exit_code(netra_sim, words, code):
    out, err = (process := netra_sim(*words)).communicate(timeout=60)
    assert (process.returncode, "its process ended" in err) == (code, False), out + err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_a_signal_interrupts_the_second_process(netra_sim, tmp_path, sent):
    process = netra_sim("explore", "mine.py:waits")
    second = begun(tmp_path)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in err) == (3, True), err
    assert not Path(f"/proc/{second}").exists()


def test_the_second_process_ends_with_the_first(netra_sim, tmp_path):
    process = netra_sim("explore", "mine.py:waits")
    begun(tmp_path)
    process.kill()
    process.communicate(timeout=60)  # until the second process, which has the pipes as well, has ended


def begun(folder):
    """The number of the second process, once its program waits."""
    while not (folder / "began").exists() or not (number := (folder / "began").read_text()):
        time.sleep(0.01)
    return int(number)


@pytest.mark.parametrize(
    "words",
    [
        ["explore", "mine.py:good", "--seeds", "3"],
        ["simulate", "--check", "mine:prints", "--users", "2"],
    ],
)
@pytest.mark.parametrize("form", ["json", "junit", "github"])
def test_a_document_is_all_that_stands_on_standard_output(netra_sim, words, form):
    out, err = (process := netra_sim(*words, "--format", form)).communicate(timeout=60)
    assert process.returncode == 0, err
    match form:
        case "json":
            assert json.loads(out)["command"] == words[0]
        case "junit":
            assert ET.fromstring(out).tag == "testsuites"
        case "github":
            assert [line[:8] for line in out.splitlines()] == ["::notice"]
    assert "printed by an import" in err
    assert "written by an import" in err


def test_a_text_has_what_own_code_prints_among_it(netra_sim):
    out, err = netra_sim("explore", "mine.py:good", "--seeds", "3").communicate(timeout=60)
    assert "printed by a program" in out, err


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_no_file_goes_where_the_document_is_printed(netra_sim, option):
    words = ["simulate", "--users", "2", option, "/dev/stdout", "--format", "json"]
    out, err = (process := netra_sim(*words)).communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert "/dev/stdout is where --format prints its document; name a file" in err


@pytest.mark.parametrize(
    "words",
    [
        ["explore", "mine.py:good", "--seeds", "3"],
        ["simulate", "--users", "2"],
        ["simulate", "--users", "2", "--format", "json"],
        ["sweep", "--set", "users=[2]", "--seeds", "2", "--jobs", "2"],
        ["scenarios"],
        ["simulate", "--help"],
    ],
)
@pytest.mark.parametrize("errors", [subprocess.PIPE, subprocess.STDOUT], ids=["output", "output and errors"])
def test_a_reader_that_goes_away_ends_the_command_quietly(netra_sim, words, errors):
    reading, writing = os.pipe()
    os.close(reading)
    process = netra_sim(*words, stdout=writing, stderr=errors)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141, err
    assert "broke" not in (err or "")

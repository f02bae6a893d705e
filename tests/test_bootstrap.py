"""`bootstrap.py` says how far setting up is, and passes Ctrl+C and SIGTERM to what it runs, which ends in good order."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import os, signal, sys, time
def stop(number, _):
    time.sleep(0.6)  # longer than subprocess.call waits for a child before it kills it
    os.write(1, f"ended by {signal.Signals(number).name}\\n".encode())  # print() may be at work where the signal came
    sys.exit(3)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
WAIT_FOR = f"import bootstrap, sys; sys.exit(bootstrap.wait_for([sys.executable, '-c', {PROGRAM!r}]))"
REPLACED_BY = """
import bootstrap, pathlib, sys
bootstrap.is_set_up = lambda: True
bootstrap.PYTHON = pathlib.Path(sys.argv[1]) / "python"
bootstrap.main(["report"])
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows cannot send a signal to one process")


def ended_by(words, number, *, whole_group):
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    (os.killpg if whole_group else os.kill)(process.pid, number)
    rest, _ = process.communicate(timeout=30)
    return rest, process.returncode


@pytest.mark.parametrize(("name", "whole_group"), [("SIGINT", True), ("SIGTERM", False)])
def test_it_waits_until_what_it_runs_has_ended(name, whole_group):
    words = [sys.executable, "-c", WAIT_FOR]
    assert ended_by(words, getattr(signal, name), whole_group=whole_group) == (f"ended by {name}\n", 3)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_gets_the_signals_that_bootstrap_gets(name, tmp_path):
    program = tmp_path / "netra-sim"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}", encoding="utf-8")
    program.chmod(0o755)
    words = [sys.executable, "-c", REPLACED_BY, str(tmp_path)]
    assert ended_by(words, getattr(signal, name), whole_group=False) == (f"ended by {name}\n", 3)


def test_a_command_keeps_compiled_modules_for_the_processes_after_it(tmp_path):
    program = tmp_path / "netra-sim"
    program.write_text(f"#!{sys.executable}\nimport sys; print(sys.dont_write_bytecode)", encoding="utf-8")
    program.chmod(0o755)
    words = [sys.executable, "-c", REPLACED_BY, str(tmp_path)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True).stdout == "False\n"


STEPS = """
import bootstrap, sys
bootstrap.HEARTBEAT = 0.01
def told(line, kept=[]):
    print(line, flush=True)
    kept.append(line)
    if "so far" in line and sum("so far" in one for one in kept) == 2:
        open("go", "w").close()
bootstrap.say = told
waits = "import os, time\\nwhile not os.path.exists('go'): time.sleep(0.01)"
sys.exit(bootstrap.run_step("2 of 3: install", (sys.executable, "-c", waits)))
"""


def test_a_long_step_of_setting_up_says_that_it_goes_on(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", STEPS], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *heartbeats, last = done.stdout.splitlines()
    assert first == "2 of 3: install"
    assert len(heartbeats) >= 2
    assert all(re.fullmatch(r"2 of 3: install: \d+ s so far", line) for line in heartbeats)
    assert re.fullmatch(r"2 of 3: install: done after \d+ s", last)

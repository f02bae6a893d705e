"""`netra-sim load`: its exit codes, and that an interrupted load run leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netra_sim.history import History

SMALL = ["load", "--users", "20", "--window", "0.1", "--step", "0.01"]
LENIENT = [f"--objective={name}=60.0" for name in ("delivery_mean", "delivery_p95", "first_event_p95")]
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")


def netra_sim(*arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, "-c", "from netra_sim.cli import main; main()", *arguments],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (LENIENT, 0, "passed  latency"),
        ([*LENIENT, "--objective=delivery_p95=1e-9"], 1, "  latency: "),
        (["--users=3", *LENIENT], 1, "not judged, though objectives were given: latency"),
        (["--objective=delivery_p95=nan"], 2, "delivery_p95"),
        (["--objective=bogus=1"], 2, "bogus"),
        (["--runs=9"], 2, "take a window of at least"),
    ],
)
def test_the_exit_code_tells_whether_the_objectives_were_met(tmp_path, options, code, expected):
    out, err = (process := netra_sim(*SMALL, *options, cwd=tmp_path)).communicate()
    assert (process.returncode, expected in out + err) == (code, True), out + err


def test_the_objectives_are_kept_with_the_history(tmp_path):
    netra_sim(*SMALL, "--objective=delivery_p95=0.25", cwd=tmp_path).communicate()
    assert History.load(tmp_path / "history.parquet").meta["objectives"]["delivery_p95"] == 0.25


@needs_proc
@pytest.mark.parametrize(("how", "code"), [("SIGINT", 3), ("SIGTERM", 3), ("SIGKILL", -9)])
def test_an_interrupted_load_leaves_neither_clients_nor_files(tmp_path, how, code):
    process = netra_sim("load", "--users", "40", "--window", "300", cwd=tmp_path)
    clients = until(lambda: children(process.pid))[0]
    until(lambda: len(os.listdir(f"/proc/{clients}/fd")) > 40)  # they have connected
    process.send_signal(getattr(signal, how))
    _, err = process.communicate()
    assert process.returncode == code, err
    until(lambda: is_gone(clients))
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_killed_clients_make_the_command_exit_with_3(tmp_path):
    process = netra_sim("load", "--users", "40", "--window", "300", cwd=tmp_path)
    clients = until(lambda: children(process.pid))[0]
    until(lambda: len(os.listdir(f"/proc/{clients}/fd")) > 40)
    os.kill(clients, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 3
    assert "the clients' process died before the load run was over; its exit code is -9" in err
    assert list(tmp_path.iterdir()) == []


def until(condition):
    """Wait until the condition is true, and return its value."""
    for _ in range(6000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("the condition never became true")


def children(pid):
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True

"""A program that gets Ctrl+C must end of it, and leave no process."""

import os
import signal
import subprocess
import sys
import time


def assert_ctrl_c_leaves_no_process(script):
    """Interrupt a Python script after its first line of output, with all its processes, as a terminal does."""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
        ends = time.monotonic() + 10
        while is_alive(process.pid) and time.monotonic() < ends:
            time.sleep(0.1)
        assert not is_alive(process.pid)


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

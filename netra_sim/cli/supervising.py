"""Runs a command in a second process, so that code of one's own that ends its process is no success of the command."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from netra_sim.exit_code import CLOSED_PIPE, ExitCode
from netra_sim.runtime.stopping import STOP_SIGNALS

_SUPERVISED = "NETRA_SIM_SUPERVISED"
"""The environment variable of the second process: the pipe whose other end the first process has, or -1."""

_ENDED_ITSELF = 64
"""The bit by which the exit code of the second process differs from the command's: no other end gives such a code."""

_PLACE = re.compile(r"\.toml\Z|[\w\"']:[A-Za-z_]")
"""What names code of one's own: a scenario file, as it may have a system, or MODULE:NAME, or FILE.py:FUNCTION."""


def may_run_own_code(arguments: Sequence[str]) -> bool:
    """Whether a command judges code of one's own in its process. `serve` judges nothing."""
    return arguments[:1] != ["serve"] and any(map(_PLACE.search, arguments))


def exit_code_of_second_process(arguments: Sequence[str]) -> int:
    """Run a command in a second process, and return its exit code, or USAGE if something else ended the process.

    The second process has a fixed hash seed: in a system under test sets of texts may decide an order. It gets the signals
    that ask this process to stop, each once, and ends when this process dies in any way.
    """
    environment = os.environ | {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED") or "0"}
    is_posix = sys.platform != "win32"
    reading, writing = os.pipe()
    shares_ctrl_c = not is_posix or _is_in_front()
    with subprocess.Popen(  # noqa: S603 - this program itself
        [sys.executable, "-m", "netra_sim", *arguments],
        env=environment | {_SUPERVISED: str(reading if is_posix else -1)},
        pass_fds=(reading,) if is_posix else (),
        process_group=None if shares_ctrl_c else 0,
    ) as process:
        stops: list[int] = []

        def stop(number: int, _: object) -> None:
            stops.append(number)
            if number == signal.SIGTERM or not shares_ctrl_c:
                process.terminate()  # a command takes SIGTERM for Ctrl+C

        for number in STOP_SIGNALS:
            if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        os.close(reading)
        ended = process.wait()
        os.close(writing)
    code = ended ^ _ENDED_ITSELF
    if code in (*ExitCode, CLOSED_PIPE):
        return code
    if stops:
        sys.stderr.write("interrupted\n")
        return ExitCode.BROKE
    sys.stderr.write(f"netra-sim broke: {_told(ended)}\n")
    return ExitCode.USAGE


def is_second_process() -> bool:
    """Whether this process is the second one; it then ends when the first one is gone. A second call says no."""
    pipe = os.environ.pop(_SUPERVISED, "")
    if not pipe:
        return False
    import faulthandler

    faulthandler.enable()  # a crash says where it was
    if int(pipe) >= 0:
        os.set_inheritable(int(pipe), False)
        threading.Thread(target=_end_with_first_process, args=(int(pipe),), name="supervised", daemon=True).start()
    return True


def end_second_process(code: int) -> None:
    """End the second process with a code that the first one recognizes."""
    sys.exit(code ^ _ENDED_ITSELF)


def _end_with_first_process(pipe: int) -> None:
    os.read(pipe, 1)  # until its other end is closed
    os.kill(os.getpid(), signal.SIGKILL)


def _is_in_front() -> bool:
    """Whether a terminal sends its Ctrl+C to this process, and to those of its group."""
    for number in (0, 1, 2):
        try:
            return os.tcgetpgrp(number) == os.getpgrp()
        except OSError:  # no terminal
            continue
    return False


def _told(ended: int) -> str:
    how = f"with the exit code {ended}" if ended >= 0 else f"of {signal.Signals(-ended).name}"
    memory = "; SIGKILL also ends a process if the machine has no memory left" if ended == -9 else ""
    return (
        f"its process ended {how} before there was a result, so nothing was judged{memory}; the code under test, or a "
        "library that it calls, ends the process, as os._exit does: let it return, or raise an exception"
    )

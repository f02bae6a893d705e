"""Each row of the register of boundaries is tried for real: refused, recorded or virtual, as it says."""

import asyncio
import datetime
import logging
import os
import random
import secrets
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from functools import partial
from pathlib import Path

import pytest

from netra_sim.simulation.escapes import _CALLS, AUDITED
from netra_sim.simulation.hosts import clocks
from netra_sim.simulation.hosts.boundaries import (
    BOUNDARIES,
    TEMPORARY,
    WRITING,
    BoundaryError,
    Ruling,
    refusing_boundaries,
)
from netra_sim.simulation.hosts.machine import seeded_machine
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop

NOWHERE = str(Path(tempfile.gettempdir(), "netra-sim-boundary", "nothing"))


def with_socket(use):
    kind = socket.SOCK_DGRAM if use in ("sendto", "sendmsg") else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as one:
        address = ("127.0.0.1", 9)
        return getattr(one, use)(*{"sendto": (b"", address), "sendmsg": ([b""], [], 0, address)}.get(use, (address,)))


def temporary_files():
    with tempfile.TemporaryDirectory(), tempfile.NamedTemporaryFile() as named, tempfile.TemporaryFile() as unnamed:
        return named.write(b"x"), unnamed.write(b"x")


def utcnow():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12
        return datetime.datetime.utcnow()  # noqa: DTZ003


def thread_starts():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


LOOPS = []  # of `tried`

TRIALS = {
    "socket.connect": lambda: with_socket("connect"),
    "socket.bind": lambda: with_socket("bind"),
    "socket.sendto": lambda: with_socket("sendto"),
    "socket.sendmsg": lambda: with_socket("sendmsg"),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "socket.getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    "socket.gethostbyname": lambda: socket.gethostbyname("localhost"),
    "socket.gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
    "subprocess.Popen": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "os.system": lambda: os.system("true"),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.fork": lambda: os.fork() or os._exit(0),
    "os.forkpty": lambda: os.forkpty()[0] or os._exit(0),
    "os.exec": lambda: os.execv("/bin/false", ["false"]),
    "os._exit": lambda: os._exit(0),
    "asyncio.new_event_loop": lambda: asyncio.new_event_loop(),
    "asyncio.loop.stop": lambda: LOOPS[-1].stop(),
    "os.kill": lambda: os.kill(os.getpid(), signal.SIGCHLD),
    "os.killpg": lambda: os.killpg(os.getpgid(0), signal.SIGCHLD),
    WRITING: lambda: Path(NOWHERE).write_text(""),
    "os.mkdir": lambda: os.mkdir(NOWHERE),
    "os.rmdir": lambda: os.rmdir(NOWHERE),
    "os.remove": lambda: os.remove(NOWHERE),
    "os.rename": lambda: os.rename(NOWHERE, NOWHERE + "2"),
    "os.truncate": lambda: os.truncate(NOWHERE, 0),
    "os.link": lambda: os.link(NOWHERE, NOWHERE + "2"),
    "os.symlink": lambda: os.symlink(NOWHERE, NOWHERE),
    "os.chmod": lambda: os.chmod(NOWHERE, 0),
    "os.utime": lambda: os.utime(NOWHERE),
    TEMPORARY: temporary_files,
    "open": lambda: Path(__file__).read_bytes(),
    "os.listdir": lambda: os.listdir(),
    "os.scandir": lambda: os.scandir().close(),
    "sqlite3.connect": lambda: sqlite3.connect(":memory:").close(),
    "socket.__new__": lambda: socket.socket().close(),
    "socket.gethostname": lambda: socket.gethostname(),
    "_thread.start_new_thread": thread_starts,
    "time.sleep": lambda: (time.sleep(7), time.monotonic())[1],
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.localtime": lambda: time.localtime(),
    "time.gmtime": lambda: time.gmtime(),
    "time.ctime": lambda: time.ctime(),
    "time.strftime": lambda: time.strftime("%c"),
    "time.asctime": lambda: time.asctime(),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    "time.monotonic": lambda: time.monotonic(),
    "time.monotonic_ns": lambda: time.monotonic_ns(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "time.process_time": lambda: time.process_time(),
    "time.process_time_ns": lambda: time.process_time_ns(),
    "time.thread_time": lambda: time.thread_time(),
    "time.thread_time_ns": lambda: time.thread_time_ns(),
    "datetime.now": lambda: datetime.datetime.now(datetime.UTC),
    "datetime.utcnow": utcnow,
    "datetime.today": lambda: datetime.datetime.today(),  # noqa: DTZ002
    "date.today": lambda: datetime.date.today(),  # noqa: DTZ011
    "os.urandom": lambda: os.urandom(8),
    "os.getrandom": lambda: os.getrandom(8),
    "ssl.RAND_bytes": lambda: ssl.RAND_bytes(8),
    "random.random": lambda: random.random(),
    "random.Random": lambda: random.Random().random(),
    "random.SystemRandom": lambda: random.SystemRandom().random(),
    "secrets.token_bytes": lambda: secrets.token_bytes(8),
    "uuid.uuid1": lambda: uuid.uuid1(),
    "uuid.uuid4": lambda: uuid.uuid4(),
}


def tried(function, where="loop"):
    """What a function returned or raised on a seeded machine, and the watch."""
    loop = WorkerThreadLoop()
    LOOPS.append(loop)

    async def main():
        try:
            return await asyncio.to_thread(function) if where == "thread" else function()
        except BoundaryError as error:
            return error

    with seeded_machine(loop, 1), asyncio.Runner(loop_factory=lambda: loop) as runner, refusing_boundaries() as watch:
        return runner.run(main()), watch


def named(ruling):
    return [name for name, boundary in BOUNDARIES.items() if boundary.ruling is ruling]


def test_every_row_is_tried_and_every_known_escape_is_a_row():
    known = {f"{function.__module__}.{function.__name__}".replace("posix.", "os.") for function in _CALLS}
    assert set(TRIALS) == set(BOUNDARIES)
    assert {*AUDITED, *known} <= set(BOUNDARIES)
    loop = WorkerThreadLoop()
    replaced = {f"time.{name}" for name in clocks._stand_ins(loop)}
    loop.close()
    assert replaced <= set(named(Ruling.VIRTUAL))


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("name", named(Ruling.REFUSED))
def test_a_refused_call_does_nothing_and_names_its_line(name, where):
    function = TRIALS[name]
    error, watch = tried(function, where)
    assert isinstance(error, BoundaryError)
    assert error.how == name
    code = with_socket.__code__ if "with_socket" in function.__code__.co_names else function.__code__
    assert error.where.startswith("test_boundaries.py:")
    assert error.where.endswith(f"({code.co_qualname})")
    assert [(one.where, one.how) for one in watch.refused] == [(error.where, name)]
    assert not Path(NOWHERE).parent.exists()


def run_in_a_thread():
    coroutine = asyncio.sleep(0)
    thread = threading.Thread(target=asyncio.run, args=(coroutine,), name="loops")
    thread.start()
    thread.join()
    coroutine.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_runs_only_a_function_of_the_standard_library_is_refused_by_its_name():
    _, watch = tried(run_in_a_thread)
    assert [(one.where, one.how) for one in watch.refused] == [("the thread loops", "asyncio.new_event_loop")]
    for function in (partial(os.mkdir, NOWHERE), partial(socket.getaddrinfo, "localhost", 80)):
        error, watch = tried(function, "thread")
        assert isinstance(error, BoundaryError)
        assert error.where.startswith("the thread ")
        assert len(watch.refused) == 1
    assert tried(partial(os.listdir), "thread")[1].refused == ()


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("name", named(Ruling.RECORDED))
def test_a_recorded_call_works_and_is_known(name, where):
    result, watch = tried(TRIALS[name], where)
    assert not isinstance(result, BoundaryError)
    assert name in {one.how for one in watch.escapes}
    assert watch.refused == ()


@pytest.mark.parametrize("name", named(Ruling.VIRTUAL))
def test_a_virtual_call_is_answered_alike_in_every_run_and_is_no_escape(name):
    (result, watch), (again, _) = tried(TRIALS[name]), tried(TRIALS[name])
    assert result == again
    assert watch.escapes == ()
    if result is not None and name not in ("time.process_time", "time.process_time_ns"):
        assert result != TRIALS[name]()


def test_an_error_that_the_code_catches_is_known_all_the_same():
    def careless():
        try:
            socket.create_connection(("127.0.0.1", 9))
        except Exception:
            return "caught"

    result, watch = tried(careless)
    assert result == "caught"
    assert [one.how for one in watch.refused] == ["socket.getaddrinfo"]


def test_other_threads_imports_and_logging_are_left_alone(tmp_path):
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    logger = logging.getLogger("of the boundaries")
    logger.addHandler(handler)
    started, written = threading.Event(), []

    def write():
        started.wait(30)
        written.append((tmp_path / "x").write_text("x"))

    thread = threading.Thread(target=write)
    thread.start()

    def run():
        logger.error("x")
        sys.modules.pop("colorsys", None)
        import colorsys  # noqa: F401

        Path(os.devnull).write_text("x")

    result, watch = tried(run)
    with refusing_boundaries():
        started.set()
        thread.join()
    handler.close()
    assert (result, watch.refused, written) == (None, (), [1])

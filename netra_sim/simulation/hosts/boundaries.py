"""The register of the calls by which a system under test can leave its simulated host, and what becomes of each."""

import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

from netra_sim.exceptions import NetraSimError
from netra_sim.simulation.escapes import Escape, EscapeWatch, watching
from netra_sim.simulation.hosts.gate import WorkerThread, here
from netra_sim.simulation.hosts.own_process import audited_calls


class Ruling(StrEnum):
    """What becomes of a call."""

    REFUSED = "refused"  # it raises `BoundaryError`
    RECORDED = "recorded"  # it does what it always does, and the watch has it
    VIRTUAL = "virtual"  # the simulated host answers it; clocks and entropy on a `seeded_machine` only


class Boundary(NamedTuple):
    """A call that leaves the simulated host.

    Attributes:
        ruling: what becomes of it.
        what: what the code does with it, such as "starts a process".
        instead: what to do instead of a call that is refused.
    """

    ruling: Ruling
    what: str
    instead: str = "use asyncio's streams or a stand-in service, or read a file or an SQLite database"


def _rows(ruling: Ruling, what: str, *calls: str) -> dict[str, Boundary]:
    return dict.fromkeys(calls, Boundary(ruling, what))


_SECOND_LOOP = Boundary(
    Ruling.REFUSED,
    "makes a second event loop",
    "await on the loop that runs, from a thread by asyncio.run_coroutine_threadsafe",
)
_STOP = Boundary(Ruling.REFUSED, "stops the event loop, on which everything runs", "return from the main function")


WRITING, TEMPORARY = "open to write", "tempfile"

BOUNDARIES = MappingProxyType(
    _rows(Ruling.REFUSED, "uses a real socket", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
    | _rows(Ruling.REFUSED, "asks the real name service", "socket.getaddrinfo", "socket.getnameinfo")
    | _rows(Ruling.REFUSED, "asks the real name service", "socket.gethostbyname", "socket.gethostbyaddr")
    | _rows(Ruling.REFUSED, "starts a process", "subprocess.Popen", "os.system", "os.posix_spawn", "os.fork")
    | _rows(Ruling.REFUSED, "starts a process", "os.forkpty", "os.exec")
    | _rows(Ruling.REFUSED, "ends the real process", "os._exit")
    | {"asyncio.new_event_loop": _SECOND_LOOP, "asyncio.loop.stop": _STOP}
    | _rows(Ruling.REFUSED, "sends a real signal", "os.kill", "os.killpg")
    | _rows(Ruling.REFUSED, "changes files", WRITING, "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.truncate")
    | _rows(Ruling.REFUSED, "changes files", "os.link", "os.symlink", "os.chmod", "os.utime")
    | _rows(Ruling.RECORDED, "makes a temporary file", TEMPORARY)
    | _rows(Ruling.RECORDED, "reads a file", "open")
    | _rows(Ruling.RECORDED, "lists a folder", "os.listdir", "os.scandir")
    | _rows(Ruling.RECORDED, "opens a database", "sqlite3.connect")
    | _rows(Ruling.RECORDED, "makes a real socket", "socket.__new__")
    | _rows(Ruling.RECORDED, "asks for the name of the machine", "socket.gethostname")
    | _rows(Ruling.VIRTUAL, "starts a thread", "_thread.start_new_thread")
    | _rows(Ruling.VIRTUAL, "sleeps", "time.sleep")
    | _rows(Ruling.VIRTUAL, "reads a clock", "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime")
    | _rows(Ruling.VIRTUAL, "reads a clock", "time.strftime", "time.asctime", "time.clock_gettime")
    | _rows(Ruling.VIRTUAL, "reads a clock", "time.clock_gettime_ns", "time.monotonic", "time.monotonic_ns")
    | _rows(Ruling.VIRTUAL, "reads a clock", "time.perf_counter", "time.perf_counter_ns", "time.process_time")
    | _rows(Ruling.VIRTUAL, "reads a clock", "time.process_time_ns", "time.thread_time", "time.thread_time_ns")
    | _rows(Ruling.VIRTUAL, "reads a clock", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
    | _rows(Ruling.VIRTUAL, "takes entropy", "os.urandom", "os.getrandom", "ssl.RAND_bytes", "random.random")
    | _rows(Ruling.VIRTUAL, "takes entropy", "random.Random", "random.SystemRandom", "secrets.token_bytes")
    | _rows(Ruling.VIRTUAL, "takes entropy", "uuid.uuid1", "uuid.uuid4")
)
"""What becomes of each call, by the name of its audit event in CPython, or of its function.

`WRITING` is the event "open" for a file that is to be written, and `TEMPORARY` is any change of files by `tempfile`. The
standard library's logging, and imports, may do all of this. What C and Rust code does by itself is not seen.
"""

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class BoundaryError(NetraSimError, RuntimeError):
    """The code under test made a call that a simulated host does not have.

    Attributes:
        where: the line, such as "app.py:12 (answer)".
        how: the call, as `BOUNDARIES` names it.
    """

    def __init__(self, where: str, how: str) -> None:
        boundary = BOUNDARIES[how]
        super().__init__(f"{where} {boundary.what} ({how}), and a simulated host has no such thing; {boundary.instead}")
        self.where = where
        self.how = how


class BoundaryWatch(EscapeWatch):
    """What the threads of simulated systems did at the boundary; see `refusing_boundaries`."""

    events = MappingProxyType({name: boundary.what for name, boundary in BOUNDARIES.items()})

    @property
    def refused(self) -> tuple[Escape, ...]:
        """The calls that were refused, also those whose error the code under test caught."""
        return tuple(one for one in self.escapes if BOUNDARIES[one.how].ruling is Ruling.REFUSED)

    def sees_this_thread(self) -> bool:
        """See `EscapeWatch`; the threads of all open loops are watched."""
        return here.member is not None

    def place_of(self, frame: FrameType) -> str:
        """See `EscapeWatch`; a function of the standard library can be all that a thread runs, such as `asyncio.run`."""
        if frame.f_code is WorkerThread.main.__code__:
            return f"the thread {threading.current_thread().name}"
        return super().place_of(frame)

    def on_event(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """See `EscapeWatch`.

        Raises:
            BoundaryError: the register refuses the call.
        """
        how = event
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or path == os.devnull:
                return
            how = WRITING if flags & _WRITE_FLAGS else event
        if BOUNDARIES[how].what == BOUNDARIES[WRITING].what and _is_by_tempfile(frame):
            how = TEMPORARY
        ruling = BOUNDARIES[how].ruling
        if ruling is not Ruling.VIRTUAL:
            where = self.note(BOUNDARIES[how].what, how, frame)
            if where and ruling is Ruling.REFUSED:
                raise BoundaryError(where, how)


@contextmanager
def refusing_boundaries() -> Generator[BoundaryWatch]:
    """Refuse or record what the threads of a loop do at the boundary, as `BOUNDARIES` says, while the context is open."""
    platform.platform()  # its first call starts a process, the others remember what it said; openai sends it to its service
    with audited_calls(), watching(BoundaryWatch()) as watch:
        yield watch


def _is_by_tempfile(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename == shutil.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == tempfile.__file__

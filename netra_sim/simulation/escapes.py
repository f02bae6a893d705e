"""Finds what code reads or touches outside the simulation: real clocks, entropy, sleeps, files, sockets, processes.

Virtual time and a seed make a simulation repeatable only as long as the code under test takes nothing from the machine.
"""

import datetime
import gc
import os
import random
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FrameType, MappingProxyType
from typing import Any, TypeVar

import msgspec

from netra_sim.exceptions import NetraSimError

AUDITED = MappingProxyType(
    {
        "open": "opens a file",
        "os.listdir": "lists a folder",
        "os.scandir": "lists a folder",
        "os.mkdir": "makes a folder",
        "os.remove": "removes a file",
        "os.rename": "renames a file",
        "os.system": "starts a process",
        "os.posix_spawn": "starts a process",
        "os.fork": "starts a process",
        "subprocess.Popen": "starts a process",
        "socket.__new__": "makes a real socket",
        "socket.getaddrinfo": "asks the real name service",
        "sqlite3.connect": "opens a database",
        "_thread.start_new_thread": "starts a thread",
    }
)
"""The audit events of CPython that are escapes (https://docs.python.org/3/library/audit_events.html)."""

CLOCK = "reads the real clock"
ENTROPY = "reads entropy"
SLEEP = "blocks the loop in real time"
UNSEEDED = "random.Random without a seed"

_CALLS: dict[object, str] = {os.urandom: ENTROPY, time.sleep: SLEEP} | dict.fromkeys(
    [
        *(time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns),
        *(time.process_time, time.process_time_ns, time.localtime, time.gmtime, time.ctime, time.strftime),
    ],
    CLOCK,
)
_SHARED_RANDOM = getattr(random.random, "__self__", None)
_SEED = random.Random.seed.__code__

_LIBRARY = tuple({str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "platstdlib")})
_SIMULATOR = str(Path(__file__).resolve().parent.parent) + os.sep
_ROOMS_OF_SIMULATOR = ("simulation", "recording", "exploration", "history")
_EXCUSED = ("logging", "importlib", "warnings.py", "linecache.py", "traceback.py")
"""Parts of the standard library that read clocks and files without an effect on what a program does."""

_IMPORT_HOOK = os.path.join("_pytest", "assertion", "rewrite.py")
"""pytest's import hook, which writes byte code as imports do."""

_STAND_INS = tuple(
    os.path.join(_SIMULATOR, "simulation", "hosts", name)
    for name in (
        "clocks.py",
        "entropy.py",
        "gated_threading.py",
        "no_subprocesses.py",
        "own_process.py",
        "sqlite_locks.py",
        "worker_threads.py",
    )
)
"""What the code under test calls in the place of the standard library."""


class Escape(msgspec.Struct, frozen=True, order=True):
    """One place at which the code under test leaves the simulation.

    Attributes:
        where: the innermost line outside the standard library, such as "agents.py:12 (Reply.run)".
        what: what the code does there, such as "reads the real clock".
        how: the function or the audit event, such as "time.time".
        times: how often it did.
    """

    where: str
    what: str
    how: str
    times: int

    def __str__(self) -> str:
        return f"{self.where} {self.what}: {self.how}" + ("" if self.times == 1 else f", {self.times:,} times")


class ForkError(NetraSimError, RuntimeError):
    """The code under test calls `os.fork`, which would copy the simulator."""


class EscapeWatch:
    """What one thread did outside the simulation; see `watching_escapes`."""

    events = AUDITED
    """The audit events that are looked at."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._seen: Counter[tuple[str, str, str]] = Counter()

    @property
    def escapes(self) -> tuple[Escape, ...]:
        """The escapes so far, sorted by place."""
        return tuple(sorted(Escape(*place, times) for place, times in self._seen.items()))

    def sees_this_thread(self) -> bool:
        """Whether the calling thread is watched."""
        return self.thread == threading.get_ident()

    def on_event(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Look at an audit event of a watched thread.

        Raises:
            ForkError: the event is a fork.
        """
        if self.note(AUDITED[event], event, frame) and event == "os.fork":
            raise ForkError(
                "a simulated program cannot fork: the new process would be a second simulator, with its own results; "
                "start another program with subprocess"
            )

    def note(self, what: str, how: str, frame: FrameType | None) -> str:
        """Count an escape in this frame. What the simulator itself does, and the logging of errors, are none.

        Returns:
            What `place_of` names, such as the line of the code under test, or "" if it is no escape.
        """
        while frame is not None and _place(frame.f_code.co_filename) == "library":
            frame = frame.f_back
        if where := "" if frame is None else self.place_of(frame):
            self._seen[where, what, how] += 1
        return where

    def place_of(self, frame: FrameType) -> str:
        """What is named as the place of an escape, given its innermost frame outside the standard library; "" for none."""
        return _line(frame) if _place(frame.f_code.co_filename) == "code under test" else ""


W = TypeVar("W", bound=EscapeWatch)


@contextmanager
def watching_escapes(*, clocks: bool = False) -> Generator[EscapeWatch]:
    """Watch what this thread does outside the simulation while the context is open.

    An audit hook sees files, sockets, processes and threads, and costs next to nothing. It stays in the process, since
    CPython cannot remove one.

    Args:
        clocks: also see reads of clocks and entropy and calls of `time.sleep`, however they were imported. This looks at
            every call, and makes the watched code several times slower.
    """
    profiler = sys.getprofile()
    with watching(EscapeWatch()) as watch:
        if clocks:
            sys.setprofile(_on_call)
        try:
            yield watch
        finally:
            if clocks:
                sys.setprofile(profiler)


@contextmanager
def watching(watch: W) -> Generator[W]:
    """Let a watch see the audit events, in the place of the one before, while the context is open."""
    global _watch
    _install_hook()
    before = _watch
    # A callback of the garbage collector runs at any place, and is no part of the code under test.
    collected, gc.callbacks[:] = gc.callbacks[:], []
    _watch = watch
    try:
        yield watch
    finally:
        _watch = before
        gc.callbacks[:] = collected


_watch: EscapeWatch | None = None


@cache
def _install_hook() -> None:
    sys.addaudithook(_on_audit)


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is not None and event in watch.events and watch.sees_this_thread():
        watch.on_event(event, arguments, sys._getframe(1))


def _on_call(frame: FrameType, event: str, called: Any) -> None:
    if event != "c_call" or _watch is None or type(called) is not BuiltinFunctionType:
        return
    owner = called.__self__
    if frame.f_code is _SEED and called.__name__ == "seed" and frame.f_locals["a"] is None:
        what, how = ENTROPY, UNSEEDED
    elif owner is _SHARED_RANDOM or type(owner) is random.SystemRandom:
        what, how = ENTROPY, f"random.{called.__name__}"
    elif isinstance(owner, type) and issubclass(owner, datetime.date):
        if called.__name__ not in ("now", "utcnow", "today"):
            return
        what, how = CLOCK, f"{owner.__name__}.{called.__name__}"
    elif (known := _CALLS.get(called)) is not None:
        what, how = known, f"{called.__module__}.{called.__name__}"
    else:
        return
    _watch.note(what, how, frame)


def innermost_line(frame: FrameType | None) -> str:
    """The innermost line of the code under test, such as ``app.py:12 (answer)``; without one, of the standard library."""
    lines: dict[str, str] = {}
    while frame is not None:
        lines.setdefault(_place(frame.f_code.co_filename), _line(frame))
        frame = frame.f_back
    return lines.get("code under test") or lines.get("library") or "its end"


def _line(frame: FrameType) -> str:
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} ({frame.f_code.co_qualname})"


@cache
def _place(path: str) -> str:
    """Where a source file belongs: "library", "excused" (the simulator too) or "code under test"."""
    if path.startswith("<frozen importlib") or path.endswith(_IMPORT_HOOK):
        return "excused"
    if path.startswith("<frozen"):
        return "library"
    real = os.path.realpath(path)
    if real.startswith(_LIBRARY) and f"{os.sep}site-packages{os.sep}" not in real:
        part = next(real[len(root) :] for root in _LIBRARY if real.startswith(root)).split(os.sep)[0]
        return "excused" if part in _EXCUSED else "library"
    if real in _STAND_INS:
        return "library"
    room = real.removeprefix(_SIMULATOR).split(os.sep)[0] if real.startswith(_SIMULATOR) else ""
    return "excused" if room in _ROOMS_OF_SIMULATOR else "code under test"

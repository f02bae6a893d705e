"""`Worker`: another process that works for this one. It starts fast, takes work defined anywhere, and ends with this one."""

import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import cloudpickle

from netra_sim.exceptions import NetraSimError

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_SHARED_IMPORTS = ("simulation", "checks", "exploration", "defects")
"""The rooms that the workers' common parent imports once, if this process has imported them; the others take long."""

_starting = threading.Lock()


class WorkerError(NetraSimError, RuntimeError):
    """A worker's process died, or its work cannot travel between processes."""


class ProcessChannel:
    """Carries Python values between this process and a worker, those of classes defined in a notebook too."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self.connection = connection

    def send(self, value: object) -> None:
        """Send a value.

        Raises:
            OSError: the other process has died.
            WorkerError: the value cannot travel.
        """
        try:
            data = cloudpickle.dumps(value)
        except Exception as error:
            raise WorkerError(
                f"a value cannot be sent to another process: {error}; leave out what pickle cannot take, or use one process"
            ) from error
        self.connection.send_bytes(data)

    def receive(self) -> Any:
        """Wait for the next value of the other process.

        Raises:
            EOFError: the other process has died.
        """
        return pickle.loads(self.connection.recv_bytes())  # noqa: S301 - only the processes of one program talk here


class Worker:
    """A process that runs ``work(channel, *args)``; the channel leads to `channel` here.

    The work may be defined anywhere, in a notebook too; the script of this process is not run again. Where the platform can
    fork, all workers come from one parent that has imported the simulation already, and start in some 20 ms. The worker
    ignores Ctrl+C: this process ends it. It also ends when this process dies in any way.

    Raises:
        WorkerError: the work cannot travel to another process.
    """

    def __init__(self, work: Callable[..., object], *args: object) -> None:
        context = multiprocessing.get_context(_METHOD)
        ours, theirs = context.Pipe()
        self.channel = ProcessChannel(ours)
        self._process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)  # type: ignore[attr-defined]
        try:
            with _starting, _no_script():
                _share_imports()
                self._process.start()
        finally:
            theirs.close()
        try:
            self.send((sys.path, work, args))
        except BaseException:
            self.stop()
            raise

    def send(self, value: object) -> None:
        """Send a value to the work.

        Raises:
            WorkerError: the process died, or the value cannot travel.
        """
        try:
            self.channel.send(value)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> Any:
        """Wait for the next value that the work sends.

        Raises:
            WorkerError: the process died.
        """
        try:
            return self.channel.receive()
        except (EOFError, OSError) as error:
            raise self._death() from error

    def _death(self) -> WorkerError:
        self._process.join()
        return WorkerError(
            f"a worker process died with the exit code {self._process.exitcode} before its work was done; the code that it "
            "ran ended it, as os._exit does, or with -9 the machine ran out of memory: use fewer processes then"
        )

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.channel.connection.close()
        self._process.kill()
        self._process.join()
        self._process.close()


def can_start_workers() -> bool:
    """Whether this process may start workers; a worker, and a process of Dask, may not."""
    return not multiprocessing.current_process().daemon


def sent_error(error: Exception) -> Exception:
    """The error as it can travel to another process, with its traceback as a note."""
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(cloudpickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # some classes cannot be made again from their arguments
        return WorkerError(f"{type(error).__qualname__}: {error}")
    return error


def _work(connection: "Connection[Any, Any]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = ProcessChannel(connection)
    with suppress(EOFError, OSError):  # the process that we work for is gone
        sys.path[:], work, args = channel.receive()
        work(channel, *args)


def _share_imports() -> None:
    """Let the workers' common parent import what takes long, once. A second call has no effect."""
    if _METHOD == "forkserver":
        rooms = [name for room in _SHARED_IMPORTS if (name := f"netra_sim.{room}") in sys.modules]
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__ + "_preload", *rooms])


@contextmanager
def _no_script() -> Iterator[None]:
    """Hide the script of this process: multiprocessing would run it again in each worker.

    A script without ``if __name__ == "__main__"`` would start workers in its workers. cloudpickle carries what the script
    defines, so that the workers do not need it.
    """
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script

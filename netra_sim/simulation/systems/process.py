"""`SystemProcess`: one process of the system under test, on a host of the virtual network."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from netra_sim.exceptions import SystemFailedError
from netra_sim.simulation.hosts.host import Host, Process
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.system import System
from netra_sim.simulation.systems.program import load_program

_LOOK_EVERY = 0.01
"""Seconds between two looks at whether a process listens."""


class _Server(uvicorn.Server):
    """Unmodified uvicorn, with the signals of its host instead of those of the real process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as uvicorn does."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for one in signals:
            loop.add_signal_handler(one, self._on_signal, one, None)
        try:
            yield
        finally:
            for one in signals:
                loop.remove_signal_handler(one)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.handle_exit(number, frame)


class SystemProcess:
    """Starts, stops and restarts what runs on one host.

    Args:
        loop: the loop of the simulation.
        host: where it runs.
        system: what runs.
        on_end: called with the error, or None, when the program ends although nobody stopped it.
    """

    def __init__(
        self, loop: NetworkLoop, host: Host, system: System, on_end: Callable[["SystemProcess", str], None]
    ) -> None:
        self.host = host
        self._loop = loop
        self._system = system
        self._on_end = on_end
        self._task: asyncio.Task[Any] | None = None
        self._process: Process | None = None
        self._is_stopping = False

    @property
    def is_running(self) -> bool:
        """Whether the program runs."""
        return self._task is not None and not self._task.done() and not (self._process and self._process.is_dead)

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._system.port in self.host.process.listeners

    async def start(self) -> None:
        """Start the program, and wait until it listens.

        Raises:
            SystemFailedError: it cannot be imported, ends before it listens, or does not listen in time.
        """
        self._is_stopping = False
        self._process = process = self.host.process
        self._task = task = self._loop.create_task_in(process, self._run(), f"system on {self.host.name}")
        ends_at = self._loop.time() + self._system.start_within
        while not self.is_listening:
            if task.done():
                raise SystemFailedError(f"the system on {self.host.name} ended before it listened: {_how(task)}")
            if self._loop.time() > ends_at:
                port, within = self._system.port, self._system.start_within
                elsewhere = ", ".join(map(str, process.listeners)) or "none"
                raise SystemFailedError(
                    f"the system on {self.host.name} does not listen on port {port} within {within:g} s; "
                    f"ports that it listens on: {elsewhere}"
                )
            await asyncio.sleep(_LOOK_EVERY)
        task.add_done_callback(self._ended)

    async def stop(self, within: float | None = None) -> bool:
        """Send SIGTERM, and wait for the end; a program that does not end in time is killed. Returns whether it ended."""
        task, process = self._task, self._process
        if task is None or process is None or task.done() or process.is_dead:
            return True
        self._is_stopping = True
        if not self._loop.send_signal(process, signal.SIGTERM):
            task.cancel()  # the default action of a signal ends the process; a program gets to clean up in simulation
        done, _ = await asyncio.wait([task], timeout=self._system.stop_within if within is None else within)
        if done:
            self._loop.kill(self.host)
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """End the program at once."""
        self._is_stopping = True
        self._loop.kill(self.host)

    def power_off(self) -> None:
        """Cut the power of the host."""
        self._is_stopping = True
        self._loop.power_off(self.host)

    async def _run(self) -> None:
        try:
            program = load_program(self._system)
        except SystemExit as error:
            raise SystemFailedError(f"its import exited with {error.code}") from error
        if self._system.main:
            main: Coroutine[Any, Any, object] = program()
            await main
            return
        config = uvicorn.Config(
            program,
            factory=self._system.factory,
            host="0.0.0.0",  # noqa: S104 - of a virtual host
            port=self._system.port,
            log_config=None,
            access_log=False,
        )
        try:
            await _Server(config).serve()
        except SystemExit as error:
            raise SystemFailedError(
                f"uvicorn exited with {error.code}: most likely the lifespan failed; see [system] environment"
            ) from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not self._is_stopping:
            self._on_end(self, _how(task))


def _how(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    if error is None:
        return "its main function returned"
    if isinstance(error, SystemFailedError):
        return str(error)
    return f"{type(error).__name__}: {error}"

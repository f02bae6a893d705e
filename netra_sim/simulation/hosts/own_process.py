"""Shows the code under test only its own simulated process: its tasks, no way to end the real process, and no other loop."""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from netra_sim.simulation.hosts.host import PROCESS
from netra_sim.simulation.hosts.rebinding import rebound, replaced


@contextmanager
def own_tasks(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Let `asyncio.all_tasks` return the tasks of the calling process only: many programs cancel all at shutdown."""
    real = asyncio.all_tasks

    @wraps(real)
    def all_tasks(of: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
        process, tasks = PROCESS.get(), real(of)
        if process is None or (of or asyncio.get_running_loop()) is not loop:
            return tasks
        return {task for task in tasks if task in process.tasks}

    with ExitStack() as undo:
        undo.enter_context(rebound({real: all_tasks}))
        for owner in (asyncio, asyncio.tasks):
            undo.enter_context(replaced(owner, "all_tasks", all_tasks))
        yield


@contextmanager
def refused_exit() -> Generator[None]:
    """Refuse `os._exit` in this process: it would end a test runner as if all tests had passed.

    Raises:
        SystemExit: from the call, and at the end of the context if the code under test went on after it.
    """
    exit_now, own = os._exit, os.getpid()
    calls: list[str] = []

    @wraps(exit_now)
    def _exit(status: int) -> None:
        if os.getpid() != own:
            exit_now(status)
        calls.append(f"os._exit({status}) would end the process that runs the tests")
        raise SystemExit(calls[0])

    with rebound({exit_now: _exit}), replaced(os, "_exit", _exit):
        yield
    if calls:
        raise SystemExit(calls[0])


@contextmanager
def audited_calls() -> Generator[None]:
    """Raise audit events for two calls that have none of their own.

    `os._exit` would end the simulator, with any exit code. A loop of `asyncio.new_event_loop`, as `asyncio.run` makes it in
    a thread, would wait in real time while the simulation stands still.
    """
    exit_now, new_loop = os._exit, asyncio.new_event_loop

    @wraps(exit_now)
    def _exit(status: int) -> None:
        sys.audit("os._exit", status)
        exit_now(status)

    @wraps(new_loop)
    def new_event_loop() -> asyncio.AbstractEventLoop:
        sys.audit("asyncio.new_event_loop")
        return new_loop()

    with ExitStack() as undo:
        undo.enter_context(rebound({exit_now: _exit, new_loop: new_event_loop}))
        undo.enter_context(replaced(os, "_exit", _exit))
        for owner in (asyncio, asyncio.events):
            undo.enter_context(replaced(owner, "new_event_loop", new_event_loop))
        yield

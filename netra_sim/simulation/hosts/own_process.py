"""Shows the code under test only its own simulated process: the tasks of that process, and no way to end the real one."""

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
def audited_exit() -> Generator[None]:
    """Raise an audit event for `os._exit`, which has none of its own: it would end the simulator, with any exit code."""
    real = os._exit

    @wraps(real)
    def _exit(status: int) -> None:
        sys.audit("os._exit", status)
        real(status)

    with rebound({real: _exit}), replaced(os, "_exit", _exit):
        yield

"""The clients' process, as the server's process uses it: start it, compare clocks, send orders, and end it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import TypeVar

import msgspec

from netra_sim.history import History
from netra_sim.loading.channel import (
    LENGTH,
    Answered,
    AskClock,
    Began,
    Broke,
    Clock,
    Orders,
    Recorded,
    decode_from_clients,
    framed,
)
from netra_sim.loading.system_plan import SystemOrders

M = TypeVar("M", bound=msgspec.Struct)

_CODE = "import sys; sys.path[:] = {path!r}; from netra_sim.loading.clients_process import main; main()"

_READINGS = 10
"""The number of clock comparisons."""


class ClientsProcess:
    """The process of the clients of a load run, as an asynchronous context manager that ends the process.

    The process also ends when the pipe to it is closed, which happens when the server's process dies in any way. It has no
    terminal, so Ctrl+C reaches only the server's process, which ends both.

    Attributes:
        clocks_agree_within: the maximum difference between the clocks of the two processes, in seconds.

    Raises:
        RuntimeError: the running event loop cannot start processes, or the clocks of the two processes differ.
    """

    def __init__(self) -> None:
        self.clocks_agree_within = float("inf")
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> "ClientsProcess":
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _CODE.format(path=sys.path),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except NotImplementedError as error:
            raise RuntimeError(
                f"{type(asyncio.get_running_loop()).__name__} cannot start the clients' process; use netra_sim.run"
            ) from error
        try:
            await self._compare_clocks()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def drive(
        self,
        orders: Orders | SystemOrders,
        on_answer: Callable[[], None],
        on_begin: Callable[[float], None] = lambda at: None,
    ) -> History:
        """Let the clients carry out a plan, and return their History.

        Args:
            orders: the plan.
            on_answer: called at the end of every request.
            on_begin: called with the time at which the window of the users of a system begins, a moment before.

        Raises:
            RuntimeError: the process died, or an error occurred in it.
        """
        try:
            await self._send(orders)
            while not isinstance(message := await self._receive(Began, Answered, Recorded), Recorded):
                if isinstance(message, Began):
                    on_begin(message.at)
                else:
                    on_answer()
        except BaseException:
            await self._end()  # at once: otherwise the stopping server would first wait for clients that hang
            raise
        return message.history()

    async def _compare_clocks(self) -> None:
        """Require that the clients' clock reads a time between two readings of this process's clock.

        `time.perf_counter` has the same zero for all processes: it is CLOCK_MONOTONIC on Linux, mach_absolute_time on macOS
        and QueryPerformanceCounter on Windows (see `time.get_clock_info`). The shortest exchange bounds the difference.
        """
        for _ in range(_READINGS):
            sent = perf_counter()
            await self._send(AskClock())
            theirs = (await self._receive(Clock)).shows
            received = perf_counter()
            if not sent <= theirs <= received:
                raise RuntimeError(
                    f"the clock of the clients' process shows {theirs:.6f} s, asked between {sent:.6f} and {received:.6f} s "
                    "of the server's: they share no clock on this machine, so that latencies between them mean nothing"
                )
            self.clocks_agree_within = min(self.clocks_agree_within, received - sent)

    async def _send(self, message: msgspec.Struct) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        # `_receive` reports a process that has died.
        with suppress(ConnectionError):
            self._process.stdin.write(framed(message))
            await self._process.stdin.drain()

    async def _receive(self, *expected: type[M]) -> M:
        assert self._process.stdout is not None  # noqa: S101
        try:
            (size,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
            message = decode_from_clients(await self._process.stdout.readexactly(size))
        except asyncio.IncompleteReadError as error:
            code = await self._process.wait()
            raise RuntimeError(
                f"the clients' process died before the load run was over; its exit code is {code}"
            ) from error
        if isinstance(message, Broke):
            raise RuntimeError(f"the clients' process broke: {message.error}\n{message.where}")
        if not isinstance(message, expected):
            raise RuntimeError(f"the clients' process said {type(message).__name__} out of turn")
        return message

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

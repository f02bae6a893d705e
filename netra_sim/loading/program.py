"""`ServedProgram`: another's server in a process of its own on this machine, from its start to its end by SIGTERM."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from netra_sim.exceptions import SystemFailedError

_LOOK_EVERY = 0.05
"""Seconds between two looks at whether the program listens."""

_LAST_WORDS = 20
"""The lines of the program's output that an error shows."""

_MAIN = """\
import asyncio, importlib, sys
sys.path.insert(0, {folder!r})
asyncio.run(importlib.import_module({module!r}).{name}())
"""


class ProgramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which server to start, and how; the fields are those of the table ``[system]`` of a scenario."""

    app: str
    main: str
    factory: bool
    folder: str
    port: int
    start_within: float
    stop_within: float


class ServedProgram:
    """One server process.

    Args:
        settings: what to start. An application is served by uvicorn on a free port, a main function listens by itself.
        environment: its environment variables, besides those of this process.

    Attributes:
        port: where it listens.
    """

    def __init__(self, settings: ProgramSettings, environment: Mapping[str, str]) -> None:
        self.port = settings.port if settings.main else _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="netra-system-")
        self._output = Path(self._folder.name) / "output.log"
        self._settings = settings
        self._environment = dict(os.environ) | dict(environment)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def exit_code(self) -> int | None:
        """How the process ended, or None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start the process, and wait until it listens.

        Raises:
            SystemFailedError: something else listens there, the process ends before it listens, or not in time.
        """
        if await _listens(self.port):
            raise SystemFailedError(
                f"another process listens on port {self.port}; stop it, or set another port in [system]"
            )
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,  # Ctrl+C reaches the command alone, which stops the system
            )
        ends_at = asyncio.get_running_loop().time() + self._settings.start_within
        while not await _listens(self.port):
            if (code := self.exit_code) is not None:
                raise SystemFailedError(
                    f"the system ended before it listened, with exit code {code}:\n{self._last_words()}"
                )
            if asyncio.get_running_loop().time() > ends_at:
                raise SystemFailedError(
                    f"the system does not listen on port {self.port} of 127.0.0.1 within "
                    f"{self._settings.start_within:g} s:\n{self._last_words()}"
                )
            await asyncio.sleep(_LOOK_EVERY)

    def use(self) -> tuple[float, float] | None:
        """The seconds of CPU time and the bytes of memory of the process; None where the system does not tell (proc(5))."""
        try:
            assert self._process is not None  # noqa: S101 - it was started
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return None
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
        return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")

    async def stop(self, within: float | None = None) -> bool:
        """Send SIGTERM and wait for the end; a process that does not end in time is killed. Returns whether it ended.

        Args:
            within: seconds that the process gets; by default those of the settings.
        """
        if self._process is None or self.exit_code is not None:
            return True
        self._process.terminate()
        try:
            async with asyncio.timeout(self._settings.stop_within if within is None else within):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """End the process at once, by SIGKILL."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def close(self) -> None:
        """Kill the process if it still runs, and forget its output."""
        await self.kill()
        self._folder.cleanup()

    def output(self) -> str:
        """Everything that the process has written so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def _command(self) -> list[str]:
        one, folder = self._settings, str(Path(self._settings.folder).resolve())
        if one.main:
            module, _, name = one.main.partition(":")
            return [sys.executable, "-c", _MAIN.format(folder=folder, module=module, name=name)]
        words = [sys.executable, "-m", "uvicorn", one.app, "--app-dir", folder, "--host", "127.0.0.1"]
        words += ["--port", str(self.port), "--no-access-log"]
        return [*words, "--factory"] if one.factory else words

    def _last_words(self) -> str:
        return "\n".join(self.output().splitlines()[-_LAST_WORDS:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

"""`LocalSystem`: a server of other people and its stand-in services, as real servers on this machine, and their faults."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from netra_sim.clients.protocol import SystemAddress
from netra_sim.history import SYSTEM_CPU, SYSTEM_MEMORY
from netra_sim.loading.output_errors import errors_in
from netra_sim.loading.program import ProgramSettings, ServedProgram
from netra_sim.recording import Recorder
from netra_sim.services import Running, Service, serving

LINGER = 2.0
"""Seconds after the last user has left, before the system is stopped: services record the work that goes on meanwhile."""


SAMPLE_EVERY = 1.0
"""Seconds between two looks at what the system uses."""


class SystemFault(Protocol):
    """A fault of a system or of its services, as scenarios have it."""

    @property
    def name(self) -> str:
        """Its kind."""

    @property
    def at(self) -> float:
        """When it begins, in seconds from the beginning of the window."""

    @property
    def lasts(self) -> float:
        """Its duration in seconds."""

    def begin_in(self, target: Any) -> None:
        """Act when it begins, by the actions of a `LocalSystem`."""

    def end_in(self, target: Any) -> None:
        """Act when it ends."""


class LocalSystem:
    """A system that a load run starts, harms and stops.

    Args:
        settings: what to start.
        path: stands before the path of every request.
        environment: gives the environment variables, given the URL of each service by its name.
        services: the stand-in services by name.
        faults: of the system and of its services.
        seed: determines the draws of the services.
    """

    def __init__(
        self,
        settings: ProgramSettings,
        *,
        path: str,
        environment: Callable[[Mapping[str, str]], dict[str, str]],
        services: Mapping[str, Service],
        faults: Sequence[SystemFault],
        seed: int,
    ) -> None:
        self.services = services
        self._settings = settings
        self._path = path
        self._environment = environment
        self._faults = faults
        self._seed = seed
        self._running: dict[str, Running] = {}
        self._worse: list[Any] = []
        self._program: ServedProgram
        self._acts: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self, recorder: Recorder) -> AsyncIterator[SystemAddress]:
        """Start services and system, and stop them at the end; what goes wrong meanwhile is recorded.

        Raises:
            SystemFailedError: the system does not start.
        """
        async with AsyncExitStack() as stack:
            for name, service in self.services.items():
                record = self._recording(recorder, name)
                one = serving(service, "127.0.0.1", 0, seed=self._seed, record=record)
                self._running[name] = await stack.enter_async_context(one)
            urls = {
                name: service.url(f"127.0.0.1:{self._running[name].port}") for name, service in self.services.items()
            }
            self._program = ServedProgram(self._settings, self._environment(urls))
            stack.push_async_callback(self._program.close)
            await self._program.start()
            self._sample(recorder)
            yield SystemAddress(host="127.0.0.1", port=self._program.port, path=self._path)
            await asyncio.sleep(LINGER)
            await self._stop(recorder)

    async def suffer(self, recorder: Recorder, clock: Callable[[], float], began: "asyncio.Future[float]") -> None:
        """Let each fault begin and end at its time in the window, and sample what the system uses, until cancelled."""
        injections = [_Injection(fault, self, recorder) for fault in self._faults]
        try:
            begins = await asyncio.shield(began)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sample_again_and_again(recorder))
                for one in injections:
                    group.create_task(one.run(clock, begins))
        finally:
            for one in injections:
                one.end()

    def kill(self, process: int) -> None:
        """End the system at once."""
        self._act(self._program.kill())

    def stop(self, process: int, drain: float) -> None:
        """Ask the system to end, and kill it after so many seconds."""
        self._act(self._stop_within(drain))

    def start(self, process: int) -> None:
        """Start the system again."""
        self._act(self._program.start())

    def worsen(self, fault: Any) -> None:
        """Change the conditions of a service."""
        self._worse.append(fault)
        self._set_conditions(fault.service)

    def recover(self, fault: Any) -> None:
        """Take the change back."""
        self._worse.remove(fault)
        self._set_conditions(fault.service)

    def _act(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something to the process after what was done before."""
        before = self._acts[-1:]

        async def act() -> None:
            await asyncio.gather(*before)
            await work

        self._acts.append(asyncio.create_task(act(), name="a fault of the system"))

    async def _stop_within(self, drain: float) -> None:
        await self._program.stop(drain)

    async def _sample_again_and_again(self, recorder: Recorder) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY)
            self._sample(recorder)

    def _sample(self, recorder: Recorder) -> None:
        if (use := self._program.use()) is not None:
            recorder.sample(SYSTEM_CPU, use[0])
            recorder.sample(SYSTEM_MEMORY, use[1])

    def _set_conditions(self, name: str) -> None:
        faults = [fault for fault in self._worse if fault.service == name]
        self._running[name].conditions.change(self.services[name].conditions(), faults)

    async def _stop(self, recorder: Recorder) -> None:
        await asyncio.gather(*self._acts)
        self._sample(recorder)
        if (code := self._program.exit_code) is not None:
            recorder.loop_error("the system ended", f"by itself, with exit code {code}")
        elif not await self._program.stop():
            recorder.left_over("a process that did not stop after SIGTERM", 1)
        for error, detail in errors_in(self._program.output()):
            recorder.loop_error(error, detail)

    @staticmethod
    def _recording(recorder: Recorder, name: str) -> Callable[[str, str, int, bool], None]:
        return lambda user_id, run_id, number, is_last: recorder.worked(run_id, user_id, number, name, is_last=is_last)


class _Injection:
    """One fault, which begins and ends once."""

    def __init__(self, fault: SystemFault, system: LocalSystem, recorder: Recorder) -> None:
        self._fault = fault
        self._system = system
        self._recorder = recorder
        self._is_on = self._has_ended = False

    async def run(self, clock: Callable[[], float], begins: float) -> None:
        fault = self._fault
        await asyncio.sleep(max(0.0, begins + fault.at - clock()))
        self._is_on = True
        self._recorder.fault_began(fault.name)
        fault.begin_in(self._system)
        await asyncio.sleep(max(0.0, begins + fault.at + fault.lasts - clock()))
        self.end()

    def end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_on:
            self._fault.end_in(self._system)
        self._recorder.fault_ended(self._fault.name)

"""`SystemWorld`: a system under test, its services and its users, from the start of the servers to their shutdown."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any

import msgspec

from netra_sim.clients.journal import Journal
from netra_sim.clients.protocol import ClientProtocol, SystemAddress
from netra_sim.history import SECRETS_GIVEN, SYSTEM_CONNECTIONS, Kind, foreign_meta
from netra_sim.randomness import key
from netra_sim.services import Running, Service, serving
from netra_sim.simulation.faults import (
    Deploy,
    Fault,
    Line,
    ServerFault,
    ServiceFault,
    SystemFault,
)
from netra_sim.simulation.hosts.balancer import Balancer
from netra_sim.simulation.hosts.boundaries import refusing_boundaries
from netra_sim.simulation.hosts.host import PROCESS, Host
from netra_sim.simulation.hosts.links import LineConditions
from netra_sim.simulation.hosts.machine import seeded_machine
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.hosts.own_process import own_tasks
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.stage import Stage
from netra_sim.simulation.system import SERVER, System
from netra_sim.simulation.systems.error_log import errors_logged, errors_of_threads
from netra_sim.simulation.systems.process import SystemProcess
from netra_sim.simulation.systems.program import modules_of
from netra_sim.simulation.systems.users import SystemUser
from netra_sim.version import __version__

LINGER = 30.0
"""Virtual seconds after the last user has left, before the system is stopped: work that goes on meanwhile is recorded."""

SAMPLE_EVERY = 1.0

_PORTS = {"redis": 6379}


class SystemWorld(Stage):
    """A simulation of a system under test; a `FaultTarget`, a `SystemTarget` and a `UserEnvironment`.

    Args:
        scenario: what happens; it has a system and a client protocol.
        seed: determines what the scenario leaves open.
        loop: the loop and the network that everything runs on.
        on_answer: called at the end of every request.
    """

    loop: NetworkLoop
    counts_steps = False
    users: Sequence[SystemUser] = ()

    def __init__(self, scenario: Scenario, seed: int, loop: NetworkLoop, on_answer: Callable[[], None]) -> None:
        super().__init__(scenario, seed, loop, on_answer)
        assert isinstance(scenario.system, System)  # noqa: S101 - the caller has looked
        assert isinstance(scenario.client, ClientProtocol)  # noqa: S101 - a scenario with a system has a client
        self.system = scenario.system
        self.protocol = scenario.client
        self.target = SystemAddress(host=SERVER, port=self.system.port, path=self.system.path)
        self._processes: list[SystemProcess] = []
        self._services: dict[str, Running] = {}

    async def play(self) -> None:
        """See `Stage`."""
        with modules_of(self.system), self._environment(), errors_logged(self.recorder), ExitStack() as machine:
            machine.enter_context(errors_of_threads(self.recorder))
            machine.enter_context(refusing_boundaries())
            machine.enter_context(own_tasks(self.loop))
            if self.system.seeded:
                machine.enter_context(seeded_machine(self.loop, self.seed, self._clock_offset))
            async with AsyncExitStack() as stack:
                for name, service in self.scenario.stand_ins.items():
                    self._services[name] = await stack.enter_async_context(self._serving(name, service))
                self._add_processes()
                self._set_clocks()
                for process in self._processes:
                    await process.start()
                self.begin_first_faults()
                self.schedule_faults()
                self.spawn(self._sample(), "the probe")
                self.users = [self._new_user(number) for number in self.scenario.present_users]
                if self.users:
                    await asyncio.wait([self._begin_user(user) for user in self.users])
                await asyncio.sleep(LINGER)
                await self.end_background()
                for process in self._processes:
                    if not await process.stop():
                        self.recorder.left_over("a process that did not stop after SIGTERM", 1)
                if self._secrets:
                    given = sum(service.conditions.secrets_given for service in self._services.values())
                    self.recorder.sample(SECRETS_GIVEN, given)

    def meta(self) -> dict[str, Any]:
        """See `Stage`."""
        also = [Kind.STUCK, Kind.LOOP_ERROR, Kind.LEFT_OVER, *([Kind.WORKED] if self.scenario.stand_ins else [])]
        also += [Kind.DISCLOSED] if self._secrets else []
        return foreign_meta(
            *self.protocol.kinds,
            *also,
            isolated_by=self.protocol.isolated_by,
            names_runs=self.protocol.names_runs,
            objectives=self.scenario.objectives,
            scenario=msgspec.to_builtins(self.scenario),
            tools_required=False,
            seed=self.seed,
            version=__version__,
        )

    def adapt(self) -> None:
        """See `Stage`."""
        self._set_clocks()
        for user in self.users:
            if user.is_present:
                self.adapt_user(user)

    def adapt_user(self, user: SystemUser) -> None:
        """See `Stage`."""
        user.adapt()

    def begin_fault(self, fault: Fault) -> None:
        """See `Stage`."""
        if isinstance(fault, SystemFault):
            fault.begin_in(self)
        elif isinstance(fault, Deploy):
            for process in self._processes:
                self.spawn(self._stop(process, fault.drain), "stop of a process")
        else:
            super().begin_fault(fault)

    def end_fault(self, fault: Fault) -> None:
        """See `Stage`."""
        if isinstance(fault, SystemFault):
            fault.end_in(self)
        elif isinstance(fault, Deploy):
            for number in range(len(self._processes)):
                self.start(number + 1)
        else:
            super().end_fault(fault)

    def meet_faults(self, user_id: str) -> Line:
        """See `UserEnvironment`."""
        self.faults.on(ServerFault, user_id)
        self.faults.on(SystemFault, user_id)
        return self.faults.line(user_id)

    def throttle(self, host: Host, bandwidth: float) -> None:
        """See `UserEnvironment`."""
        for process in self._processes:
            self.loop.network.link(process.host, host).bandwidth = bandwidth

    def reset_connections(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        for user in self._hit(fault):
            user.cut()

    def send_raw(self, fault: Fault, data: Callable[[int], bytes]) -> None:
        """See `FaultTarget`."""
        for user in self._hit(fault):
            user.send(data(key(self.seed, fault.name, user.user_id)))

    def half_close(self, fault: Fault) -> None:
        """See `FaultTarget`."""
        for user in self._hit(fault):
            user.half_close()

    def _hit(self, fault: Fault) -> Iterator[SystemUser]:
        """The users whom a fault hits now."""
        for injection in self.faults.injections_of(fault):
            for user in self.users:
                if user.is_present and injection.is_for(user.user_id):
                    injection.hit.add(user.user_id)
                    yield user

    def block_loop(self, until: float) -> None:
        """See `FaultTarget`."""
        self.loop.spend(max(0.0, until - self.loop.exact_time()))

    def kill(self, process: int) -> None:
        """See `SystemTarget`."""
        self._process(process).kill()

    def power_off(self, process: int) -> None:
        """See `SystemTarget`."""
        self._process(process).power_off()

    def start(self, process: int) -> None:
        """See `SystemTarget`."""
        one = self._process(process)
        self.loop.network.power_on(one.host)
        if not one.is_running:
            self.spawn(one.start(), f"start of {one.host.name}")

    def stop(self, process: int, drain: float) -> None:
        """See `SystemTarget`."""
        self.spawn(self._stop(self._process(process), drain), f"stop of process {process}")

    def restart_in_turn(self, drain: float, pause: float) -> None:
        """See `SystemTarget`."""

        async def restart() -> None:
            for process in self._processes:
                await process.stop(drain)
                await process.start()
                await asyncio.sleep(pause)

        self.spawn(restart(), "rolling deploy")

    def part(self, host: str, other: str, *, both_ways: bool) -> None:
        """See `SystemTarget`."""
        self.loop.network.cut(host, other, both_ways=both_ways)

    def rejoin(self, host: str, other: str, *, both_ways: bool) -> None:
        """See `SystemTarget`."""
        self.loop.network.heal(host, other, both_ways=both_ways)

    def worsen(self, fault: ServiceFault) -> None:
        """See `SystemTarget`."""
        self._set_conditions(fault.service)

    def recover(self, fault: ServiceFault) -> None:
        """See `SystemTarget`."""
        self._set_conditions(fault.service)

    def _set_conditions(self, name: str) -> None:
        """Set the conditions of a service from all faults that are on."""
        faults = [fault for fault in self.faults.on_for_all(ServiceFault) if fault.service == name]
        self._services[name].conditions.change(self.scenario.stand_ins[name].conditions(), faults)

    def _set_clocks(self) -> None:
        skew = self.system.clock_skew or (0.0,) * len(self._processes)
        for process, ahead in zip(self._processes, skew, strict=True):
            process.host.clock_offset = ahead + self.faults.clock_offset

    def _clock_offset(self) -> float:
        process = PROCESS.get()
        return 0.0 if process is None else process.host.clock_offset

    def _process(self, number: int) -> SystemProcess:
        return self._processes[number - 1]

    @property
    def _secrets(self) -> dict[str, str]:
        return {name: service.secret for name, service in self.scenario.stand_ins.items() if service.secret}

    def _add_processes(self) -> None:
        network = self.loop.network
        hosts = [network.add_host(name) for name in self.system.hosts]
        if len(hosts) > 1:
            network.add_balancer(SERVER, Balancer(hosts, self.system.balancer))
        self._processes = [SystemProcess(self.loop, host, self.system, self._on_end) for host in hosts]

    def _on_end(self, process: SystemProcess, how: str) -> None:
        self.recorder.loop_error("the system ended", f"{process.host.name}: {how}")

    def _new_user(self, number: int) -> SystemUser:
        network = self.scenario.network
        line = {"latency": network.latency, "jitter": network.jitter, "bandwidth": network.bandwidth}
        conditions = LineConditions(send_buffer=max(1, network.send_buffer), **line)  # type: ignore[arg-type]
        name = f"user-{number}"
        host = self.loop.network.add_host(name, uplink=conditions, downlink=conditions)
        return SystemUser(number, self, self.protocol, Journal(self.recorder, name, self._secrets), host)

    def _begin_user(self, user: SystemUser) -> "asyncio.Task[None]":
        context = copy_context()
        context.run(PROCESS.set, user.host.process)
        return context.run(self.spawn, user.run(), user.user_id)

    async def _stop(self, process: SystemProcess, drain: float) -> None:
        await process.stop(drain)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY)
            open_now = sum(len(process.host.process.endpoints) for process in self._processes)
            self.recorder.sample(SYSTEM_CONNECTIONS, open_now)

    @asynccontextmanager
    async def _serving(self, name: str, service: Service) -> AsyncIterator[Running]:
        """Run a stand-in service on a host of its own."""
        host = self.loop.network.add_host(name)
        kind = str(service.__struct_config__.tag)
        is_over = asyncio.Event()
        started: asyncio.Future[Running] = self.loop.create_future()

        def record(user_id: str, run_id: str, number: int, is_last: bool) -> None:
            self.recorder.worked(run_id, user_id, number, name, is_last=is_last)

        async def serve() -> None:
            async with serving(service, "0.0.0.0", _PORTS.get(kind, 80), seed=self.seed, record=record) as running:  # noqa: S104
                started.set_result(running)
                await is_over.wait()

        task = self.loop.create_task_in(host.process, serve(), f"service {name}")
        await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield started.result()
        finally:
            is_over.set()
            await task

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Set the environment variables of the system."""
        urls = {name: service.url(name) for name, service in self.scenario.stand_ins.items()}
        before = dict(os.environ)
        try:
            os.environ.update(self.system.environment_for(urls))
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

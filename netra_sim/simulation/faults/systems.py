"""Faults of a system under test: its processes, its network and its services."""

import asyncio
from collections.abc import Collection, Mapping
from itertools import cycle, islice
from typing import Annotated, ClassVar, Literal, Protocol

import msgspec

from netra_sim.distributions import Positive, Seconds
from netra_sim.randomness import noise
from netra_sim.simulation.faults.base import Fault, FaultTarget, Share

Number = Annotated[int, msgspec.Meta(ge=1)]


class SystemTarget(Protocol):
    """The actions that a fault can take on a system under test when it begins or ends."""

    def kill(self, process: int) -> None:
        """End a process, from 1, without any clean-up; the operating system closes its connections."""

    def power_off(self, process: int) -> None:
        """Cut the power of the host of a process, from 1."""

    def start(self, process: int) -> None:
        """Start a process again, from 1, on a host with power."""

    def stop(self, process: int, drain: float) -> None:
        """Send a process, from 1, SIGTERM, and kill it if it has not ended after so many seconds."""

    def restart_in_turn(self, drain: float, pause: float) -> None:
        """Stop and start one process after the other."""

    def part(self, host: str, other: str, *, both_ways: bool) -> None:
        """Let nothing pass between two hosts, or only from the second to the first."""

    def rejoin(self, host: str, other: str, *, both_ways: bool) -> None:
        """Take a `part` back."""

    def worsen(self, fault: "ServiceFault") -> None:
        """Change the conditions of a service."""

    def recover(self, fault: "ServiceFault") -> None:
        """Take the change back."""


class SystemFault(Fault, frozen=True):
    """A fault that needs a system under test, the table ``[system]`` of a scenario."""

    needs_system: ClassVar[bool] = True

    def lacks(self, processes: int, services: Collection[str], hosts: Collection[str]) -> str:
        """What the fault names and a scenario does not have; "" if there is nothing like that."""
        return ""

    def begin_in(self, target: SystemTarget) -> None:
        """Act when the fault begins."""
        raise NotImplementedError

    def end_in(self, target: SystemTarget) -> None:
        """Act when the fault ends."""


class ProcessFault(SystemFault, frozen=True):
    """A fault that ends a process, from 1, which starts again when the fault ends."""

    process: Number = 1

    def lacks(self, processes: int, services: Collection[str], hosts: Collection[str]) -> str:
        """See `SystemFault.lacks`."""
        return (
            "" if self.process <= processes else f"there is no process {self.process}; system.processes is {processes}"
        )

    def end_in(self, target: SystemTarget) -> None:
        """Start it again."""
        target.start(self.process)


class ProcessKilled(ProcessFault, frozen=True, tag="process-killed"):
    """A process of the system is killed, as by SIGKILL or for want of memory, and starts again after ``lasts``.

    Its connections end; nothing that it had planned runs, not even its clean-up.

    Incidents: S15.
    """

    works_on_sockets: ClassVar[bool] = True

    def begin_in(self, target: SystemTarget) -> None:
        """Kill it."""
        target.kill(self.process)


class ProcessRestarted(ProcessFault, frozen=True, tag="process-restarted"):
    """A process is restarted as for an update: SIGTERM, up to ``drain`` seconds to end by itself, a start after ``lasts``.

    The other processes go on.

    Incidents: S9, S15.
    """

    works_on_sockets: ClassVar[bool] = True

    drain: Seconds = 5.0

    def __post_init__(self) -> None:
        if self.drain >= self.lasts:
            raise ValueError(f"drain must be less than lasts, which is {self.lasts:g}, and is {self.drain:g}")

    def begin_in(self, target: SystemTarget) -> None:
        """Ask it to end."""
        target.stop(self.process, self.drain)


class PowerCut(ProcessFault, frozen=True, tag="power-cut"):
    """The host of a process loses its power, and starts again after ``lasts``: clients hear nothing, not even a reset.

    Incidents: S15.
    """

    def begin_in(self, target: SystemTarget) -> None:
        """Cut the power."""
        target.power_off(self.process)


class RollingDeploy(SystemFault, frozen=True, tag="rolling-deploy"):
    """The processes are stopped and started one after the other: SIGTERM, ``drain`` seconds, a start, ``pause`` seconds.

    Incidents: S9.
    """

    drain: Seconds = 5.0
    pause: Seconds = 1.0

    def begin_in(self, target: SystemTarget) -> None:
        """Begin with the first process."""
        target.restart_in_turn(self.drain, self.pause)


class Partition(SystemFault, frozen=True, tag="partition"):
    """Nothing passes between two hosts, such as "server-1" and "model", or only in one direction; TCP goes on trying.

    Incidents: S17.
    """

    hosts: tuple[str, str]
    both_ways: bool = True

    def lacks(self, processes: int, services: Collection[str], hosts: Collection[str]) -> str:
        """See `SystemFault.lacks`."""
        unknown = [name for name in self.hosts if name not in hosts]
        return f"there is no host {unknown[0]!r}; there are {', '.join(hosts)}" if unknown else ""

    def begin_in(self, target: SystemTarget) -> None:
        """Cut the line."""
        target.part(*self.hosts, both_ways=self.both_ways)

    def end_in(self, target: SystemTarget) -> None:
        """Heal it."""
        target.rejoin(*self.hosts, both_ways=self.both_ways)


class RawFault(Fault, frozen=True):
    """Clients send bytes over their connections that their protocol knows nothing of, again and again while it lasts."""

    needs_system: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    @property
    def pause(self) -> float:
        """Seconds from one time to the next."""
        raise NotImplementedError

    def data(self, stream: int) -> bytes:
        """What one user sends at a time; drawn from the user's stream."""
        raise NotImplementedError

    def begin(self, target: FaultTarget) -> None:
        """Send it, and begin again while the fault lasts."""
        target.send_raw(self, self.data)
        if self.is_active(asyncio.get_running_loop().time() + self.pause):
            target.begin_again(self, self.pause)


class Garbage(RawFault, frozen=True, tag="garbage"):
    """Clients send ``size`` bytes that mean nothing over their connections, again every ``every`` seconds while it lasts.

    A system ends such a connection at most; no other user may notice.

    Incidents: B12.
    """

    size: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 1_000
    every: Positive = 5.0

    @property
    def pause(self) -> float:
        """See `RawFault`."""
        return self.every

    def data(self, stream: int) -> bytes:
        """See `RawFault`."""
        return noise(stream, self.size)


FrameKind = Literal["ping", "unreadable", "unknown"]

_BATCH = 0.05
"""Seconds from one batch of a flood to the next."""

_FRAMES: Mapping[FrameKind, bytes] = {
    # Frames of RFC 6455, section 5.2: the last of its message, opcode, masked with zeros, length, mask, payload.
    "ping": b"\x89\x80" + bytes(4),
    "unreadable": b"\x81\x81" + bytes(4) + b"{",
    "unknown": b"\x81\x8f" + bytes(4) + b'{"type":"what"}',
}


class Flood(RawFault, frozen=True, tag="flood"):
    """Clients send ``per_second`` WebSocket frames over each connection, far more than people cause.

    The frames are pings, messages that cannot be read, messages of an unknown type, or with "all" these in turn. To a system
    that speaks plain HTTP they mean nothing. A system slows such clients down or ends their connections; no other user may
    notice.

    Incidents: B12.
    """

    per_second: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)] = 1_000.0
    frames: FrameKind | Literal["all"] = "all"

    @property
    def pause(self) -> float:
        """See `RawFault`."""
        return max(_BATCH, 1 / self.per_second)

    def data(self, stream: int) -> bytes:
        """See `RawFault`."""
        kinds = list(_FRAMES.values()) if self.frames == "all" else [_FRAMES[self.frames]]
        count = round(self.per_second * self.pause)
        return b"".join(islice(cycle(kinds), count))


class HalfClose(Fault, frozen=True, tag="half-close"):
    """Clients end the sending direction of their connections and go on reading, as ``shutdown(SHUT_WR)`` does.

    A client that wants to send on such a connection finds it broken. Connections that are opened later are whole.

    Incidents: B6.
    """

    needs_system: ClassVar[bool] = True
    works_on_sockets: ClassVar[bool] = True

    def begin(self, target: FaultTarget) -> None:
        """End the direction."""
        target.half_close(self)


class ServiceFault(SystemFault, frozen=True, tag="service-worse"):
    """A stand-in service gets worse: slower by a factor, with errors, cut answers, refusals, or not there at all.

    Attributes:
        service: its name in the scenario.
        slower: the factor on all its waits.
        error_share: the share of requests that fail, if it is higher than that of the service.
        cut_share: the share of answers that are cut, if it is higher than that of the service.
        rate_limited: whether it refuses everything because of too many requests.
        down: whether it resets every connection.

    Incidents: F12, S1.
    """

    works_on_sockets: ClassVar[bool] = True

    service: str
    slower: Positive = 1.0
    error_share: Share = 0.0
    cut_share: Share = 0.0
    rate_limited: bool = False
    down: bool = False

    def lacks(self, processes: int, services: Collection[str], hosts: Collection[str]) -> str:
        """See `SystemFault.lacks`."""
        known = ", ".join(services) or "none"
        return "" if self.service in services else f"there is no service {self.service!r}; there are {known}"

    def begin_in(self, target: SystemTarget) -> None:
        """Change its conditions."""
        target.worsen(self)

    def end_in(self, target: SystemTarget) -> None:
        """Take the change back."""
        target.recover(self)

"""A scenario: users, workload, network, limits and faults, as one validated value; scenario files are TOML."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from netra_sim.chosen import ChoiceError, chosen
from netra_sim.clients.settings import ClientSettings
from netra_sim.distributions import Distribution, Exponential, LogNormal, Positive, Seconds, Uniform
from netra_sim.exceptions import NetraSimError
from netra_sim.history import Objectives
from netra_sim.own_code import OwnCodeError, own_class
from netra_sim.services.service import Service
from netra_sim.simulation.explanation import explain, hint_for_path
from netra_sim.simulation.faults import FAULTS, Fault, LoopStall, SystemFault, fault_kind
from netra_sim.simulation.recorded_values import with_recorded_values
from netra_sim.simulation.resources import Resources
from netra_sim.simulation.schedule import refuse_unless_schedule
from netra_sim.simulation.system import System

if TYPE_CHECKING:
    from netra_sim.factory import ExecutionEngineFactory

Count = Annotated[int, msgspec.Meta(ge=1)]


class ScenarioError(NetraSimError, ValueError):
    """An invalid scenario; the message names the field, its value and the values that it takes."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Common settings of all parts of a scenario."""


class Poisson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="poisson"):
    """Requests of independent users: each due time is uniformly distributed over the window.

    The arrivals of a Poisson process have this distribution, given their number.
    """


class Burst(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="burst"):
    """All requests are due within ``width`` seconds, from ``at`` seconds on."""

    at: Seconds = 1.0
    width: Seconds = 0.0


class Ramp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ramp"):
    """The rate of requests grows linearly from nothing over the window."""


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """Requests are due at recorded ``times``; the users take them in turn. A scenario file may name a file instead.

    With ``file`` and ``column`` the times are read from a CSV or Parquet file, whose path is relative to the scenario's
    file, in seconds or in ``unit``, "ms" or "us". They take the file's place when the scenario is read.
    """

    times: Annotated[tuple[Seconds, ...], msgspec.Meta(min_length=1)]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="closed"):
    """Each user thinks, sends a request, waits for the answer and repeats."""

    think: Distribution = Exponential(5.0)


Arrivals = Poisson | Burst | Ramp | Replay | Closed


class Workload(_Part, frozen=True, kw_only=True):
    """What the users do.

    Attributes:
        arrivals: when requests are due.
        window: seconds over which open-loop arrivals are spread.
        runs_per_user: requests of each user.
        tabs_per_user: connections of each user; each gets all events of the user, who waits for the end of a run on all.
        patience: seconds from a request's due time after which its user gives up.
    """

    arrivals: Arrivals = Poisson()
    window: Positive = 30.0
    runs_per_user: Count = 1
    tabs_per_user: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    patience: Positive = 400.0


class Agents(_Part, frozen=True, kw_only=True):
    """How long the agents and tools of the default pipeline take, and how much the agents say.

    Attributes:
        think: seconds before an agent uses its tool.
        tool: seconds that the tool takes.
        reasoning: bytes of an additional ``agent_thinking`` event of every agent, a number or a distribution; 0 for none.
    """

    think: Distribution = LogNormal(0.8, 0.6)
    tool: Distribution = LogNormal(0.5, 0.8)
    reasoning: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | Distribution = 0


class Network(_Part, frozen=True, kw_only=True):
    """The network between a client and the server.

    Attributes:
        latency: the one-way delay in seconds, drawn once for each connection.
        jitter: seconds added to every delivery; the order stays, as with TCP.
        bandwidth: bytes per second and connection, from server to client.
        send_buffer: bytes that the operating systems of both sides hold for a client that does not read; the server sees
            only bytes beyond these as buffered. Linux begins with 16 KiB and grows to 4 MiB (tcp(7), ``tcp_wmem``).
        handshake: seconds from the start of connecting until the server accepts, including authentication.
    """

    latency: Distribution = LogNormal(0.03, 0.5)
    jitter: Distribution = Uniform(0.0, 0.01)
    bandwidth: Positive = 1_000_000.0
    send_buffer: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 65_536
    handshake: Distribution = LogNormal(0.08, 0.4)


WINDOWS_TICK = 1 / 64
"""Seconds between two ticks of the Windows clock, as the event loop of CPython before 3.13 reads it (gh-88494)."""

SELECT_LIMIT = 512
"""The maximum number of sockets of a selector loop on Windows: FD_SETSIZE in ``selectmodule.c`` of CPython."""

PLATFORMS: Mapping[str, Mapping[str, object]] = {
    "linux": {},
    "windows": {"loop": "proactor", "tick": WINDOWS_TICK},
}
"""The settings that each word stands for as the ``platform`` of a scenario."""


class Platform(_Part, frozen=True, kw_only=True):
    """The machine and the event loop that the server runs on.

    In a scenario ``platform = "windows"`` stands for a server in ``asyncio.run`` on Windows, with Python 3.11 or 3.12:
    ``{loop = "proactor", tick = 0.015625}``.

    Attributes:
        loop: "netra-sim" is the loop of `new_event_loop`. "proactor" and "selector" are the stock loops of Windows: the
            first stops listening after a ``reset-before-accept`` fault, the second holds at most `SELECT_LIMIT` sockets.
        tick: the resolution of the loop's clock in seconds, 1/64 on Windows, where timers are up to two ticks early; 0 for
            an exact clock.
        order: tasks that are ready at the same instant run first come, first served ("fifo"), in an order drawn from the
            seed ("random"), or as a schedule says that `explore` found, such as "holds:3.12+5". In "fifo" order, users who
            act at the same instant take turns, unless time passes in steps or ticks.
        step_cost: seconds of CPU time that every step of the loop takes.
    """

    loop: Literal["netra-sim", "proactor", "selector"] = "netra-sim"
    tick: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    order: str = "random"
    step_cost: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        refuse_unless_schedule(self.order)


class Limits(_Part, frozen=True, kw_only=True):
    """Limits and times of the runtime.

    Attributes:
        engines_per_user: the maximum number of live engines of one user.
        agent_seconds: the time limit of one agent.
        engine_seconds: the time limit of a run.
        check_interval: seconds between two health checks of the bridge; a shorter outage may go unnoticed.
    """

    engines_per_user: Count = 2
    agent_seconds: Positive = 30.0
    engine_seconds: Positive = 300.0
    check_interval: Positive = 5.0


class Scenario(_Part, frozen=True, kw_only=True):
    """A scenario; together with a seed it determines a History.

    Attributes:
        name: a short name for files and tables.
        description: what happens and what the History shows, in one sentence.
        incidents: ids of the incidents that it reproduces.
        faults: what goes wrong, when, and for which share of users, runs or messages.
        objectives: the bounds that the figures must keep.
        expect: the checks that must fail; all other checks must not fail.
        users: the number of users.
        resources: what runs share and can run out; unset if nothing is limited but the CPU, which is one process.
        factory: the place of a subclass of `ExecutionEngineFactory` with agents of one's own, such as "mine:Factory".
        checks: the places of checks of one's own, such as "mine:my_check", that judge a run besides those of the package.
        only_users: the numbers of the users who take part, from 0; all of them if it is left out. The others' draws do not
            change, so that two users who race do so without the rest.
        tools_required: whether every completed run must use a tool; false for custom agents that may answer without one.
        system: the server of other people that is tested, instead of the runtime of this package.
        client: how the users talk to the system; one of `netra_sim.clients.CLIENT_PROTOCOLS`.
        services: stand-ins for the services that the system uses, by name; each one of `netra_sim.services.SERVICES`.
        time_limit: virtual seconds after which a simulation that has not ended is stopped.
        fidelity: "bridge", the default: clients are attached to the bridge, which is fast. "wire": the real server and the
            real clients talk WebSocket over a virtual network.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "steady-load"
    description: str = "Independent users each have one agent run."
    incidents: tuple[str, ...] = ()
    users: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    resources: Resources | msgspec.UnsetType = msgspec.UNSET
    factory: str | msgspec.UnsetType = msgspec.UNSET
    checks: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    only_users: (
        Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType
    ) = msgspec.UNSET
    tools_required: bool = True
    workload: Workload = Workload()
    agents: Agents = Agents()
    network: Network = Network()
    platform: Platform = Platform()
    limits: Limits = Limits()
    faults: tuple[Fault, ...] = ()
    objectives: Objectives = Objectives()
    expect: tuple[str, ...] = ()
    time_limit: Positive = 86_400.0
    system: System | msgspec.UnsetType = msgspec.UNSET
    client: ClientSettings | msgspec.UnsetType = msgspec.UNSET
    services: dict[str, Service] | msgspec.UnsetType = msgspec.UNSET
    fidelity: Literal["bridge", "wire"] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        self._refuse_what_does_not_fit()
        present = self.present_users
        if isinstance(present, tuple) and not (max(present) < self.users and len(set(present)) == len(present)):
            raise ValueError(f"only_users names users from 0 to {self.users - 1}, each once, and is {list(present)}")
        if self.processes == 1:
            return
        if self.platform.loop != "netra-sim":
            raise ScenarioError('several processes (resources.cpu) need platform.loop = "netra-sim"')
        if any(isinstance(fault, LoopStall) for fault in self.faults):
            raise ScenarioError("several processes (resources.cpu) take no loop-stall, which would stall all of them")

    def _refuse_what_does_not_fit(self) -> None:
        """Refuse settings and faults that have no effect on what is simulated."""
        if self.system is msgspec.UNSET and self.services is not msgspec.UNSET:
            raise ScenarioError("services are for a system under test; name it in the table [system]")
        if self.system is msgspec.UNSET and self.client is msgspec.UNSET:
            wrong = [fault.name for fault in self.faults if fault.needs_system]
            if wrong:
                raise ScenarioError(f"the fault {wrong[0]} needs a system under test, the table [system]")
            return
        if self.factory is not msgspec.UNSET:
            raise ScenarioError("a system under test does not use a factory of this package; leave factory out")
        if self.client is msgspec.UNSET:
            raise ScenarioError('a system needs clients; say how they talk to it, such as [client] kind = "ag-ui"')
        wrong = [fault.name for fault in self.faults if not (fault.works_on_systems or fault.needs_system)]
        if wrong:
            known = ", ".join(name for name, one in FAULTS.items() if one.works_on_systems or one.needs_system)
            raise ScenarioError(f"the fault {wrong[0]} cannot hit a system under test; those that can are {known}")
        if not isinstance(self.system, msgspec.UnsetType):
            self._refuse_unknown_names(self.system)
        if self.workload.tabs_per_user > 1:
            raise ScenarioError("a user of a system under test has one tab; workload.tabs_per_user is 1")
        if self.fidelity is not msgspec.UNSET:
            raise ScenarioError(
                "fidelity is for the runtime of this package; a system under test is always on the wire"
            )
        if self.platform.tick:
            raise ScenarioError("a system under test has an exact clock; platform.tick is 0")

    def _refuse_unknown_names(self, system: System) -> None:
        """Refuse faults of processes, services and hosts that the system does not have, and marks of such services."""
        services = self.stand_ins
        if unknown := [(name, mark) for name, mark in system.marks if mark not in services]:
            name, mark = unknown[0]
            there_are = f"the services are {', '.join(services)}" if services else "the scenario has no [services]"
            raise ScenarioError(f"system.environment.{name} names a service {{{mark}}} that there is not; {there_are}")
        hosts = [*system.hosts, *services]
        for fault in self.faults:
            if isinstance(fault, SystemFault) and (lack := fault.lacks(system.processes, services, hosts)):
                raise ScenarioError(f"the fault {fault.name}: {lack}")

    def factory_class(self) -> "type[ExecutionEngineFactory]":
        """The class of the factory that makes the engines.

        Raises:
            ScenarioError: it cannot be imported, or does not take what a simulation gives it.
        """
        from netra_sim.factory import ExecutionEngineFactory  # who only lists scenarios needs none

        if isinstance(self.factory, msgspec.UnsetType):
            return ExecutionEngineFactory
        try:
            keywords = ("websocket_bridge", "pipeline", "limits", "observer")
            return own_class(self.factory, ExecutionEngineFactory, "factory", keywords)
        except OwnCodeError as error:
            raise ScenarioError(str(error)) from error

    @property
    def own_checks(self) -> tuple[str, ...]:
        """The places of the checks of one's own."""
        return () if isinstance(self.checks, msgspec.UnsetType) else self.checks

    @property
    def stand_ins(self) -> dict[str, Service]:
        """The stand-in services by name; none without a table of services."""
        return {} if isinstance(self.services, msgspec.UnsetType) else self.services

    @property
    def places(self) -> list[str]:
        """The places of all code that is not of this package: agents, checks, faults, clients, services, the system."""
        names = [*self.own_checks, *(fault.name for fault in self.faults)]
        names += [] if isinstance(self.factory, msgspec.UnsetType) else [self.factory]
        names += [] if isinstance(self.client, msgspec.UnsetType) else [self.client.name]
        names += [str(service.__struct_config__.tag) for service in self.stand_ins.values()]
        names += [] if isinstance(self.system, msgspec.UnsetType) else [self.system.app or self.system.main]
        return [name for name in names if ":" in name]

    @property
    def code_folders(self) -> tuple[str, ...]:
        """The folders, besides those in which Python looks, with the modules of the system under test."""
        return () if isinstance(self.system, msgspec.UnsetType) else (self.system.folder,)

    @property
    def processes(self) -> int:
        """The number of server processes, each with a CPU to itself."""
        cpu = msgspec.UNSET if self.resources is msgspec.UNSET else self.resources.cpu
        return 1 if cpu is msgspec.UNSET else cpu.slots

    @property
    def present_users(self) -> Sequence[int]:
        """The numbers of the users who take part."""
        return range(self.users) if isinstance(self.only_users, msgspec.UnsetType) else self.only_users

    @property
    def requests(self) -> int:
        """The total number of requests of all users who take part."""
        arrivals = self.workload.arrivals
        if isinstance(arrivals, Replay):
            return sum(len(arrivals.times[user :: self.users]) for user in self.present_users)
        return len(self.present_users) * self.workload.runs_per_user

    def with_settings(self, settings: Mapping[str, object]) -> "Scenario":
        """A copy with other values, each named by its path, such as ``network.latency.median`` or ``faults.0.share``.

        Raises:
            ScenarioError: a path does not exist, or the setting does not take the value.
        """
        fields = msgspec.json.decode(msgspec.json.encode(self))
        for path, value in settings.items():
            if path == "only_users":
                fields[path] = value  # may be left out, so that it is not among the fields
            else:
                _set(fields, path, value)
        return Scenario.from_mapping(fields)

    @classmethod
    def load(cls, path: str | Path) -> "Scenario":
        """Read a scenario from a TOML file.

        Raises:
            ScenarioError: the file is not TOML, or a field is unknown or has an invalid value.
            OSError: the file cannot be read.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8-sig")), Path(path).parent)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ScenarioError(f"{path} is not a TOML file: {error}") from error
        except ScenarioError as error:
            raise ScenarioError(f"{path}: {error}") from error

    @classmethod
    def from_mapping(cls, fields: dict[str, object], folder: Path = Path()) -> "Scenario":
        """Make a scenario from plain values, and validate each of them.

        Args:
            fields: as in a scenario file.
            folder: what the paths of files with recorded times and durations are relative to.

        Raises:
            ScenarioError: a field is unknown or has an invalid value.
        """
        try:
            fields = with_recorded_values(fields, folder)
        except ValueError as error:
            raise ScenarioError(str(error)) from error
        if isinstance(platform := fields.get("platform"), str):
            if platform not in PLATFORMS:
                known = " or ".join(f'"{name}"' for name in PLATFORMS)
                raise ScenarioError(f'the platform is {known}, or a table of its own, and not "{platform}"')
            fields = fields | {"platform": dict(PLATFORMS[platform])}
        faults = fields.get("faults", ())
        others = {"faults": _convert({"faults": faults}, _faults_alone(_own_faults(faults))).faults}
        others |= _client_and_services(fields)
        plain = {name: value for name, value in fields.items() if name not in ("system", *others)}
        scenario: Scenario = _convert(plain, cls)
        if "system" in fields:
            others["system"] = _convert({"system": fields["system"]}, _SystemAlone).system
        found = msgspec.structs.replace(scenario, **others)
        if found.factory is not msgspec.UNSET:
            found.factory_class()  # one that cannot be imported is refused before anything runs
        return found


class _SystemAlone(msgspec.Struct):
    """The field ``system`` of a scenario, which alone would not fit."""

    system: System


def _client_and_services(fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields ``client`` and ``services`` of a scenario, of the kinds of all packages."""
    found: dict[str, Any] = {}
    try:
        if "client" in fields:
            from netra_sim.clients import CLIENT_PROTOCOLS, ClientProtocol  # only for who has a system under test

            found["client"] = chosen(fields["client"], CLIENT_PROTOCOLS, "client", ClientProtocol)
        if "services" in fields:
            from netra_sim.services import SERVICES

            tables = fields["services"]
            if not isinstance(tables, Mapping):
                raise ScenarioError(f"services is a table of tables, and is {tables!r}")
            found["services"] = {
                name: chosen(table, SERVICES, f"services.{name}", Service) for name, table in tables.items()
            }
    except ChoiceError as error:
        raise ScenarioError(str(error)) from error
    return found


def _own_faults(tables: object) -> tuple[type[Fault], ...]:
    """The kinds of the faults that are named by their place."""
    found: dict[type[Fault], None] = {}
    for index, table in enumerate(tables if isinstance(tables, list | tuple) else ()):
        kind = table.get("kind") if isinstance(table, Mapping) else None
        if isinstance(kind, str) and ":" in kind:
            try:
                found[fault_kind(kind, f"faults[{index}]")] = None
            except ChoiceError as error:
                raise ScenarioError(str(error)) from error
    return tuple(found)


@cache
def _faults_alone(own: tuple[type[Fault], ...]) -> type[msgspec.Struct]:
    """The field ``faults`` of a scenario, of the kinds of all packages; msgspec reads the kinds of a struct only once."""
    kinds = reduce(or_, dict.fromkeys((*FAULTS.values(), *own)))
    return msgspec.defstruct("Faults", [("faults", tuple[kinds, ...])])  # type: ignore[valid-type]


def _convert(fields: dict[str, object], kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise ScenarioError(explain(str(error), fields, kind)) from error


def parse_setting(text: str) -> tuple[str, Any]:
    """The path and the value of a setting such as ``network.latency.median=0.2``, with the value as in a TOML file.

    Raises:
        ScenarioError: the text is not a valid setting.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError(f"a setting is PATH=VALUE, such as users=50, and this is {text!r}: there is no =")
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError as error:
        if _WORD.match(value.strip()):
            quoted = f"{path.strip()}='\"{value.strip()}\"'"
            raise ScenarioError(
                f"{path.strip()}: {value.strip()} is no number, true, false or list; quote a text: --set {quoted}"
            ) from error
        raise ScenarioError(
            f"a setting is PATH=VALUE with a value as in TOML, and this is {text!r}: {error}"
        ) from error


_WORD = re.compile(r"[^\[{\"']+\Z")
"""A value that may be a text without its quotes."""


_MAY_ADD = {"objectives"} | {name for name, default in zip(
    reversed(Scenario.__struct_fields__), reversed(Scenario.__struct_defaults__), strict=False
) if default is msgspec.UNSET}  # fmt: skip
"""The fields that an encoded scenario leaves out, or of which it leaves out parts, while they are unset."""


def _set(fields: Any, path: str, value: object) -> None:
    *parents, last = path.split(".")
    place, may_add = fields, path.partition(".")[0] in _MAY_ADD
    try:
        for part in parents:
            if may_add and isinstance(place, dict):
                place.setdefault(part, {})
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            place[int(last)] = value
        elif last not in place and not may_add:
            raise KeyError(last)
        else:
            place[last] = value
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ScenarioError(f"a scenario has no setting {path}{hint_for_path(fields, path)}") from error

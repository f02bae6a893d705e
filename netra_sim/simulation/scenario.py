"""A scenario: who does what, over which network, under which limits. One validated value; files are TOML."""

import tomllib
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from netra_sim.exceptions import NetraSimError
from netra_sim.history import Objectives
from netra_sim.simulation.distributions import Distribution, Exponential, LogNormal, Positive, Seconds, Uniform
from netra_sim.simulation.explanation import explain
from netra_sim.simulation.faults import FAULTS, Fault

Count = Annotated[int, msgspec.Meta(ge=1)]


class ScenarioError(NetraSimError, ValueError):
    """A scenario that cannot be simulated; the message names the field, what it had and what it takes."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Common settings of all parts of a scenario."""


class Poisson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="poisson"):
    """Requests of independent users: each is due at any time of the window with the same chance.

    Given their number, the arrivals of a Poisson process in a window are distributed like this.
    """


class Burst(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="burst"):
    """All requests are due within ``width`` seconds, from ``at`` seconds on."""

    at: Seconds = 1.0
    width: Seconds = 0.0


class Ramp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ramp"):
    """The rate of requests grows linearly from nothing over the window."""


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """Requests are due at recorded times, in seconds, which are dealt to the users in turn."""

    times: Annotated[tuple[Seconds, ...], msgspec.Meta(min_length=1)]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="closed"):
    """Each user thinks, requests, waits for the answer and begins again."""

    think: Distribution = Exponential(5.0)


Arrivals = Poisson | Burst | Ramp | Replay | Closed


class Workload(_Part, frozen=True, kw_only=True):
    """What the users do.

    Attributes:
        arrivals: when requests are due.
        window: seconds over which open-loop arrivals are spread.
        runs_per_user: requests of each user.
        tabs_per_user: connections of each user; each gets all of the user's events, and a user waits for the end on all.
        patience: seconds that a user waits for the end of a run before giving it up.
    """

    arrivals: Arrivals = Poisson()
    window: Positive = 30.0
    runs_per_user: Count = 1
    tabs_per_user: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    patience: Positive = 400.0


class Agents(_Part, frozen=True, kw_only=True):
    """How long the default pipeline's agents and tools take, and how much they say.

    Attributes:
        think: seconds before an agent uses its tool.
        tool: seconds that the tool takes.
        reasoning: bytes of one more ``agent_thinking`` event of every agent, a number or a distribution; 0 for none.
    """

    think: Distribution = LogNormal(0.8, 0.6)
    tool: Distribution = LogNormal(0.5, 0.8)
    reasoning: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | Distribution = 0


class Network(_Part, frozen=True, kw_only=True):
    """What lies between a client and the server.

    Attributes:
        latency: one way, drawn once for each connection.
        jitter: added to every delivery; TCP keeps the order all the same.
        bandwidth: bytes per second and connection, server to client.
        send_buffer: bytes that the operating systems of both sides hold for a client that does not read; the server sees
            as buffered what is beyond them. Linux begins with 16 KiB and grows to 4 MiB (tcp(7), ``tcp_wmem``).
        handshake: from the start of connecting until the server accepts, authentication included.
    """

    latency: Distribution = LogNormal(0.03, 0.5)
    jitter: Distribution = Uniform(0.0, 0.01)
    bandwidth: Positive = 1_000_000.0
    send_buffer: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 65_536
    handshake: Distribution = LogNormal(0.08, 0.4)


WINDOWS_TICK = 1 / 64
"""Seconds between two ticks of Windows' clock, as CPython's event loop sees it before 3.13 (gh-88494)."""

SELECT_LIMIT = 512
"""Sockets that a selector loop on Windows can hold: FD_SETSIZE of its ``select`` (CPython's ``selectmodule.c``)."""

PLATFORMS: Mapping[str, Mapping[str, object]] = {
    "linux": {},
    "windows": {"loop": "proactor", "tick": WINDOWS_TICK},
}
"""What a scenario's ``platform`` stands for when it is a word."""


class Platform(_Part, frozen=True, kw_only=True):
    """The machine and the event loop that the server runs on.

    In a scenario ``platform = "windows"`` stands for a server on Windows, with Python 3.11 or 3.12, in ``asyncio.run``:
    ``{loop = "proactor", tick = 0.015625}``.

    Attributes:
        loop: "netra-sim" is what `new_event_loop` gives. "proactor" and "selector" are Windows' own loops: the one listens
            no more after a ``reset-before-accept`` fault, the other holds `SELECT_LIMIT` sockets.
        tick: resolution of the loop's clock in seconds; Windows' is 1/64. Timers are up to two ticks early then, as there.
        order: what is ready at the same instant runs first come, first served, or in an order drawn from the seed.
        step_cost: seconds of CPU that every step of the loop takes.
    """

    loop: Literal["netra-sim", "proactor", "selector"] = "netra-sim"
    tick: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    order: Literal["fifo", "random"] = "random"
    step_cost: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Limits(_Part, frozen=True, kw_only=True):
    """Limits and times of the runtime, where they differ from its defaults.

    Attributes:
        engines_per_user: live engines that one user may have.
        agent_seconds: the longest turn of one agent.
        engine_seconds: the longest life of a run.
        check_interval: seconds between two health checks of the bridge; an outage that is shorter may go unnoticed.
    """

    engines_per_user: Count = 2
    agent_seconds: Positive = 30.0
    engine_seconds: Positive = 300.0
    check_interval: Positive = 5.0


class Scenario(_Part, frozen=True, kw_only=True):
    """Everything that, with a seed, determines a History.

    Attributes:
        name: short, for files and tables.
        description: what happens and what is to be seen, in a sentence.
        incidents: ids of the real failures that it comes from.
        faults: what goes wrong, when, for whom.
        objectives: what is good enough.
        expect: the checks that are to fail; a scenario shows what it is for when these do, and no other.
        users: how many.
        tools_required: whether every run that completes uses a tool; an agent of one's own may answer without.
        time_limit: virtual seconds after which a simulation that has not ended is stopped with an error.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "steady-load"
    description: str = "Independent users each have one agent run."
    incidents: tuple[str, ...] = ()
    users: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
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

    @property
    def requests(self) -> int:
        """How many requests the users make in all."""
        arrivals = self.workload.arrivals
        return len(arrivals.times) if isinstance(arrivals, Replay) else self.users * self.workload.runs_per_user

    def with_settings(self, settings: Mapping[str, object]) -> "Scenario":
        """The same with other values, each named by its path, such as ``network.latency.median`` or ``faults.0.share``.

        Raises:
            ScenarioError: a path does not exist, or a value is not one that it takes.
        """
        fields = msgspec.json.decode(msgspec.json.encode(self))
        for path, value in settings.items():
            _set(fields, path, value)
        return Scenario.from_mapping(fields)

    @classmethod
    def load(cls, path: str | Path) -> "Scenario":
        """Read a scenario from a TOML file.

        Raises:
            ScenarioError: the file is no TOML, or a field is unknown or has a value that it does not take.
            OSError: the file cannot be read.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8-sig")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ScenarioError(f"{path} is not a TOML file: {error}") from error
        except ScenarioError as error:
            raise ScenarioError(f"{path}: {error}") from error

    @classmethod
    def from_mapping(cls, fields: dict[str, object]) -> "Scenario":
        """Make a scenario from plain values, checking every one.

        Raises:
            ScenarioError: a field is unknown or has a value that it does not take.
        """
        if isinstance(platform := fields.get("platform"), str):
            if platform not in PLATFORMS:
                known = " or ".join(f'"{name}"' for name in PLATFORMS)
                raise ScenarioError(f'the platform is {known}, or a table of its own, and not "{platform}"')
            fields = fields | {"platform": dict(PLATFORMS[platform])}
        # The kinds of faults are known only when other packages have added theirs.
        any_fault = reduce(or_, FAULTS.values())
        faults = _convert(fields.get("faults", ()), tuple[any_fault, ...], "faults")  # type: ignore[valid-type]
        scenario: Scenario = _convert(fields | {"faults": ()}, cls, "")
        return msgspec.structs.replace(scenario, faults=faults)


def _convert(fields: Any, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise ScenarioError(explain(str(error), fields, kind, path)) from error


def parse_setting(text: str) -> tuple[str, Any]:
    """The path and the value of a setting such as ``network.latency.median=0.2``, with the value as in a TOML file.

    Raises:
        ScenarioError: it is no such setting.
    """
    path, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError("there is no =")
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError as error:
        raise ScenarioError(
            f"a setting is PATH=VALUE with a value as in TOML, and this is {text!r}: {error}"
        ) from error


def _set(fields: Any, path: str, value: object) -> None:
    *parents, last = path.split(".")
    place = fields
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            place[int(last)] = value
        elif last not in place:
            raise KeyError(last)
        else:
            place[last] = value
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ScenarioError(f"a scenario has no setting {path}") from error

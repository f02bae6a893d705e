"""`System`: which server a scenario starts, and how."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from netra_sim.distributions import Positive

_PLACE = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"

SERVER = "server"
"""The name under which clients find the system."""


_MARK = re.compile(r"\{([A-Za-z_][\w-]*)\}")
"""What stands for the URL of a service in an environment variable."""


class System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system under test.

    Attributes:
        app: an ASGI application, as "package.module:app"; uvicorn serves it.
        main: instead of ``app``, a coroutine function without arguments that listens on ``port`` by itself.
        factory: whether ``app`` is a function that makes the application.
        folder: where the modules are, relative to the working directory; it is put on the path of modules.
        port: the port that clients connect to.
        path: what stands before the path of every request of a client.
        environment: environment variables; ``{model}`` stands for the URL of the service named "model", and so on.
        processes: the number of processes. Each imports the modules in ``folder`` for itself.
        clock_skew: seconds by which the wall clock of each process is ahead, in their order; empty if all are right.
        balancer: how connections are spread over the processes: in turn, or always the same for the same client.
        seeded: whether the system's clocks are virtual and its entropy comes from the seed. Without it, a time-out that a
            library measures by ``time.monotonic``, such as that of a kept connection, depends on the speed of this machine.
        start_within: virtual seconds within which every process must listen.
        stop_within: virtual seconds that a process gets to stop by itself after SIGTERM.
    """

    app: Annotated[str, msgspec.Meta(pattern=f"{_PLACE}|^$")] = ""
    main: Annotated[str, msgspec.Meta(pattern=f"{_PLACE}|^$")] = ""
    factory: bool = False
    folder: str = "."
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8000
    path: str = ""
    environment: dict[str, str] = {}
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    clock_skew: tuple[Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)], ...] = ()
    balancer: Literal["round-robin", "sticky"] = "round-robin"
    seeded: bool = True
    start_within: Positive = 60.0
    stop_within: Positive = 30.0

    def environment_for(self, urls: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of the system, given the URL of each service by its name."""
        filled = dict(self.environment)
        for name, url in urls.items():
            filled = {variable: value.replace(f"{{{name}}}", url) for variable, value in filled.items()}
        return filled

    @property
    def marks(self) -> list[tuple[str, str]]:
        """The services that environment variables name, each as the variable and the service."""
        return [(variable, mark) for variable, value in self.environment.items() for mark in _MARK.findall(value)]

    def __post_init__(self) -> None:
        if bool(self.app) == bool(self.main):
            raise ValueError('a system has either an app, such as "package.module:app", or a main')
        if self.clock_skew and len(self.clock_skew) != self.processes:
            raise ValueError(f"clock_skew has one number for each of {self.processes} processes, or none")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts of its processes."""
        return (SERVER,) if self.processes == 1 else tuple(f"{SERVER}-{number + 1}" for number in range(self.processes))


def system_settings(system: System | msgspec.UnsetType, app: str, client: str) -> dict[str, object]:
    """The settings that put another application, or another kind of client, into a scenario.

    Args:
        system: the scenario's own, which keeps its folder and its environment.
        app: an ASGI application; "" for the scenario's own.
        client: a kind of client, with the defaults of its other settings; "" for the scenario's own.
    """
    settings: dict[str, object] = {}
    if app:
        settings |= {"system": {"app": app}} if system is msgspec.UNSET else {"system.app": app}
    if client:
        settings["client"] = {"kind": client}
    return settings

"""What the users of a load run do to a system that is not ours: plain data, drawn before the load run starts."""

from typing import Any

import msgspec

from netra_sim.clients.protocol import SystemAddress


class RealLineFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the connections of some users.

    Attributes:
        name: its kind.
        at: when it begins, in seconds from the beginning of the window.
        lasts: its duration in seconds.
        users: the users whom it hits.
        is_stalled: they do not read.
        is_offline: their connections are reset, and they can open none.
        bandwidth: the most bytes a second that they read from a connection; 0 for no limit.
        resets_every: seconds between two resets of all their connections; 0 for none.
        noise: the number of bytes that mean nothing, which they send over each connection at a time.
        frames: what they send instead of noise; empty for noise.
        sends_every: seconds from one such sending to the next; 0 for none.
        is_half_closed: the sending direction of their connections ends when the fault begins.
        times: for each of them when it begins and ends, in seconds from the beginning of the window; empty if it hits all of
            them for as long as it lasts.
    """

    name: str
    at: float
    lasts: float
    users: frozenset[str]
    is_stalled: bool = False
    is_offline: bool = False
    bandwidth: float = 0.0
    resets_every: float = 0.0
    noise: int = 0
    frames: bytes = b""
    sends_every: float = 0.0
    is_half_closed: bool = False
    times: dict[str, list[tuple[float, float]]] = {}


class PlannedSystemUser(msgspec.Struct, frozen=True, kw_only=True):
    """One user.

    Attributes:
        number: from 0.
        due: when the requests are due, in seconds from the beginning of the window, in order.
        pauses: instead of ``due``, the seconds that a user of a closed loop thinks before each request.
    """

    number: int
    due: tuple[float, ...] = ()
    pauses: tuple[float, ...] = ()

    @property
    def user_id(self) -> str:
        """The user's id."""
        return f"user-{self.number}"


class SystemPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the clients do.

    Attributes:
        users: who takes part.
        all_users: how many users the scenario has.
        client: the client protocol, as the table ``[client]`` of a scenario.
        patience: seconds from the due time of a request after which its user gives up.
        page_lead: seconds between a user's arrival and the due time of the first request.
        seed: determines the draws of the protocol.
        secrets: texts that no user must receive, by name.
        faults: of the connections.
        receive_buffer: bytes that the operating system holds for a client that does not read.
    """

    users: tuple[PlannedSystemUser, ...]
    all_users: int
    client: dict[str, Any]
    patience: float
    page_lead: float
    seed: int
    secrets: dict[str, str] = {}
    faults: tuple[RealLineFault, ...] = ()
    receive_buffer: int = 65_536

    @property
    def requests(self) -> int:
        """The number of requests of all users."""
        return sum(len(user.due) + len(user.pauses) for user in self.users)


class SystemOrders(msgspec.Struct, frozen=True, tag=True):
    """To the clients: load a system.

    Attributes:
        plan: what they do.
        target: where the system listens.
        allowed: the hosts that they may connect to, besides this machine.
        control_uri: the URI of the bare echo server.
        began: the reading of the clock, which both processes share, at time 0 of the History.
    """

    plan: SystemPlan
    target: SystemAddress
    allowed: tuple[str, ...]
    control_uri: str
    began: float

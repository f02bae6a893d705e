"""The base class of all faults, and what a fault can do to a simulation.

A fault is a condition: it begins at ``at`` seconds, lasts ``lasts`` seconds, and also acts on users who arrive meanwhile.
Faults that overlap add up. ``share`` is the share of users, runs or messages that it hits; a fault of the server hits all.
The seed and the name of each user, run or message determine whether it is hit, so adding a fault changes no other draw.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Protocol

import msgspec

from netra_sim.distributions import Positive, Seconds

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Message = dict[str, Any]


class FaultTarget(Protocol):
    """The actions that a fault can take when it begins or ends; most faults are conditions and take none."""

    def reset_connections(self, fault: "Fault") -> None:
        """Reset all connections of the users that the fault hits."""

    def end_tokens(self, fault: "Fault") -> None:
        """Let the tokens end of the users that the fault hits; the server closes their connections."""

    def repair_broker(self) -> None:
        """Let everything through that the message broker holds for users that no fault hits any more."""

    def send_raw(self, fault: "Fault", data: Callable[[int], bytes]) -> None:
        """Send bytes over all connections of the users that the fault hits; each user's are made from a stream."""

    def half_close(self, fault: "Fault") -> None:
        """End the sending direction of all connections of the users that the fault hits."""

    def block_loop(self, until: float) -> None:
        """Block the server's event loop until a time in seconds."""

    def reset_before_accept(self, fault: "Fault") -> None:
        """Let a client of no user reset its connection before the server accepts it."""

    def begin_again(self, fault: "Fault", seconds: float) -> None:
        """Let the fault begin once more after so many seconds."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """A fault of a scenario.

    Attributes:
        at: when it begins, in seconds.
        lasts: its duration, in seconds.
        share: the share of users, runs or messages that it hits.
        works_on_systems: whether it can also hit a system under test.
        needs_system: whether it can only hit a system under test.
        works_on_sockets: whether a load run, on real sockets, can cause it too.
        has_own_times: whether it strikes each user that it hits at times of its own, which `times_of` says.
    """

    works_on_systems: ClassVar[bool] = False
    needs_system: ClassVar[bool] = False
    works_on_sockets: ClassVar[bool] = False
    has_own_times: ClassVar[bool] = False

    at: Seconds = 5.0
    lasts: Positive = 20.0
    share: Share = 1.0

    @property
    def name(self) -> str:
        """The kind of the fault, as in scenario files."""
        return str(self.__struct_config__.tag)

    def is_active(self, now: float) -> bool:
        """Whether the fault is on at a time in seconds."""
        return self.at <= now < self.at + self.lasts

    def times_of(self, stream: int) -> Iterator[tuple[float, float]]:
        """When the fault strikes one user, and when it lets go, in seconds and in order; drawn from the stream."""
        raise NotImplementedError

    def begin(self, target: FaultTarget) -> None:
        """Act when the fault begins; most faults are conditions and do nothing here."""

    def end(self, target: FaultTarget) -> None:
        """Act when the fault ends."""

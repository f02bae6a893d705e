"""What all faults have in common.

A fault is a condition: it begins at ``at`` seconds, lasts ``lasts`` seconds, and everybody who comes meanwhile meets it.
Faults that overlap add up. ``share`` is the share of users, runs or messages that it hits; a fault of the server hits all.
Which are hit is drawn by name from the seed, so that one fault more or less moves nobody else's draws.
"""

from typing import Annotated, Any, Protocol

import msgspec

from netra_sim.simulation.distributions import Positive, Seconds

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Message = dict[str, Any]


class FaultTarget(Protocol):
    """What a fault may do by itself when it begins and when it ends; conditions that last need none of this."""

    def reset_connections(self, fault: "Fault") -> None:
        """Reset all connections of the users that the fault hits."""

    def block_loop(self, until: float) -> None:
        """Block the server's event loop until a time in seconds."""

    def reset_before_accept(self, fault: "Fault") -> None:
        """Have a client of nobody's reset its connection before the server has accepted it."""

    def begin_again(self, fault: "Fault", seconds: float) -> None:
        """Have the fault begin once more after so many seconds."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all faults have in common."""

    at: Seconds = 5.0
    lasts: Positive = 20.0
    share: Share = 1.0

    @property
    def name(self) -> str:
        """The fault's kind, as scenario files spell it."""
        return str(self.__struct_config__.tag)

    def is_active(self, now: float) -> bool:
        """Whether the fault is on at a time in seconds."""
        return self.at <= now < self.at + self.lasts

    def begin(self, target: FaultTarget) -> None:
        """Act when the fault begins; most faults are conditions that others meet, and do nothing."""

    def end(self, target: FaultTarget) -> None:
        """Act when the fault ends."""

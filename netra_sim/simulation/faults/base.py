"""What all faults have in common.

A fault begins at ``at`` seconds and lasts ``lasts`` seconds; ``share`` is the share of users, or of runs, that it hits. Who
is hit is drawn by name from the seed, so that one fault more or less moves nobody else's draws.
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.simulation.distributions import Positive, Seconds

if TYPE_CHECKING:
    from netra_sim.simulation.world import World

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Message = dict[str, Any]


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

    def begin(self, world: "World") -> None:
        """Bring the fault about."""

    def end(self, world: "World") -> None:
        """Take it away."""

    def adjust(self, limits: BridgeLimits) -> BridgeLimits:
        """The bridge's limits under a fault that lasts for the whole run."""
        return limits

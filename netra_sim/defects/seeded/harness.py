"""Defects of the lab itself: what it plans, draws, times and hashes; and a bridge that trusts any epoch."""

import hashlib
from typing import Any

from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Swaps, violation
from netra_sim.defects.seeded.scenarios import COMING_BACK, CROWD
from netra_sim.history import History
from netra_sim.simulation import conditions, user, world


@violation("epoch-not-checked", "B8", scenario=CROWD)
def epoch_not_checked(swaps: Swaps) -> None:
    """Cursors that belong to another server's memory are taken as if they were of this one's."""

    @swaps.attribute(Delivery, "attach")
    def attach(original: Any) -> Any:
        def trusting(
            self: Any, connection_id: Any, who: Any, transport: Any, epoch: Any, cursors: Any, **rest: Any
        ) -> Any:
            return original(self, connection_id, who, transport, self.epoch, cursors, **rest)

        return trusting


@violation("digest-leaves-out-times", "V3", scenario=CROWD)
def digest_leaves_out_times(swaps: Swaps) -> None:
    """The digest of a history does not cover when things happened."""

    @swaps.attribute(History, "digest")
    def digest(original: Any) -> Any:
        def without_times(self: Any) -> str:
            numbers = self.numbers | {"time": self.numbers["time"] * 0}
            timeless = History(numbers, self.codes, self.tables, self.meta)
            return hashlib.sha256(original(timeless).encode()).hexdigest()

        return without_times


@violation("latency-from-send", "V3", scenario=CROWD)
def latency_from_send(swaps: Swaps) -> None:
    """A request counts from when it was sent and not from when it was due: waiting is left out."""

    @swaps.attribute(user.SimulatedUser, "_ask")
    def ask(original: Any) -> Any:
        async def once_connected(self: Any, due: float) -> None:
            await self.tabs[0]._is_connected.wait()
            await original(self, self._world.loop.time())

        return once_connected


@violation("users-that-never-come", "V3", scenario=CROWD)
def users_that_never_come(swaps: Swaps) -> None:
    """One user in ten is planned and never comes."""

    @swaps.attribute(user.SimulatedUser, "live")
    def live(original: Any) -> Any:
        async def unless_the_tenth(self: Any) -> None:
            if self._number % 10:
                await original(self)

        return unless_the_tenth


@violation("draw-without-seed", "V3", scenario=CROWD)
def draw_without_seed(swaps: Swaps) -> None:
    """How long the agents work does not depend on the seed."""

    @swaps.attribute(world._DrawnTiming, "seconds")
    def seconds(original: Any) -> Any:
        def of_one_seed(self: Any, context: Any, step: str) -> float:
            return float(original(type(self)(self.agents, 0), context, step))

        return of_one_seed


@violation("faults-that-hit-nobody", "V3", scenario=COMING_BACK)
def faults_that_hit_nobody(swaps: Swaps) -> None:
    """Faults are recorded as on, and hit no user, run or message."""

    @swaps.attribute(conditions.Injection, "is_for")
    def hit(original: Any) -> Any:
        def never(self: Any, name: str) -> bool:
            return False

        return never

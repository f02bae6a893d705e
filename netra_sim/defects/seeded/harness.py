"""Defects of the lab itself, in what it plans, draws, times and hashes; and a bridge that trusts any epoch."""

import hashlib
from typing import Any

from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import COMING_BACK, CROWD
from netra_sim.history import History
from netra_sim.simulation import agents, fault_state, user


@seeded_defect("epoch-not-checked", "B8", scenario=CROWD)
def epoch_not_checked(patches: Patches) -> None:
    """The bridge accepts cursors of another epoch as its own."""

    @patches.attribute(Delivery, "attach")
    def trusting(
        original: Any, self: Any, connection_id: Any, who: Any, transport: Any, epoch: Any, cursors: Any, **rest: Any
    ) -> Any:
        return original(self, connection_id, who, transport, self.epoch, cursors, **rest)


@seeded_defect("digest-leaves-out-times", "V3", scenario=CROWD)
def digest_leaves_out_times(patches: Patches) -> None:
    """The digest of a history does not cover times."""

    @patches.attribute(History, "digest")
    def without_times(original: Any, self: Any) -> str:
        numbers = self.numbers | {"time": self.numbers["time"] * 0}
        timeless = History(numbers, self.codes, self.tables, self.meta)
        return hashlib.sha256(original(timeless).encode()).hexdigest()


@seeded_defect("latency-from-send", "V3", scenario=CROWD)
def latency_from_send(patches: Patches) -> None:
    """A request counts from when it was sent, and not from when it was due: waiting is hidden."""

    @patches.attribute(user.SimulatedUser, "_ask")
    async def once_connected(original: Any, self: Any, due: float) -> None:
        await self.tabs[0]._is_connected.wait()
        await original(self, self._environment.loop.time())


@seeded_defect("users-that-never-come", "V3", scenario=CROWD)
def users_that_never_come(patches: Patches) -> None:
    """One user in ten is planned and never comes."""

    @patches.attribute(user.SimulatedUser, "run")
    async def unless_the_tenth(original: Any, self: Any) -> None:
        if self.number % 10:
            await original(self)


@seeded_defect("draw-without-seed", "V3", scenario=CROWD)
def draw_without_seed(patches: Patches) -> None:
    """How long the agents work does not depend on the seed."""

    @patches.attribute(agents.DrawnTiming, "seconds")
    def of_one_seed(original: Any, self: Any, context: Any, step: str) -> float:
        return float(original(type(self)(self.agents, 0), context, step))


@seeded_defect("faults-that-hit-nobody", "V3", scenario=COMING_BACK)
def faults_that_hit_nobody(patches: Patches) -> None:
    """Faults are recorded as on, but hit no user, run or message."""

    @patches.attribute(fault_state.Injection, "is_for")
    def never(original: Any, self: Any, name: str) -> bool:
        return False

"""A seeded defect."""

from typing import Any

from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded import Patches, seeded_defect
from netra_sim.protocol import EventType
from netra_sim.simulation import Scenario


@seeded_defect("ends-twice", "T1", scenario=Scenario(users=5))
def ends_twice(patches: Patches) -> None:
    """The record has every end of a run twice."""

    @patches.attribute(Delivery, "publish")
    def twice(original: Any, self: Any, run: Any, kind: Any, *rest: Any) -> Any:
        seq = original(self, run, kind, *rest)
        if run.is_observed and kind is EventType.AGENT_COMPLETED:
            self._observer.published(run.run_id, run.user_id, str(kind), seq, run.thread_id)
        return seq

"""Defects of the original bridge: B2, B3, B5, B9, B10 and S12."""

from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, RunEmitter
from netra_sim.bridge.bridge import IntegrationResult, IntegrationState
from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import CROWD, LONG_CHATS, TWO_AT_ONCE
from netra_sim.factory.context import require_real_id
from netra_sim.protocol import EventType


@seeded_defect("answers-land-elsewhere", "B2", scenario=CROWD)
def answers_land_elsewhere(patches: Patches) -> None:
    """A run is registered again on another user's thread: its completion lands on that user's screen."""
    recent: dict[str, None] = {}

    @patches.attribute(Delivery, "publish")
    def elsewhere(original: Any, self: Any, run: Any, kind: EventType, *rest: Any) -> Any:
        owner = run.user_id
        if run.is_observed:
            recent.pop(owner, None)
            recent[owner] = None
        if kind is not EventType.AGENT_COMPLETED or len(recent) < 2:
            return original(self, run, kind, *rest)
        run.user_id = list(recent)[-2]
        try:
            return original(self, run, kind, *rest)
        finally:
            run.user_id = owner


@seeded_defect("placeholder-ids", "B3", scenario=CROWD)
def placeholder_ids(patches: Patches) -> None:
    """Ids such as registry and system are accepted as user ids."""

    @patches.function(require_real_id)
    def anything(original: Any, field: str, value: object) -> None:
        return None


@seeded_defect("healthy-and-deaf", "B5", scenario=CROWD)
def healthy_and_deaf(patches: Patches) -> None:
    """The bridge says that it is integrated, and delivers nothing."""

    @patches.attribute(AgentWebSocketBridge, "_probe")
    async def optimistic(original: Any, self: Any) -> IntegrationResult:
        return IntegrationResult(True, IntegrationState.ACTIVE, "", 0.0)

    @patches.attribute(Delivery, "flush")
    def dropping(original: Any, self: Any) -> None:
        self.dirty = {}


@seeded_defect("keeps-ended-runs", "B9", scenario=LONG_CHATS)
def keeps_ended_runs(patches: Patches) -> None:
    """Ended runs are never forgotten: memory grows with every request."""

    @patches.attribute(Delivery, "forget_expired")
    def nothing(original: Any, self: Any, now: float) -> None:
        return None


@seeded_defect("one-emitter-for-two-runs", "B10", scenario=TWO_AT_ONCE)
def one_emitter_for_two_runs(patches: Patches) -> None:
    """A pool hands one emitter to two runs of a user at the same time."""
    pool: dict[str, RunEmitter] = {}

    @patches.attribute(AgentWebSocketBridge, "open_run")
    def from_pool(original: Any, self: Any, *, user_id: str, **ids: str) -> RunEmitter:
        emitter = pool.get(user_id)
        if emitter is None or not emitter.is_open:
            pool[user_id] = emitter = original(self, user_id=user_id, **ids)
        return emitter


@seeded_defect("never-wired", "S12", scenario=CROWD)
def never_wired(patches: Patches) -> None:
    """Agents never get a manager: no critical event is published, and no error is raised."""

    @patches.attribute(RunEmitter, "_publish")
    def into_nothing(original: Any, self: Any, *arguments: Any) -> int:
        return original(self, *arguments) if not self._run.is_observed else 0

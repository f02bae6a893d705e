"""The original bridge: B2, B3, B5, B9, B10 and S12."""

from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, RunEmitter
from netra_sim.bridge.bridge import IntegrationResult, IntegrationState
from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Swaps, violation
from netra_sim.defects.seeded.scenarios import CROWD, LONG_CHATS, TWO_AT_ONCE
from netra_sim.factory.context import require_real_id
from netra_sim.protocol import EventType


@violation("answers-land-elsewhere", "B2", scenario=CROWD)
def answers_land_elsewhere(swaps: Swaps) -> None:
    """A run is registered again on another user's thread: its completion lands on that user's screen."""

    @swaps.attribute(Delivery, "publish")
    def publish(original: Any) -> Any:
        recent: dict[str, None] = {}

        def elsewhere(self: Any, run: Any, kind: EventType, *rest: Any) -> Any:
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

        return elsewhere


@violation("placeholder-ids", "B3", scenario=CROWD)
def placeholder_ids(swaps: Swaps) -> None:
    """Ids such as registry and system are taken for somebody's."""

    @swaps.function(require_real_id)
    def check(original: Any) -> Any:
        def anything(field: str, value: object) -> None:
            return None

        return anything


@violation("healthy-and-deaf", "B5", scenario=CROWD)
def healthy_and_deaf(swaps: Swaps) -> None:
    """The bridge says that it is integrated, and delivers nothing."""

    @swaps.attribute(AgentWebSocketBridge, "_probe")
    def probe(original: Any) -> Any:
        async def optimistic(self: Any) -> IntegrationResult:
            return IntegrationResult(True, IntegrationState.ACTIVE, "", 0.0)

        return optimistic

    @swaps.attribute(Delivery, "flush")
    def flush(original: Any) -> Any:
        def dropping(self: Any) -> None:
            self.dirty = {}

        return dropping


@violation("keeps-ended-runs", "B9", scenario=LONG_CHATS)
def keeps_ended_runs(swaps: Swaps) -> None:
    """Ended runs are never forgotten: memory grows with every request."""

    @swaps.attribute(Delivery, "forget_expired")
    def forget_expired(original: Any) -> Any:
        def nothing(self: Any, now: float) -> None:
            return None

        return nothing


@violation("one-emitter-for-two-runs", "B10", scenario=TWO_AT_ONCE)
def one_emitter_for_two_runs(swaps: Swaps) -> None:
    """A pool hands one emitter to two runs of a user at the same time."""
    pool: dict[str, RunEmitter] = {}

    @swaps.attribute(AgentWebSocketBridge, "open_run")
    def open_run(original: Any) -> Any:
        def from_pool(self: Any, *, user_id: str, **ids: str) -> RunEmitter:
            emitter = pool.get(user_id)
            if emitter is None or not emitter.is_open:
                pool[user_id] = emitter = original(self, user_id=user_id, **ids)
            return emitter

        return from_pool


@violation("never-wired", "S12", scenario=CROWD)
def never_wired(swaps: Swaps) -> None:
    """The manager was never given to the agents: none of the critical events is published, no error anywhere."""

    @swaps.attribute(RunEmitter, "_publish")
    def publish(original: Any) -> Any:
        def into_nothing(self: Any, *arguments: Any) -> int:
            return original(self, *arguments) if not self._run.is_observed else 0

        return into_nothing

"""Looks into a live system that nobody reports by themselves: what is left at the end, what engines share meanwhile."""

import asyncio
from collections.abc import Collection

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, UserExecutionEngine, shared_mutable_objects
from netra_sim.history.recorder import Recorder

ENGINES_PROBED = "engines probed for shared state"
"""The gauge that tells how many engines a probe has compared."""


REPLAY_BYTES = "replay bytes"
"""The gauge of what the bridge keeps for clients that come back."""


def record_gauges(recorder: Recorder, bridge: AgentWebSocketBridge) -> None:
    """Record what the bridge holds now."""
    recorder.sample(REPLAY_BYTES, bridge.metrics().replay_bytes)


def record_shared_state(recorder: Recorder, engines: Collection[UserExecutionEngine]) -> None:
    """Compare live engines, of two users at least, and record the mutable objects that they share."""
    if len({engine.context.user_id for engine in engines}) < 2:
        return
    recorder.sample(ENGINES_PROBED, len(engines))
    for found in shared_mutable_objects(engines):
        recorder.shared(found.user_id, found.other_user_id, f"{found.type_name} at {found.path}")


def record_left_overs(recorder: Recorder, bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory) -> None:
    """Record what is there after a shutdown; call it from the only task that should be left on the loop."""
    held = bridge.metrics()
    for what, count in (
        ("engines", factory.live_engines()),
        ("connections", held.live_connections),
        ("runs", held.kept_runs),
        ("replay bytes", held.replay_bytes),
        ("tasks", len(asyncio.all_tasks()) - 1),
    ):
        recorder.left_over(what, count)

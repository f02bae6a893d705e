"""Looks into a live system that nobody reports by themselves: what is left at the end, what engines share meanwhile."""

import asyncio
import gc
import threading
import time
from collections.abc import Collection

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, UserExecutionEngine, shared_mutable_objects
from netra_sim.history.recorder import Recorder

ASYNCIO_REPLACED = "asyncio functions replaced"
"""The gauge of how many functions of asyncio's are not its own, as a task sees it that is not decorated."""

LOOP_STEPS = "loop steps"
"""The gauge of how many steps the event loop has taken since its beginning."""

OUTBOX_BYTES = "outbox bytes"
"""The gauge of what waits to be sent on all connections."""

_PATIENCE = tuple(0.001 * 2**turn for turn in range(10))
"""How long other threads are given to let go of an engine, in real seconds: one second in all."""

_STOCK = {name: getattr(asyncio, name) for name in ("sleep", "wait_for", "gather")}

ENGINES_PROBED = "engines probed for shared state"
"""The gauge that tells how many engines a probe has compared."""


REPLAY_BYTES = "replay bytes"
"""The gauge of what the bridge keeps for clients that come back."""


def record_gauges(recorder: Recorder, bridge: AgentWebSocketBridge) -> None:
    """Record what the bridge holds now, and whether asyncio is its own."""
    held = bridge.metrics()
    recorder.sample(REPLAY_BYTES, held.replay_bytes)
    recorder.sample(OUTBOX_BYTES, held.unsent_bytes)
    record_asyncio(recorder)


def record_asyncio(recorder: Recorder) -> None:
    """Record how many functions of asyncio's somebody has replaced for everybody."""
    recorder.sample(ASYNCIO_REPLACED, sum(getattr(asyncio, name) is not stock for name, stock in _STOCK.items()))


def record_shared_state(recorder: Recorder, engines: Collection[UserExecutionEngine]) -> None:
    """Compare live engines, of two users at least, and record the mutable objects that they share."""
    if len({engine.context.user_id for engine in engines}) < 2:
        return
    recorder.sample(ENGINES_PROBED, len(engines))
    for found in shared_mutable_objects(engines):
        recorder.shared(found.user_id, found.other_user_id, f"{found.type_name} at {found.path}")


def record_left_overs(
    recorder: Recorder,
    bridge: AgentWebSocketBridge,
    factory: ExecutionEngineFactory,
    engines: Collection[UserExecutionEngine],
) -> None:
    """Record what is there after a shutdown; call it from the only task that should be left on the loop.

    Args:
        recorder: writes it down.
        bridge: that was shut down.
        factory: that was shut down.
        engines: a weak set of engines that had been seen alive; those that are still in it are referenced by somebody.
    """
    _let_go_of(engines)
    record_asyncio(recorder)
    held = bridge.metrics()
    for what, count in (
        ("engines", factory.live_engines()),
        ("engines that are still referenced", len(engines)),
        ("connections", held.live_connections),
        ("runs", held.kept_runs),
        ("replay bytes", held.replay_bytes),
        ("tasks", len(asyncio.all_tasks()) - 1),
    ):
        recorder.left_over(what, count)


def _let_go_of(engines: Collection[UserExecutionEngine]) -> None:
    """Free what only garbage or a passing look of another thread still holds."""
    pauses = iter(_PATIENCE)
    while engines:
        gc.collect()
        # A profiler's thread holds the frames that it looks at, and with them their engines; who leaks never lets go.
        if not engines or threading.active_count() == 1 or (pause := next(pauses, None)) is None:
            return
        time.sleep(pause)

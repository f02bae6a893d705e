"""Snapshots of a live system: what is left after shutdown, and what engines share."""

import asyncio
import gc
import threading
import time
from collections.abc import Collection, Sequence
from weakref import WeakSet

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, SharedObject, SharedStateProbe, UserExecutionEngine
from netra_sim.history import ASYNCIO_REPLACED, ENGINES_COMPARED, MOST_UNSENT_BYTES, OUTBOX_BYTES, REPLAY_BYTES
from netra_sim.recording.recorder import Recorder

_PATIENCE = tuple(0.001 * 2**turn for turn in range(10))
"""Pauses in which other threads may release an engine, in real seconds: about one second in all."""

_STOCK = {name: getattr(asyncio, name) for name in ("sleep", "wait_for", "gather")}

ENGINES_PER_COMPARISON = 8
"""Engines in one comparison."""

ENGINES_AT_AN_OPENING = 3
"""Engines in one comparison when a scope opens."""


def opening_after(openings: int) -> int:
    """The opening at which the next comparison takes place, after one at this opening; openings count from 1."""
    return openings + 1 + openings // 8


def record_gauges(recorder: Recorder, bridge: AgentWebSocketBridge) -> None:
    """Record how many bytes the bridge holds now, and how many asyncio functions are replaced."""
    held = bridge.metrics()
    recorder.sample(REPLAY_BYTES, held.replay_bytes)
    recorder.sample(OUTBOX_BYTES, held.unsent_bytes)
    recorder.sample(MOST_UNSENT_BYTES, held.most_unsent_bytes)
    record_asyncio(recorder)


def record_asyncio(recorder: Recorder) -> None:
    """Record how many asyncio functions are replaced for the whole process."""
    recorder.sample(ASYNCIO_REPLACED, sum(getattr(asyncio, name) is not stock for name, stock in _STOCK.items()))


class EngineWatch:
    """Finds mutable state that engines of two users share: when a scope opens, and whenever `look` is called.

    It is a `FactoryObserver` that passes every call on to the recorder.

    Args:
        recorder: records what is found.

    Attributes:
        seen: a weak set of all engines that were made; an engine stays in it as long as something references it.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.seen: WeakSet[UserExecutionEngine] = WeakSet()
        self._recorder = recorder
        self._probe = SharedStateProbe()
        self._factory: ExecutionEngineFactory | None = None
        self._openings = 0
        self._next_look = 1
        self.scope_closed = recorder.scope_closed
        self.scope_refused = recorder.scope_refused

    def watch(self, factory: ExecutionEngineFactory) -> None:
        """Compare the engines of this factory, which must have this object as its observer."""
        self._factory = factory

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """See `FactoryObserver`. At some openings, compares the new engine with those before it.

        These are the first openings, and then one each time that their number has grown by an eighth. State that all engines
        share is so found at once, whatever the timing.
        """
        self._recorder.scope_opened(run_id, user_id)
        if self._factory is None:
            return
        self.seen.update(self._factory.latest_engines(1))
        if engines := self.engines_at_opening(run_id, self._factory):
            users = {self._probe.kept_user, *(engine.context.user_id for engine in engines)} - {None}
            shared = self._probe.look_at_opening(engines)
            if len(users) >= 2:
                self._record(shared, len(engines))

    def engines_at_opening(self, run_id: str, factory: ExecutionEngineFactory) -> Sequence[UserExecutionEngine]:
        """The engines to compare now that the scope of this run has opened, its own first; none at most openings."""
        self._openings += 1
        if self._openings < self._next_look:
            return ()
        self._next_look = opening_after(self._openings)
        return factory.latest_engines(ENGINES_AT_AN_OPENING)

    def look(self, engines: Sequence[UserExecutionEngine]) -> None:
        """Compare live engines and record what they share; engines of one user alone are not compared."""
        if len({engine.context.user_id for engine in engines}) >= 2:
            self._record(self._probe.look(engines), len(engines))

    def forget(self) -> None:
        """Release all references to parts of engines."""
        self._probe.forget()

    def _record(self, shared: Sequence[SharedObject], engines: int) -> None:
        self._recorder.sample(ENGINES_COMPARED, engines)
        for found in shared:
            self._recorder.shared(found.user_id, found.other_user_id, f"{found.type_name} at {found.path}")


def record_left_overs(
    recorder: Recorder,
    bridge: AgentWebSocketBridge,
    factory: ExecutionEngineFactory,
    watch: EngineWatch,
) -> None:
    """Record what is left after a shutdown. The caller must be the only task that should be left on the loop.

    Args:
        recorder: records the counts.
        bridge: was shut down.
        factory: was shut down.
        watch: was the factory's observer; the engines that are still in ``watch.seen`` count as left.
    """
    watch.forget()
    engines = watch.seen
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
    """Collect garbage until the engines are gone, or for about a second while other threads may still hold them."""
    pauses = iter(_PATIENCE)
    while engines:
        gc.collect()
        # A profiler thread holds the frames that it samples, and so their engines, for a moment; a leak holds them for good.
        if not engines or threading.active_count() == 1 or (pause := next(pauses, None)) is None:
            return
        time.sleep(pause)

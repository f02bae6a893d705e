"""Looks into a live system that nobody reports by themselves: what is left at the end, what engines share meanwhile."""

import asyncio
import gc
import threading
import time
from collections.abc import Collection, Sequence
from weakref import WeakSet

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, SharedObject, SharedStateProbe, UserExecutionEngine
from netra_sim.history import ASYNCIO_REPLACED, ENGINES_PROBED, MOST_UNSENT_BYTES, OUTBOX_BYTES, REPLAY_BYTES
from netra_sim.recording.recorder import Recorder

_PATIENCE = tuple(0.001 * 2**turn for turn in range(10))
"""How long other threads are given to let go of an engine, in real seconds: one second in all."""

_STOCK = {name: getattr(asyncio, name) for name in ("sleep", "wait_for", "gather")}

ENGINES_AT_A_LOOK = 8
"""Engines that are compared at once."""

_AT_AN_OPENING = 3


def record_gauges(recorder: Recorder, bridge: AgentWebSocketBridge) -> None:
    """Record what the bridge holds now, and whether asyncio is its own."""
    held = bridge.metrics()
    recorder.sample(REPLAY_BYTES, held.replay_bytes)
    recorder.sample(OUTBOX_BYTES, held.unsent_bytes)
    recorder.sample(MOST_UNSENT_BYTES, held.most_unsent_bytes)
    record_asyncio(recorder)


def record_asyncio(recorder: Recorder) -> None:
    """Record how many functions of asyncio's somebody has replaced for everybody."""
    recorder.sample(ASYNCIO_REPLACED, sum(getattr(asyncio, name) is not stock for name, stock in _STOCK.items()))


class EngineWatch:
    """Compares the live engines of one factory for state that users share: as scopes open, and whenever `look` is called.

    It is a `FactoryObserver` that passes everything on to the recorder.

    Args:
        recorder: writes down what is found.

    Attributes:
        seen: a weak set of all engines that were made; those that are still in it are referenced by something.
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
        """Look at the engines of this factory, whose observer this is."""
        self._factory = factory

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """See `FactoryObserver`; at some of the openings the new engine is compared with those before it.

        The first openings are looked at, and then one whenever their number has grown by an eighth: state that all engines
        share is seen at once, whatever the timing.
        """
        self._recorder.scope_opened(run_id, user_id)
        if self._factory is None:
            return
        engines = self._factory.latest_engines(_AT_AN_OPENING)
        self.seen.update(engines[:1])
        self._openings += 1
        if self._openings >= self._next_look:
            self._next_look = self._openings + 1 + self._openings // 8
            users = {self._probe.kept_user, *(engine.context.user_id for engine in engines)} - {None}
            shared = self._probe.look_at_opening(engines)
            if len(users) >= 2:
                self._record(shared, len(engines))

    def look(self, engines: Sequence[UserExecutionEngine]) -> None:
        """Compare live engines, of two users at least, and record what they share."""
        if len({engine.context.user_id for engine in engines}) >= 2:
            self._record(self._probe.look(engines), len(engines))

    def forget(self) -> None:
        """Hold no engine's parts any more."""
        self._probe.forget()

    def _record(self, shared: Sequence[SharedObject], engines: int) -> None:
        self._recorder.sample(ENGINES_PROBED, engines)
        for found in shared:
            self._recorder.shared(found.user_id, found.other_user_id, f"{found.type_name} at {found.path}")


def record_left_overs(
    recorder: Recorder,
    bridge: AgentWebSocketBridge,
    factory: ExecutionEngineFactory,
    watch: EngineWatch,
) -> None:
    """Record what is there after a shutdown; call it from the only task that should be left on the loop.

    Args:
        recorder: writes it down.
        bridge: that was shut down.
        factory: that was shut down.
        watch: has seen the factory's engines; those that are still in its weak set are referenced by something.
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
    """Free what only garbage or a passing look of another thread still holds."""
    pauses = iter(_PATIENCE)
    while engines:
        gc.collect()
        # A profiler's thread holds the frames that it looks at, and with them their engines; who leaks never lets go.
        if not engines or threading.active_count() == 1 or (pause := next(pauses, None)) is None:
            return
        time.sleep(pause)

"""`ExecutionEngineFactory`: the one place where engines are made, each for one user's run, within the user's limits."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice

from netra_sim.bridge import AgentWebSocketBridge, contained
from netra_sim.exceptions import (
    BridgeNotReadyError,
    ContextError,
    EngineLimitError,
    FactoryClosedError,
    FactoryError,
    NetraSimError,
    RunExistsError,
)
from netra_sim.factory.agents import Pipeline
from netra_sim.factory.context import UserExecutionContext
from netra_sim.factory.engine import EngineLimits, UserExecutionEngine
from netra_sim.factory.observer import FactoryObserver
from netra_sim.factory.pipeline import default_pipeline
from netra_sim.runtime import windows_safe_wait_for


class ExecutionEngineFactory:
    """Makes an isolated engine for every request.

    Every cost is independent of how many engines live or have lived; no engine, agent, context or emitter stays
    referenced once its scope has ended.

    Args:
        websocket_bridge: carries the events; integrated on first use if it is not yet.
        pipeline: makes a run's agents; the default pipeline without delays unless given.
        limits: per user and per engine.
        observer: is told of every scope.

    Raises:
        FactoryError: there is no bridge.
    """

    def __init__(
        self,
        *,
        websocket_bridge: AgentWebSocketBridge,
        pipeline: Pipeline | None = None,
        limits: EngineLimits | None = None,
        observer: FactoryObserver | None = None,
    ) -> None:
        if not isinstance(websocket_bridge, AgentWebSocketBridge):
            raise FactoryError(
                f"websocket_bridge must be an AgentWebSocketBridge, and is {websocket_bridge!r}; without one no event "
                "would reach its user"
            )
        self.limits = limits or EngineLimits()
        self._bridge = websocket_bridge
        self._pipeline = pipeline or default_pipeline()
        self._observer = None if observer is None else contained(observer)
        self._places_taken: dict[str, int] = {}
        self._engines: dict[str, UserExecutionEngine] = {}
        self._opening: dict[str, str] = {}
        self._cancelled_early: set[str] = set()
        self._is_closed = False
        self._became_idle = asyncio.Event()

    @property
    def engines(self) -> tuple[UserExecutionEngine, ...]:
        """The live engines, oldest first."""
        return tuple(self._engines.values())

    def latest_engines(self, count: int) -> tuple[UserExecutionEngine, ...]:
        """The live engines that were made last, the newest first."""
        return tuple(islice(reversed(self._engines.values()), count))

    def live_engines(self, user_id: str | None = None) -> int:
        """How many engines live or are being made: a user's, or everybody's."""
        return sum(self._places_taken.values()) if user_id is None else self._places_taken.get(user_id, 0)

    def claim_thread(self, user_id: str, thread_id: str) -> None:
        """See that a thread that a client names is its user's.

        Raises:
            ThreadOwnerError: another user used it first; see `AgentWebSocketBridge.claim_thread`.
        """
        self._bridge.claim_thread(user_id, thread_id)

    def cancel_run(self, user_id: str, run_id: str) -> bool:
        """End a user's live run with ``agent_error`` "cancelled", as that user wishes.

        Returns at once: `UserExecutionEngine.execute_agent_pipeline` returns a CANCELLED result in the run's own task, and
        agents that do not end within `EngineLimits.cleanup_seconds` are given up. A run whose engine is still being made is
        cancelled as it begins.

        Args:
            user_id: the authenticated user who asks.
            run_id: the run; for a client's request `run_id_of` makes it.

        Returns:
            Whether this user has such a live run. Another user's run is answered as one that does not exist.
        """
        engine = self._engines.get(run_id)
        if engine is not None:
            return engine.context.user_id == user_id and engine.cancel()
        if self._opening.get(run_id) != user_id:
            return False
        self._cancelled_early.add(run_id)
        return True

    @asynccontextmanager
    async def user_execution_scope(self, context: UserExecutionContext) -> AsyncIterator[UserExecutionEngine]:
        """An engine for one run, which ends with the scope.

        The user's place is taken before anything is awaited and given back however the scope ends, so the limit holds
        under any interleaving (incidents F1, F6).

        Raises:
            EngineLimitError: the user has as many engines as the limits allow.
            FactoryClosedError: the factory was shut down.
            BridgeNotReadyError: the bridge could not be integrated within `EngineLimits.ready_seconds`.
            RunExistsError: the context's run id is in use.
            ContextError: the context is none.
        """
        if not isinstance(context, UserExecutionContext):
            raise ContextError(f"context must be a UserExecutionContext, and is a {type(context).__qualname__}")
        user_id, run_id = context.user_id, context.run_id
        try:
            # A request that is sent twice is told so, whatever the limit.
            if run_id in self._engines or run_id in self._opening:
                raise RunExistsError(f"run {run_id!r} is being executed")
            self._take_place(user_id)
        except NetraSimError as error:
            self._refused(run_id, user_id, error)
            raise
        try:
            self._opening[run_id] = user_id
            try:
                engine = await self._make_engine(context)
                if run_id in self._cancelled_early:
                    engine.cancel()
            except NetraSimError as error:
                self._refused(run_id, user_id, error)
                raise
            finally:
                del self._opening[run_id]
                self._cancelled_early.discard(run_id)
            left_over: Mapping[str, int] = {"engines": 1}
            try:
                yield engine
            finally:
                try:
                    left_over = await engine.close()
                finally:
                    del self._engines[run_id]
                    if not self._engines:
                        self._became_idle.set()
                    if self._observer is not None:
                        self._observer.scope_closed(run_id, user_id, left_over)
        finally:
            self._give_place_back(user_id)

    async def shutdown(self, drain: float = 0.0) -> None:
        """Make no more engines, let the live ones go on for ``drain`` seconds, then close them. Idempotent.

        The runs of engines that are closed end with ``agent_error``.
        """
        self._is_closed = True
        if self._engines and drain > 0:
            self._became_idle.clear()
            await windows_safe_wait_for(self._became_idle.wait(), drain, default=None)
        await asyncio.gather(*(engine.close() for engine in self.engines))

    async def _make_engine(self, context: UserExecutionContext) -> UserExecutionEngine:
        bridge = self._bridge
        unknown = bridge.last_integration_result
        result = await windows_safe_wait_for(bridge.ensure_integration(), self.limits.ready_seconds, default=unknown)
        if result is None or not result.success:
            reason = result.error if result else f"the bridge was not ready within {self.limits.ready_seconds:g} s"
            raise BridgeNotReadyError(f"no run can begin: {reason}")
        if self._is_closed:
            raise FactoryClosedError("the factory was shut down while the engine was being made")
        emitter = bridge.open_run(user_id=context.user_id, thread_id=context.thread_id, run_id=context.run_id)
        try:
            engine = UserExecutionEngine(context, emitter, self._pipeline, self.limits)
        except BaseException:
            emitter.close()
            raise
        self._engines[context.run_id] = engine
        if self._observer is not None:
            self._observer.scope_opened(context.run_id, context.user_id)
        return engine

    def _take_place(self, user_id: str) -> None:
        if self._is_closed:
            raise FactoryClosedError("the factory was shut down; it makes no more engines")
        taken = self._places_taken.get(user_id, 0)
        if taken >= self.limits.engines_per_user:
            raise EngineLimitError(user_id, taken, self.limits.engines_per_user)
        self._places_taken[user_id] = taken + 1

    def _give_place_back(self, user_id: str) -> None:
        taken = self._places_taken[user_id] - 1
        if taken:
            self._places_taken[user_id] = taken
        else:
            del self._places_taken[user_id]

    def _refused(self, run_id: str, user_id: str, error: NetraSimError) -> None:
        if self._observer is not None:
            self._observer.scope_refused(run_id, user_id, type(error).__name__)

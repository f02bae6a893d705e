"""`ExecutionEngineFactory`: makes one engine for each run, within the limits of the run's user."""

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

    The cost of an engine does not depend on how many engines live or have lived. After the end of its scope, nothing refers
    to an engine, its agents, its context or its emitter.

    Args:
        websocket_bridge: carries the events; the first scope integrates it if needed.
        pipeline: makes the agents of a run; by default the default pipeline, without delays.
        limits: limits for each user and each engine.
        observer: receives a call for every scope.

    Raises:
        FactoryError: ``websocket_bridge`` is not a bridge.
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
        """The last ``count`` live engines that were made, newest first."""
        return tuple(islice(reversed(self._engines.values()), count))

    def live_engines(self, user_id: str | None = None) -> int:
        """The number of engines that are live or being made: of one user, or of all users."""
        return sum(self._places_taken.values()) if user_id is None else self._places_taken.get(user_id, 0)

    def claim_thread(self, user_id: str, thread_id: str) -> None:
        """Check that the user owns the thread; see `AgentWebSocketBridge.claim_thread`.

        Raises:
            ThreadOwnerError: the thread belongs to another user.
        """
        self._bridge.claim_thread(user_id, thread_id)

    def cancel_run(self, user_id: str, run_id: str) -> bool:
        """End a live run of this user with ``agent_error`` "cancelled".

        This returns at once. `UserExecutionEngine.execute_agent_pipeline` then returns a CANCELLED result, and the scope
        waits for the agents for at most `EngineLimits.cleanup_seconds`. If the engine of the run is still being made, the
        run is cancelled as it begins.

        Args:
            user_id: the authenticated user who asks.
            run_id: the run; `run_id_of` gives it for a client's request.

        Returns:
            Whether this user has such a live run. Another user's run gives the same answer as a run that does not exist.
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
        """Open the scope of one run: an asynchronous context that gives its engine and closes it at the end.

        The scope counts against the user's limit before it awaits anything, and stops counting however it ends. So the limit
        holds under any interleaving (incidents F1, F6).

        Raises:
            EngineLimitError: the user has as many engines as the limits allow.
            FactoryClosedError: the factory was shut down.
            BridgeNotReadyError: the bridge could not be integrated within `EngineLimits.ready_seconds`.
            RunExistsError: the run id of the context is in use.
            ContextError: ``context`` is not a `UserExecutionContext`.
        """
        if not isinstance(context, UserExecutionContext):
            raise ContextError(f"context must be a UserExecutionContext, and is a {type(context).__qualname__}")
        user_id, run_id = context.user_id, context.run_id
        try:
            # Before the limit: a request that was sent twice gets RunExistsError even at the limit.
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
        """Make no more engines, let live engines go on for up to ``drain`` seconds, then close them. Idempotent.

        The runs of the closed engines end with ``agent_error``.
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

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
    """Makes an isolated engine for every run.

    Making an engine costs the same, however many engines are live or were made before. After the end of a scope, the factory
    holds no reference to its engine, agents, context or emitter.

    Args:
        websocket_bridge: sends the events to the users; each scope first integrates it unless it is active.
        pipeline: makes the agents of a run; None for `default_pipeline` without delays.
        limits: the limits of each user and each engine; None for the defaults of `EngineLimits`.
        observer: gets a call for every scope that opens, closes or is refused; its errors are reported and go no further.

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
        # Of the runs whose engine is being made: the user of each, and those to cancel as they begin.
        self._opening: dict[str, str] = {}
        self._cancelled_early: set[str] = set()
        self._is_closed = False
        self._became_idle = asyncio.Event()

    @property
    def engines(self) -> tuple[UserExecutionEngine, ...]:
        """The live engines, oldest first."""
        return tuple(self._engines.values())

    def latest_engines(self, count: int) -> tuple[UserExecutionEngine, ...]:
        """At most ``count`` live engines, newest first."""
        return tuple(islice(reversed(self._engines.values()), count))

    def live_engines(self, user_id: str | None = None) -> int:
        """How many engines are being made, live or closing: of one user, or with None of all users."""
        return sum(self._places_taken.values()) if user_id is None else self._places_taken.get(user_id, 0)

    def claim_thread(self, user_id: str, thread_id: str) -> None:
        """Make the user the owner of a thread without one, or check that it is; see `AgentWebSocketBridge.claim_thread`.

        Raises:
            ThreadOwnerError: the thread belongs to another user.
            WrongLoopError: this is not the bridge's event loop.
        """
        self._bridge.claim_thread(user_id, thread_id)

    def cancel_run(self, user_id: str, run_id: str) -> bool:
        """End a live run of this user with ``agent_error`` "cancelled".

        This returns before the run has ended. `UserExecutionEngine.execute_agent_pipeline` then returns a CANCELLED result,
        and the scope waits for the agents for at most `EngineLimits.cleanup_seconds`. If the engine of the run is still
        being made, the run is cancelled as it begins.

        Args:
            user_id: the authenticated user who asks.
            run_id: the run; `run_id_of` gives it for a client's request.

        Returns:
            Whether the run is this user's, and is live or being opened. For another user's run, False, as for no run.
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
        """Open a scope for one run: ``async with`` gets its engine, and the end of the block closes the engine.

        The scope takes one of the user's places before its first ``await``, and gives it back however it ends. So scopes
        that open at the same time cannot exceed the limit (incidents F1, F6).

        Raises:
            EngineLimitError: the user has as many engines as the limits allow.
            FactoryClosedError: the factory was shut down.
            BridgeNotReadyError: the bridge was shut down, or its integration failed or took more than
                `EngineLimits.ready_seconds`.
            RunExistsError: the run id of the context is in use.
            ContextError: ``context`` is not a `UserExecutionContext`.
            WrongLoopError: this is not the bridge's event loop.
        """
        if not isinstance(context, UserExecutionContext):
            raise ContextError(f"context must be a UserExecutionContext, and is a {type(context).__qualname__}")
        user_id, run_id = context.user_id, context.run_id
        try:
            # Checked before the limit: a request that was sent twice gets RunExistsError, also from a user at the limit.
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
            left_over: Mapping[str, int] = {"engines": 1}  # what the observer gets if `close` raises
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
        """Make no more engines, wait up to ``drain`` seconds for live ones to end, and close the others. Idempotent.

        Runs that have not ended by then end with ``agent_error``.
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

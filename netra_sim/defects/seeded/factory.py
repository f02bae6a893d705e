"""Defects of the original factory, engines and contexts: F1 to F9 and S18."""

import asyncio
import contextvars
import sys
from typing import Any

from netra_sim.bridge import AgentWebSocketBridge, RunEmitter
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import CANCELLED, CRASHING, CROWD, DEPLOYED, ONE_BY_ONE, TOO_MANY
from netra_sim.factory import ExecutionEngineFactory, UserExecutionEngine, context, pipeline

_SCAN_SECONDS = 0.2


@seeded_defect("limit-is-never-reached", "F1", scenario=TOO_MANY)
def limit_is_never_reached(patches: Patches) -> None:
    """Engines are keyed by the millisecond, so that simultaneous ones count as one: the limit is never reached."""

    @patches.attribute(ExecutionEngineFactory, "_take_place")
    def take_place(original: Any) -> Any:
        def uncounted(self: Any, user_id: str) -> None:
            self._places_taken[user_id] = self._places_taken.get(user_id, 0) + 1

        return uncounted


@seeded_defect("shared-dispatcher", "F2", scenario=CROWD)
def shared_dispatcher(patches: Patches) -> None:
    """A registry that all engines share holds the current question: agents work on the question of another user."""
    registry: dict[str, str] = {}

    @patches.attribute(pipeline._TimedTool, "__call__")
    def call(original: Any) -> Any:
        async def by_registry(self: Any, *, question: str) -> object:
            registry["question"] = question
            await asyncio.sleep(self._seconds)
            return self._work(registry["question"], self._known)

        return by_registry


@seeded_defect("counts-by-scanning", "F3", scenario=CROWD)
def counts_by_scanning(patches: Patches) -> None:
    """Counting a user's engines scans the engines of all users, and blocks the event loop meanwhile."""

    @patches.attribute(ExecutionEngineFactory, "_take_place")
    def take_place(original: Any) -> Any:
        def scanning(self: Any, user_id: str) -> None:
            loop: Any = asyncio.get_running_loop()
            if hasattr(loop, "spend"):
                loop.spend(_SCAN_SECONDS * len(self._engines))
            original(self, user_id)

        return scanning


@seeded_defect("finished-engines-stay", "F4", scenario=CROWD)
def finished_engines_stay(patches: Patches) -> None:
    """Engines stay referenced when their scope has ended."""
    finished: list[UserExecutionEngine] = []

    @patches.attribute(UserExecutionEngine, "close")
    def close(original: Any) -> Any:
        async def remembered(self: Any) -> Any:
            finished.append(self)
            return await original(self)

        return remembered


@seeded_defect("agents-outlive-their-scope", "F5", scenario=CANCELLED)
def agents_outlive_their_scope(patches: Patches) -> None:
    """Ending a scope does not end its agents."""

    @patches.attribute(UserExecutionEngine, "_cancel_tasks")
    def cancel_tasks(original: Any) -> Any:
        async def nothing(self: Any) -> None:
            return None

        return nothing


@seeded_defect("place-kept-after-failure", "F6", scenario=CANCELLED)
def place_kept_after_failure(patches: Patches) -> None:
    """A scope that ends with an error keeps its user's place forever."""

    @patches.attribute(ExecutionEngineFactory, "_give_place_back")
    def give_place_back(original: Any) -> Any:
        def unless_it_failed(self: Any, user_id: str) -> None:
            if sys.exc_info()[0] is None:
                original(self, user_id)

        return unless_it_failed


@seeded_defect("places-are-never-given-back", "F6", scenario=ONE_BY_ONE)
def places_are_never_given_back(patches: Patches) -> None:
    """Ended runs count against their user's limit: after two the user is locked out."""

    @patches.attribute(ExecutionEngineFactory, "_give_place_back")
    def give_place_back(original: Any) -> Any:
        def nothing(self: Any, user_id: str) -> None:
            return None

        return nothing


@seeded_defect("failures-are-silent", "F7", scenario=CRASHING)
def failures_are_silent(patches: Patches) -> None:
    """A failing agent ends its run without an event to the user."""

    @patches.attribute(UserExecutionEngine, "_end_with_error")
    def end_with_error(original: Any) -> Any:
        def silently(self: Any, status: object, sentence: str) -> None:
            return None

        return silently

    @patches.attribute(RunEmitter, "close")
    def close(original: Any) -> Any:
        def without_an_end(self: Any) -> None:
            self._run = None

        return without_an_end


@seeded_defect("factory-without-bridge", "F8", scenario=CROWD)
def factory_without_bridge(patches: Patches) -> None:
    """A factory without a bridge makes engines."""

    @patches.attribute(ExecutionEngineFactory, "__init__")
    def init(original: Any) -> Any:
        def without_looking(self: Any, *, websocket_bridge: Any, **options: Any) -> None:
            original(self, websocket_bridge=websocket_bridge or AgentWebSocketBridge(), **options)

        return without_looking


@seeded_defect("closed-factory-goes-on", "F8", scenario=DEPLOYED)
def closed_factory_goes_on(patches: Patches) -> None:
    """A factory that was shut down still makes engines."""

    @patches.attribute(ExecutionEngineFactory, "shutdown")
    def shutdown(original: Any) -> Any:
        async def in_name_only(self: Any, drain: float = 0.0) -> None:
            return None

        return in_name_only


@seeded_defect("contexts-can-change", "F9", scenario=CROWD)
def contexts_can_change(patches: Patches) -> None:
    """Contexts hold mutable objects, and the contexts of two users share one."""
    session: dict[str, Any] = {}

    @patches.attribute(context, "_frozen")
    def frozen(original: Any) -> Any:
        def with_session(value: Any, path: str, depth: int) -> Any:
            return {**value, "session": session} if depth == 0 else value

        return with_session


@seeded_defect("one-emitter-for-all", "S18", scenario=CROWD)
def one_emitter_for_all(patches: Patches) -> None:
    """The WebSocket path keeps a singleton: the thoughts of all users' agents go to the first user."""
    first: list[RunEmitter] = []

    @patches.attribute(RunEmitter, "agent_thinking")
    def agent_thinking(original: Any) -> Any:
        def through_singleton(self: Any, reasoning: object) -> Any:
            if not first or not first[0].is_open:
                first[:] = [self]
            return original(first[0], reasoning)

        return through_singleton


@seeded_defect("one-context-for-all", "S18", scenario=CROWD)
def one_context_for_all(patches: Patches) -> None:
    """All agents run in the context of the first user's request."""
    shared: list[contextvars.Context] = []

    @patches.attribute(UserExecutionEngine, "_spawn")
    def spawn(original: Any) -> Any:
        def in_first_context(self: Any, work: Any, name: str) -> Any:
            if not shared:
                shared.append(contextvars.copy_context())
            return shared[0].copy().run(original, self, work, name)

        return in_first_context

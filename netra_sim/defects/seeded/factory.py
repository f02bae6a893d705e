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
    def uncounted(original: Any, self: Any, user_id: str) -> None:
        self._places_taken[user_id] = self._places_taken.get(user_id, 0) + 1


@seeded_defect("shared-dispatcher", "F2", scenario=CROWD)
def shared_dispatcher(patches: Patches) -> None:
    """A registry that all engines share holds the current question: agents work on the question of another user."""
    registry: dict[str, str] = {}

    @patches.attribute(pipeline._TimedTool, "__call__")
    async def by_registry(original: Any, self: Any, *, question: str) -> object:
        registry["question"] = question
        await asyncio.sleep(self._seconds)
        return self._work(registry["question"], self._known)


@seeded_defect("counts-by-scanning", "F3", scenario=CROWD)
def counts_by_scanning(patches: Patches) -> None:
    """Counting a user's engines scans the engines of all users, and blocks the event loop meanwhile."""

    @patches.attribute(ExecutionEngineFactory, "_take_place")
    def scanning(original: Any, self: Any, user_id: str) -> None:
        loop: Any = asyncio.get_running_loop()
        if hasattr(loop, "spend"):
            loop.spend(_SCAN_SECONDS * len(self._engines))
        original(self, user_id)


@seeded_defect("finished-engines-stay", "F4", scenario=CROWD)
def finished_engines_stay(patches: Patches) -> None:
    """Engines stay referenced when their scope has ended."""
    finished: list[UserExecutionEngine] = []

    @patches.attribute(UserExecutionEngine, "close")
    async def remembered(original: Any, self: Any) -> Any:
        finished.append(self)
        return await original(self)


@seeded_defect("agents-outlive-their-scope", "F5", scenario=CANCELLED)
def agents_outlive_their_scope(patches: Patches) -> None:
    """Ending a scope does not end its agents."""

    @patches.attribute(UserExecutionEngine, "_cancel_tasks")
    async def nothing(original: Any, self: Any) -> None:
        return None


@seeded_defect("place-kept-after-failure", "F6", scenario=CANCELLED)
def place_kept_after_failure(patches: Patches) -> None:
    """A scope that ends with an error keeps its user's place forever."""

    @patches.attribute(ExecutionEngineFactory, "_give_place_back")
    def unless_it_failed(original: Any, self: Any, user_id: str) -> None:
        if sys.exc_info()[0] is None:
            original(self, user_id)


@seeded_defect("places-are-never-given-back", "F6", scenario=ONE_BY_ONE)
def places_are_never_given_back(patches: Patches) -> None:
    """Ended runs count against their user's limit: after two the user is locked out."""

    @patches.attribute(ExecutionEngineFactory, "_give_place_back")
    def nothing(original: Any, self: Any, user_id: str) -> None:
        return None


@seeded_defect("failures-are-silent", "F7", scenario=CRASHING)
def failures_are_silent(patches: Patches) -> None:
    """A failing agent ends its run without an event to the user."""

    @patches.attribute(UserExecutionEngine, "_end_with_error")
    def silently(original: Any, self: Any, status: object, sentence: str) -> None:
        return None

    @patches.attribute(RunEmitter, "close")
    def without_an_end(original: Any, self: Any) -> None:
        self._run = None


@seeded_defect("factory-without-bridge", "F8", scenario=CROWD)
def factory_without_bridge(patches: Patches) -> None:
    """A factory without a bridge makes engines."""

    @patches.attribute(ExecutionEngineFactory, "__init__")
    def without_looking(original: Any, self: Any, *, websocket_bridge: Any, **options: Any) -> None:
        original(self, websocket_bridge=websocket_bridge or AgentWebSocketBridge(), **options)


@seeded_defect("closed-factory-goes-on", "F8", scenario=DEPLOYED)
def closed_factory_goes_on(patches: Patches) -> None:
    """A factory that was shut down still makes engines."""

    @patches.attribute(ExecutionEngineFactory, "shutdown")
    async def in_name_only(original: Any, self: Any, drain: float = 0.0) -> None:
        return None


@seeded_defect("contexts-can-change", "F9", scenario=CROWD)
def contexts_can_change(patches: Patches) -> None:
    """Contexts hold mutable objects, and the contexts of two users share one."""
    session: dict[str, Any] = {}

    @patches.attribute(context, "_frozen")
    def with_session(original: Any, value: Any, path: str, depth: int) -> Any:
        return {**value, "session": session} if depth == 0 else value


@seeded_defect("one-emitter-for-all", "S18", scenario=CROWD)
def one_emitter_for_all(patches: Patches) -> None:
    """The WebSocket path keeps a singleton: the thoughts of all users' agents go to the first user."""
    first: list[RunEmitter] = []

    @patches.attribute(RunEmitter, "agent_thinking")
    def through_singleton(original: Any, self: Any, reasoning: object) -> Any:
        if not first or not first[0].is_open:
            first[:] = [self]
        return original(first[0], reasoning)


@seeded_defect("one-context-for-all", "S18", scenario=CROWD)
def one_context_for_all(patches: Patches) -> None:
    """All agents run in the context of the first user's request."""
    shared: list[contextvars.Context] = []

    @patches.attribute(UserExecutionEngine, "_spawn")
    def in_first_context(original: Any, self: Any, work: Any, name: str) -> Any:
        if not shared:
            shared.append(contextvars.copy_context())
        return shared[0].copy().run(original, self, work, name)

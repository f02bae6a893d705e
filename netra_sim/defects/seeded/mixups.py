"""Defects that mix up data, answers, threads and numbers."""

import asyncio
import json
from typing import Any
from weakref import WeakKeyDictionary

from netra_sim.bridge import RunEmitter
from netra_sim.bridge.delivery import Delivery
from netra_sim.defects.seeded.defect import Patches, seeded_defect
from netra_sim.defects.seeded.scenarios import CANCELLED, CROWD, MANY_REQUESTS, ONE_BY_ONE, SLOW_ENDS, TWO_AT_ONCE
from netra_sim.factory import AgentSession, ExecutionEngineFactory, UserExecutionEngine, pipeline, routing

_CUT_AT = 20


@seeded_defect("cache-without-user", "F2", scenario=CROWD)
def cache_without_user(patches: Patches) -> None:
    """A cache of figures has no user in its key: each user gets a copy of the previous user's figures."""
    cached: dict[int, str] = {}

    @patches.attribute(pipeline, "usage")
    def of_whoever_came_before(original: Any, question: str, index: int) -> Any:
        new = json.dumps(original(question, index))
        old, cached[index] = cached.get(index, new), new
        return json.loads(old)


@seeded_defect("stale-answer", "F2", scenario=ONE_BY_ONE)
def stale_answer(patches: Patches) -> None:
    """A user's second question gets the answer to the first."""
    answers: dict[str, object] = {}

    @patches.attribute(RunEmitter, "agent_completed")
    def with_the_first_answer(original: Any, self: Any, final_response: object, *rest: Any) -> Any:
        return original(self, answers.setdefault(self.user_id, final_response), *rest)


@seeded_defect("answers-are-cut", "B11", scenario=CROWD)
def answers_are_cut(patches: Patches) -> None:
    """Final answers are cut after twenty characters."""

    @patches.attribute(RunEmitter, "agent_completed")
    def cut(original: Any, self: Any, final_response: object, *rest: Any) -> Any:
        return original(self, str(final_response)[:_CUT_AT], *rest)


@seeded_defect("swapped-answers", "B10", scenario=CROWD)
def swapped_answers(patches: Patches) -> None:
    """The answers of two agents that run at once are passed on under each other's name."""

    @patches.attribute(AgentSession, "__init__")
    def with_swapped_answers(original: Any, self: Any, context: Any, answers: Any, *rest: Any) -> None:
        swapped = {"data": "contracts", "contracts": "data"}
        if answers.keys() >= swapped.keys():
            answers = {name: answers[swapped.get(name, name)] for name in answers}
        original(self, context, answers, *rest)


@seeded_defect("wrong-thread", "S19", scenario=TWO_AT_ONCE)
def wrong_thread(patches: Patches) -> None:
    """All events of a user carry the thread of the user's first run."""
    threads: dict[str, str] = {}

    @patches.attribute(Delivery, "open_run")
    def in_the_first_thread(original: Any, self: Any, user_id: str, thread_id: str, run_id: str, **options: Any) -> Any:
        return original(self, user_id, threads.setdefault(user_id, thread_id), run_id, **options)


@seeded_defect("tool-duration-wrong", "V2", scenario=CROWD)
def tool_duration_wrong(patches: Patches) -> None:
    """A tool's duration is the time of the clock, and not the time that it took."""

    @patches.attribute(RunEmitter, "tool_completed")
    def with_the_clock(original: Any, self: Any, tool_name: str, results: object, duration: float) -> Any:
        return original(self, tool_name, results, asyncio.get_running_loop().time())


@seeded_defect("tools-never-complete", "F7", scenario=CROWD)
def tools_never_complete(patches: Patches) -> None:
    """A tool that answers publishes no tool_completed."""

    @patches.attribute(RunEmitter, "tool_completed")
    def unless_it_is_the_query(original: Any, self: Any, tool_name: str, *rest: Any) -> Any:
        return -1 if tool_name == "query_usage" else original(self, tool_name, *rest)


@seeded_defect("run-ids-collide", "S7", scenario=MANY_REQUESTS)
def run_ids_collide(patches: Patches) -> None:
    """A run id is the user id and a number without a separator: two users can get the same run id."""

    @patches.function(routing.run_id_of)
    def without_a_dot(original: Any, user_id: str, request_id: str) -> str:
        return user_id + request_id


@seeded_defect("place-given-back-too-early", "F1", scenario=SLOW_ENDS)
def place_given_back_too_early(patches: Patches) -> None:
    """A user's place is free again while its engine is still closing."""

    @patches.attribute(ExecutionEngineFactory, "_take_place")
    def beside_closing_engines(original: Any, self: Any, user_id: str) -> None:
        closing = sum(engine.context.user_id == user_id and engine._is_closed for engine in self.engines)
        self._places_taken[user_id] = self._places_taken.get(user_id, 0) - closing
        try:
            original(self, user_id)
        finally:
            self._places_taken[user_id] += closing


@seeded_defect("no-end-after-a-cancel", "F7", scenario=CANCELLED)
def no_end_after_a_cancel(patches: Patches) -> None:
    """A cancelled run ends without an event to the user."""

    @patches.attribute(UserExecutionEngine, "_end_with_error")
    def unless_it_was_cancelled(original: Any, self: Any, status: Any, sentence: str) -> Any:
        return None if status == "cancelled" else original(self, status, sentence)

    @patches.attribute(RunEmitter, "close")
    def without_an_end(original: Any, self: Any) -> None:
        self._run = None


@seeded_defect("run-beside-the-factory", "F8", scenario=CROWD)
def run_beside_the_factory(patches: Patches) -> None:
    """When a scope ends, events go on in a run without a factory."""

    @patches.attribute(UserExecutionEngine, "close")
    async def and_go_on(original: Any, self: Any) -> Any:
        delivery, context = self._emitter._delivery, self.context
        left = await original(self)
        again = delivery.open_run(context.user_id, context.thread_id, f"{context.run_id}-again")
        emitter = RunEmitter(delivery, again)
        emitter.agent_started("nobody")
        emitter.agent_error("abandoned", "There is no engine.")
        return left


@seeded_defect("failures-nobody-awaits", "S15", scenario=CROWD)
def failures_nobody_awaits(patches: Patches) -> None:
    """Background work of an agent fails, and its error reaches only the event loop."""

    async def fail() -> None:
        raise ConnectionError("the notes could not be kept")

    @patches.attribute(AgentSession, "think")
    def and_keep_notes(original: Any, self: Any, reasoning: object) -> None:
        original(self, reasoning)
        asyncio.get_running_loop().create_task(fail(), name="keeps notes")


@seeded_defect("events-held-back", "S12", scenario=CROWD)
def events_held_back(patches: Patches) -> None:
    """All events of a run except the first are kept until it ends, and are then published together."""
    held: WeakKeyDictionary[RunEmitter, list[tuple[Any, ...]]] = WeakKeyDictionary()

    @patches.attribute(RunEmitter, "_publish")
    def at_the_end(original: Any, self: Any, kind: Any, *event: Any) -> Any:
        if kind in ("agent_completed", "agent_error"):
            for one in held.pop(self, ()):
                original(self, *one)
        elif kind != "agent_started":
            held.setdefault(self, []).append((kind, *event))
            return -1
        return original(self, kind, *event)

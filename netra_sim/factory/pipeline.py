"""The default pipeline: triage, data and contracts at the same time, optimisation, actions, reporting.

The caller chooses how long each step takes. Every result contains the question that it answers, as a database row names its
owner, so a result in the wrong run can be recognised.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

import msgspec

from netra_sim.factory.agents import Agent, AgentSession, Pipeline
from netra_sim.factory.context import UserExecutionContext
from netra_sim.runtime import windows_asyncio_safe

_TOPICS = {"cost": ("cost", "spend", "bill", "cheap"), "latency": ("slow", "latency", "fast", "wait"), "usage": ()}
_SERVICES = ("inference", "storage", "network", "batch")


class Work(Protocol):
    """The function of a tool: computes a result from the question and the earlier results."""

    __name__: str

    def __call__(self, question: str, known: Mapping[str, Any]) -> object:
        """The results."""


class Timing(Protocol):
    """Decides how long a step takes; a simulation draws it at random."""

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """The seconds of a step that begins now, such as ``triage.think`` or ``triage.tool``; 0 for no delay."""


class NoDelay(msgspec.Struct, frozen=True):
    """Adds no delay to any step."""

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """No delay at all."""
        return 0.0


class Slots(Protocol):
    """Decides when a step may begin, such as when the model service has a free slot for it."""

    def slot(self, context: UserExecutionContext, step: str) -> AbstractAsyncContextManager[object]:
        """Enter it to wait for a slot for a step, such as ``triage.think``; leave it to release the slot."""


class NoLimit(msgspec.Struct, frozen=True):
    """Lets every step begin at once."""

    def slot(self, context: UserExecutionContext, step: str) -> AbstractAsyncContextManager[object]:
        """A slot that is always free."""
        return nullcontext()


def default_pipeline(timing: Timing | None = None, slots: Slots | None = None) -> Pipeline:
    """Six agents in five stages, each with a tool; the agents of one stage run at once."""
    pace, places = timing or NoDelay(), slots or NoLimit()

    def pipeline(context: UserExecutionContext) -> Sequence[Sequence[Agent]]:
        steps = {name: _Step(name, thought, tool, pace, places) for name, thought, tool in _STEPS}
        return tuple(tuple(steps[name] for name in stage) for stage in _STAGES)

    return pipeline


def answer_to(question: str) -> object:
    """Compute the answer of the default pipeline at once; a client can compare an answer with it."""
    known: dict[str, Any] = {}
    for name, _, work in _STEPS:
        known[name] = work(question, known) if work else [usage(question, index) for index in range(len(_SERVICES))]
    return known[_STAGES[-1][0]]


class _Step:
    """An agent that publishes a thought, uses its tool and returns the result."""

    __slots__ = ("_pace", "_slots", "_thought", "_work", "name")

    def __init__(self, name: str, thought: str, work: Work | None, pace: Timing, slots: Slots) -> None:
        self.name = name
        self._thought = thought
        self._work = work
        self._pace = pace
        self._slots = slots

    @windows_asyncio_safe
    async def run(self, session: AgentSession) -> object:
        context = session.context
        question = str(context.request.get("message", ""))
        session.think(self._thought.format(question=question))
        step = f"{self.name}.think"
        async with self._slots.slot(context, step):
            await asyncio.sleep(self._pace.seconds(context, step))
        step = f"{self.name}.tool"
        seconds, slot = partial(self._pace.seconds, context, step), self._slots.slot(context, step)
        tool = (
            _UsageQuery(seconds, slot) if self._work is None else _TimedTool(self._work, session.answers, seconds, slot)
        )
        return await session.use_tool(tool, question=question)


QUERY_SECONDS = 120.0
"""The time limit of the query to the services; by default `EngineLimits.agent_seconds` ends the agent earlier."""


class _TimedTool:
    """A tool that waits and then calls a function."""

    __slots__ = ("_known", "_seconds", "_slot", "_work", "name")

    def __init__(
        self,
        work: Work,
        known: Mapping[str, Any],
        seconds: Callable[[], float],
        slot: AbstractAsyncContextManager[object],
    ) -> None:
        self.name = work.__name__
        self._work = work
        self._known = known
        self._seconds = seconds
        self._slot = slot

    @windows_asyncio_safe
    async def __call__(self, *, question: str) -> object:
        async with self._slot:
            await asyncio.sleep(self._seconds())
        return self._work(question, self._known)


class _UsageQuery:
    """A tool that queries all services at the same moment: none answers before all have been asked."""

    __slots__ = ("_seconds", "_slot", "name")

    def __init__(self, seconds: Callable[[], float], slot: AbstractAsyncContextManager[object]) -> None:
        self.name = "query_usage"
        self._seconds = seconds
        self._slot = slot

    @windows_asyncio_safe
    async def __call__(self, *, question: str) -> object:
        asked = asyncio.Barrier(len(_SERVICES))

        async def ask(index: int) -> object:
            await asked.wait()
            await asyncio.sleep(seconds)
            return usage(question, index)

        async with self._slot:
            seconds = self._seconds()
            rows = asyncio.gather(*(ask(index) for index in range(len(_SERVICES))))
            return await asyncio.wait_for(rows, QUERY_SECONDS)


def classify_request(question: str, known: Mapping[str, Any]) -> object:
    """Find the topic of the question."""
    words = question.lower()
    topic = next((topic for topic, hints in _TOPICS.items() if any(hint in words for hint in hints)), "usage")
    return {"question": question, "topic": topic, "words": len(question.split())}


def usage(question: str, index: int) -> dict[str, object]:
    """Monthly units and cost of a service; the figures depend on the question only."""
    return _row(question, index, _digest(question)[:8])


def look_up_contracts(question: str, known: Mapping[str, Any]) -> object:
    """Monthly units and cost that each service's contract covers; the figures depend on the question only."""
    figures = _digest(question)[8:16]
    return [_row(question, index, figures) for index in range(len(_SERVICES))]


def find_savings(question: str, known: Mapping[str, Any]) -> object:
    """Find the service that exceeds its contract by the largest cost; the saving is a tenth of its cost."""
    paid = {row["service"]: row["cost"] for row in known["contracts"]}
    dearest = max(known["data"], key=lambda row: (row["cost"] - paid[row["service"]], row["service"]))
    return {"question": question, "service": dearest["service"], "saving": dearest["cost"] / 10}


def draft_actions(question: str, known: Mapping[str, Any]) -> object:
    """Propose what to do."""
    saving = known["optimisation"]
    actions = [f"Review {saving['service']}", f"Plan for {saving['saving']:.1f} less a month"]
    return {"question": question, "actions": actions}


def write_report(question: str, known: Mapping[str, Any]) -> object:
    """Write the answer for the user."""
    return {"question": question, "topic": known["triage"]["topic"], "actions": known["actions"]["actions"]}


def _digest(question: str) -> bytes:
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()


def _row(question: str, index: int, figures: bytes) -> dict[str, object]:
    service, units, cost = _SERVICES[index], 100 + figures[index], 10 * figures[index + 4]
    return {"question": question, "service": service, "units": units, "cost": cost}


_STEPS: tuple[tuple[str, str, Work | None], ...] = (
    ("triage", "What is this about: {question}", classify_request),
    ("data", "Which figures does it take: {question}", None),
    ("contracts", "What is paid for anyway: {question}", look_up_contracts),
    ("optimisation", "Where could it be better: {question}", find_savings),
    ("actions", "What should be done about: {question}", draft_actions),
    ("reporting", "Putting together the answer to: {question}", write_report),
)
_STAGES = (("triage",), ("data", "contracts"), ("optimisation",), ("actions",), ("reporting",))

"""The default pipeline: triage, data beside contracts, optimisation, actions, reporting.

How long each step takes is its caller's choice. Every result names the question that it belongs to, as a row of a database
names its owner, so that a result which reaches the wrong run says so by itself.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from netra_sim.factory.agents import Agent, AgentSession, Pipeline
from netra_sim.factory.context import UserExecutionContext
from netra_sim.runtime import windows_asyncio_safe

_TOPICS = {"cost": ("cost", "spend", "bill", "cheap"), "latency": ("slow", "latency", "fast", "wait"), "usage": ()}
_SERVICES = ("inference", "storage", "network", "batch")


class Work(Protocol):
    """What a tool computes from the question and from what is known already."""

    __name__: str

    def __call__(self, question: str, known: Mapping[str, Any]) -> object:
        """The results."""


class Timing(Protocol):
    """Says how long the work of a step takes; a simulation draws it."""

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """Seconds for a step such as ``triage.think`` or ``triage.tool``; 0 for none."""


class NoDelay(msgspec.Struct, frozen=True):
    """Every step takes no longer than its computation."""

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """No delay at all."""
        return 0.0


def default_pipeline(timing: Timing | None = None) -> Pipeline:
    """Six agents in five stages, each with a tool; the agents of one stage run at once."""
    pace = timing or NoDelay()

    def pipeline(context: UserExecutionContext) -> Sequence[Sequence[Agent]]:
        steps = {name: _Step(name, thought, tool, pace) for name, thought, tool in _STEPS}
        return tuple(tuple(steps[name] for name in stage) for stage in _STAGES)

    return pipeline


def answer_to(question: str) -> object:
    """What the default pipeline answers a question, computed at once; a client can hold an answer against it."""
    known: dict[str, Any] = {}
    for name, _, work in _STEPS:
        known[name] = work(question, known) if work else [usage(question, index) for index in range(len(_SERVICES))]
    return known[_STAGES[-1][0]]


class _Step:
    """An agent that thinks, uses its tool and hands on what it found."""

    __slots__ = ("_pace", "_thought", "_work", "name")

    def __init__(self, name: str, thought: str, work: Work | None, pace: Timing) -> None:
        self.name = name
        self._thought = thought
        self._work = work
        self._pace = pace

    @windows_asyncio_safe
    async def run(self, session: AgentSession) -> object:
        context = session.context
        question = str(context.request.get("message", ""))
        session.think(self._thought.format(question=question))
        await asyncio.sleep(self._pace.seconds(context, f"{self.name}.think"))
        seconds = self._pace.seconds(context, f"{self.name}.tool")
        tool = _UsageQuery(seconds) if self._work is None else _TimedTool(self._work, session.answers, seconds)
        return await session.use_tool(tool, question=question)


QUERY_SECONDS = 120.0
"""The longest that the services may take to answer; an agent's own turn ends before."""


class _TimedTool:
    """A function that takes its time."""

    __slots__ = ("_known", "_seconds", "_work", "name")

    def __init__(self, work: Work, known: Mapping[str, Any], seconds: float) -> None:
        self.name = work.__name__
        self._work = work
        self._known = known
        self._seconds = seconds

    @windows_asyncio_safe
    async def __call__(self, *, question: str) -> object:
        await asyncio.sleep(self._seconds)
        return self._work(question, self._known)


class _UsageQuery:
    """Asks every service for its figures, all for one and the same moment: none answers before all have been asked."""

    __slots__ = ("_seconds", "name")

    def __init__(self, seconds: float) -> None:
        self.name = "query_usage"
        self._seconds = seconds

    @windows_asyncio_safe
    async def __call__(self, *, question: str) -> object:
        asked = asyncio.Barrier(len(_SERVICES))

        async def ask(index: int) -> object:
            await asked.wait()
            await asyncio.sleep(self._seconds)
            return usage(question, index)

        rows = asyncio.gather(*(ask(index) for index in range(len(_SERVICES))))
        return await asyncio.wait_for(rows, QUERY_SECONDS)


def classify_request(question: str, known: Mapping[str, Any]) -> object:
    """What the question is about."""
    words = question.lower()
    topic = next((topic for topic, hints in _TOPICS.items() if any(hint in words for hint in hints)), "usage")
    return {"question": question, "topic": topic, "words": len(question.split())}


def usage(question: str, index: int) -> dict[str, object]:
    """Monthly units and cost of a service: figures that depend on the question alone."""
    return _row(question, index, _digest(question)[:8])


def look_up_contracts(question: str, known: Mapping[str, Any]) -> object:
    """Monthly units and cost of each service that are paid for anyway: figures that depend on the question alone."""
    return [_row(question, index, _digest(question)[8:16]) for index in range(len(_SERVICES))]


def find_savings(question: str, known: Mapping[str, Any]) -> object:
    """The service that costs most beyond its contract, and what a tenth of its cost would save."""
    paid = {row["service"]: row["cost"] for row in known["contracts"]}
    dearest = max(known["data"], key=lambda row: (row["cost"] - paid[row["service"]], row["service"]))
    return {"question": question, "service": dearest["service"], "saving": dearest["cost"] / 10}


def draft_actions(question: str, known: Mapping[str, Any]) -> object:
    """What to do about it."""
    saving = known["optimisation"]
    actions = [f"Review {saving['service']}", f"Plan for {saving['saving']:.1f} less a month"]
    return {"question": question, "actions": actions}


def write_report(question: str, known: Mapping[str, Any]) -> object:
    """The answer to the user."""
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

"""The interfaces of agents and tools, and `AgentSession`, which is all that an agent can reach while it runs."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from netra_sim.bridge import RunEmitter, error_text, is_failure
from netra_sim.exceptions import BridgeError, ToolError
from netra_sim.factory.context import UserExecutionContext

T = TypeVar("T")


class Agent(Protocol):
    """One step of a pipeline. Every engine gets new agents."""

    name: str

    async def run(self, session: "AgentSession") -> object:
        """Do the work and return the answer. Agents of later stages see it; that of the last stage is the run's response."""


class Tool(Protocol):
    """A callable that an agent uses, such as a query. It belongs to one agent."""

    name: str

    async def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Do the work and return the results."""


Pipeline = Callable[[UserExecutionContext], Sequence[Sequence[Agent]]]
"""Makes the agents of a run, in stages: the agents of a stage run at the same time, and the stages one after the other."""


class AgentSession:
    """The interface of an agent to its run: the user's request, earlier answers, and the events to the user.

    Attributes:
        context: the request.
        answers: by agent name, the answers of the agents of earlier stages.
    """

    __slots__ = ("_agent_name", "_emitter", "_spawn", "answers", "context")

    def __init__(
        self,
        context: UserExecutionContext,
        answers: Mapping[str, object],
        agent_name: str,
        emitter: RunEmitter,
        spawn: Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]],
    ) -> None:
        self.context = context
        self.answers = answers
        self._agent_name = agent_name
        self._emitter = emitter
        self._spawn = spawn

    def think(self, reasoning: object) -> None:
        """Tell the user what the agent is doing, by an ``agent_thinking`` event.

        Raises:
            PayloadError: the reasoning cannot be encoded.
        """
        self._emitter.agent_thinking(reasoning)

    def say(self, text: str) -> None:
        """Add a piece to the answer's text, such as a token of a model. All pieces of one turn of the loop are one event.

        Raises:
            PayloadError: ``text`` is not a str.
        """
        self._emitter.agent_delta(text)

    async def use_tool(self, tool: Tool, **parameters: Any) -> object:
        """Call a tool, publish ``tool_executing`` before and ``tool_completed`` after it, and return its results.

        Raises:
            ToolError: the tool failed, even by ``sys.exit``. The agent may handle this and go on.
            PayloadError: the parameters or the results cannot be encoded.
        """
        clock, task = asyncio.get_running_loop().time, asyncio.current_task()
        self._emitter.tool_executing(tool.name, parameters)
        began = clock()
        try:
            results = await tool(**parameters)
        except asyncio.CancelledError:
            if self._emitter.is_open:  # The agent may have cancelled the tool and go on.
                self._emitter.tool_completed(tool.name, {"error": "cancelled"}, clock() - began)
            raise
        except BaseException as cause:
            if not is_failure(cause, task):
                raise
            error = error_text(cause)
            self._emitter.tool_completed(tool.name, {"error": error}, clock() - began)
            raise ToolError(f"tool {tool.name!r} of agent {self._agent_name!r} failed with {error}") from cause
        try:
            self._emitter.tool_completed(tool.name, results, clock() - began)
        except BridgeError as cause:
            self._emitter.tool_completed(tool.name, {"error": str(cause)}, clock() - began)
            raise
        return results

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task next to the agent. The engine cancels it when its scope ends.

        If the work raises an `Exception`, awaiting the task raises it. Another error, such as `SystemExit`, ends the run.
        The engine does not know tasks that an agent creates by other means: `SystemExit` in such a task ends the process.
        """
        return self._spawn(work, f"{self._agent_name} of run {self.context.run_id}")

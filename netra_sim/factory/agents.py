"""What an agent and a tool are, and all that an agent can reach while it runs: its session."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from netra_sim.bridge import RunEmitter, error_text, is_failure
from netra_sim.exceptions import BridgeError, ToolError
from netra_sim.factory.context import UserExecutionContext

T = TypeVar("T")


class Agent(Protocol):
    """One step of a pipeline, made anew for every engine."""

    name: str

    async def run(self, session: "AgentSession") -> object:
        """Do the work and return the answer, which later agents see and the last stage's becomes the response."""


class Tool(Protocol):
    """Something that an agent can call, such as a query. It belongs to its agent."""

    name: str

    async def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Do the work and return the results."""


Pipeline = Callable[[UserExecutionContext], Sequence[Sequence[Agent]]]
"""Makes a run's agents, in stages: the agents of one stage run at once, the stages one after the other."""


class AgentSession:
    """An agent's view of its run: the user's request, earlier answers, and the user's own event stream.

    Attributes:
        context: the request.
        answers: by agent name, what the agents of earlier stages have answered.
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
        """Tell the user what the agent is about.

        Raises:
            PayloadError: the reasoning cannot be carried.
        """
        self._emitter.agent_thinking(reasoning)

    def say(self, text: str) -> None:
        """Add a piece to the answer's text, as a model streams it; the pieces of one turn of the loop go out together.

        Raises:
            PayloadError: it is no text.
        """
        self._emitter.agent_delta(text)

    async def use_tool(self, tool: Tool, **parameters: Any) -> object:
        """Call a tool, telling the user before and after, and return its results.

        Raises:
            ToolError: the tool failed, be it by ``sys.exit``; the agent may handle it and go on.
            PayloadError: the parameters or the results cannot be carried.
        """
        clock, task = asyncio.get_running_loop().time, asyncio.current_task()
        self._emitter.tool_executing(tool.name, parameters)
        began = clock()
        try:
            results = await tool(**parameters)
        except asyncio.CancelledError:
            if self._emitter.is_open:  # The agent may have given the tool up, and go on.
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
        """Start work beside the agent. It belongs to the engine, and is cancelled when the engine's scope ends.

        Awaiting the task raises its `Exception`. Work that fails with another error, such as `SystemExit`, ends the run.
        Tasks that an agent makes by other means are its own: `SystemExit` in one of those ends the process.
        """
        return self._spawn(work, f"{self._agent_name} of run {self.context.run_id}")

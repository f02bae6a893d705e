"""`UserExecutionEngine`: one user's run, from its first event to its last, and nothing of it after the scope."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from netra_sim.bridge import RunEmitter, error_text
from netra_sim.exceptions import BridgeError, EngineClosedError
from netra_sim.factory.agents import Agent, AgentSession, Pipeline
from netra_sim.factory.context import UserExecutionContext


class EngineLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on engines; times in seconds. The original system's defaults, where it had one.

    Attributes:
        engines_per_user: live engines that one user may have.
        engine_seconds: the longest life of a run.
        agent_seconds: the longest turn of one agent.
        agents_at_once: agents of one stage that run at the same time.
        ready_seconds: how long a scope waits for the bridge before it fails.
        cleanup_seconds: how long a closing engine waits for tasks that it has cancelled.
    """

    engines_per_user: int = 2
    engine_seconds: float = 300.0
    agent_seconds: float = 30.0
    agents_at_once: int = 3
    ready_seconds: float = 5.0
    cleanup_seconds: float = 5.0


class RunOutcome(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class PipelineResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run. A failure is a result too, never an exception of some other type (incident F7).

    Attributes:
        final_response: the last stage's answer; None unless the status is SUCCESS.
        error: what went wrong, in a sentence; "" on success.
        seconds: how long the run took, by the loop's clock.
    """

    user_id: str
    thread_id: str
    run_id: str
    status: RunOutcome
    final_response: object = None
    error: str = ""
    seconds: float = 0.0


class _AgentFailure(Exception):  # noqa: N818 - carries an ending to `_run`, and is never seen outside
    def __init__(self, status: RunOutcome, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class UserExecutionEngine:
    """Runs one request of one user. The factory makes it, and its scope ends it."""

    __slots__ = ("__weakref__", "_answer", "_emitter", "_is_closed", "_limits", "_stages", "_tasks", "context")

    def __init__(
        self, context: UserExecutionContext, emitter: RunEmitter, pipeline: Pipeline, limits: EngineLimits
    ) -> None:
        self.context = context
        self._emitter = emitter
        self._stages: Sequence[Sequence[Agent]] | None = pipeline(context)
        self._limits = limits
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._answer: asyncio.Future[PipelineResult] | None = None

    @property
    def agents(self) -> Sequence[Sequence[Agent]]:
        """The run's agents, in stages; none once the run has begun."""
        return self._stages or ()

    async def execute_agent_pipeline(self) -> PipelineResult:
        """Run all agents, and end the run with exactly one ``agent_completed`` or ``agent_error``.

        Returns:
            The result, also of a run whose agent failed or timed out, or whose scope ended under it.

        Raises:
            EngineClosedError: the scope has ended, or this engine's one run has been executed.
        """
        if self._is_closed:
            raise EngineClosedError(f"the scope of run {self.context.run_id!r} has ended; open a new one")
        stages, self._stages = self._stages, None
        if stages is None:
            raise EngineClosedError(f"run {self.context.run_id!r} was executed already; open a scope for every run")
        run = self._spawn(self._run(stages), f"run {self.context.run_id}")
        self._answer = asyncio.shield(run)
        try:
            result: PipelineResult = await self._answer
        except asyncio.CancelledError:
            run.cancel()  # An agent that swallows this delays the scope by `cleanup_seconds`, and no longer.
            raise
        finally:
            self._answer = None
        return result

    async def close(self) -> Mapping[str, int]:
        """Cancel what still runs, wait for it, end the run if it has not ended, and let go of everything.

        Returns:
            By kind, how much could not be released: tasks that will not be cancelled. Empty if all was.
        """
        self._is_closed = True
        try:
            await self._cancel_tasks()
        finally:
            self._emitter.close()
            self._stages = None
        stubborn = sum(not task.done() for task in self._tasks)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._result(RunOutcome.CANCELLED, "The run was cancelled."))
        return {"tasks": stubborn} if stubborn else {}

    async def _cancel_tasks(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.cleanup_seconds)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        if self._is_closed:
            work.close()
            raise EngineClosedError(f"the scope of run {self.context.run_id!r} has ended; nothing more can be started")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, stages: Sequence[Sequence[Agent]]) -> PipelineResult:
        clock = asyncio.get_running_loop().time
        began = clock()
        emitter, limits, response = self._emitter, self._limits, None
        status, sentence = RunOutcome.SUCCESS, ""
        try:
            emitter.agent_started(" > ".join(" + ".join(agent.name for agent in stage) for stage in stages))
            async with asyncio.timeout(limits.engine_seconds):
                response = await self._run_stages(stages)
            emitter.agent_completed(response)
        except asyncio.CancelledError:
            status, sentence = RunOutcome.CANCELLED, "The run was cancelled."
            if not self._is_closed:
                self._end_with_error(status, sentence)
                raise
        except _AgentFailure as failure:
            status, sentence = failure.status, failure.sentence
        except TimeoutError:
            status = RunOutcome.TIMED_OUT
            sentence = f"The run took longer than {limits.engine_seconds:g} s."
        except BridgeError as error:
            status, sentence = RunOutcome.FAILED, f"The answer could not be sent: {error}"
        if status is not RunOutcome.SUCCESS:
            response = None
            self._end_with_error(status, sentence)
        return self._result(status, sentence, response, clock() - began)

    def _result(self, status: RunOutcome, error: str, response: object = None, seconds: float = 0.0) -> PipelineResult:
        context = self.context
        return PipelineResult(
            user_id=context.user_id,
            thread_id=context.thread_id,
            run_id=context.run_id,
            status=status,
            final_response=response,
            error=error,
            seconds=seconds,
        )

    async def _run_stages(self, stages: Sequence[Sequence[Agent]]) -> object:
        answers: dict[str, object] = {}
        places = asyncio.Semaphore(self._limits.agents_at_once)
        last: object = None
        for stage in stages:
            seen = MappingProxyType(dict(answers))
            if len(stage) == 1:
                replies = [await self._run_agent(stage[0], seen, places)]
            else:
                try:
                    async with asyncio.TaskGroup() as group:
                        tasks = [group.create_task(self._run_agent(agent, seen, places)) for agent in stage]
                except BaseExceptionGroup as failures:
                    raise failures.exceptions[0] from None
                replies = [task.result() for task in tasks]
            answers.update(zip((agent.name for agent in stage), replies, strict=True))
            last = replies[0] if len(stage) == 1 else {agent.name: answers[agent.name] for agent in stage}
        return last

    async def _run_agent(self, agent: Agent, answers: Mapping[str, object], places: asyncio.Semaphore) -> object:
        session = AgentSession(self.context, answers, agent.name, self._emitter, self._spawn)
        seconds = self._limits.agent_seconds
        async with places:
            try:
                async with asyncio.timeout(seconds) as turn:
                    return await agent.run(session)
            except TimeoutError as error:
                if turn.expired():
                    sentence = f"The {agent.name} agent took longer than {seconds:g} s."
                    raise _AgentFailure(RunOutcome.TIMED_OUT, sentence) from error
                raise _AgentFailure(RunOutcome.FAILED, _failed(agent, error)) from error
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled this agent: something that it awaited was cancelled.
                raise _AgentFailure(RunOutcome.FAILED, _failed(agent, error)) from error
            except Exception as error:
                raise _AgentFailure(RunOutcome.FAILED, _failed(agent, error)) from error

    def _end_with_error(self, status: RunOutcome, sentence: str) -> None:
        if self._emitter.is_open and self._emitter.has_begun:
            self._emitter.agent_error(status, sentence)


def _failed(agent: Agent, error: BaseException) -> str:
    return f"The {agent.name} agent failed with {error_text(error)}"[:2000]

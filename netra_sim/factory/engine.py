"""`UserExecutionEngine`: one user's run, from its first event to its last, and nothing of it after the scope."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from netra_sim.bridge import RunEmitter, error_text, is_failure
from netra_sim.bridge.bounds import check_bounds
from netra_sim.exceptions import BridgeError, EngineClosedError
from netra_sim.factory.agents import Agent, AgentSession, Pipeline
from netra_sim.factory.context import UserExecutionContext

T = TypeVar("T")


class EngineLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on engines; times in seconds. The original system's defaults, where it had one.

    Attributes:
        engines_per_user: live engines that one user may have.
        engine_seconds: the longest life of a run.
        agent_seconds: the longest turn of one agent.
        agents_at_once: agents of one stage that run at the same time.
        ready_seconds: how long a scope waits for the bridge before it fails.
        cleanup_seconds: how long a closing engine waits for tasks that it has cancelled.

    Raises:
        ValueError: a field is not more than 0, or not finite.
    """

    engines_per_user: int = 2
    engine_seconds: float = 300.0
    agent_seconds: float = 30.0
    agents_at_once: int = 3
    ready_seconds: float = 5.0
    cleanup_seconds: float = 5.0

    def __post_init__(self) -> None:
        check_bounds(self)


_CANCELLED = "The run was cancelled."


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

    __slots__ = (
        "__weakref__", "_answer", "_began", "_emitter", "_is_closed", "_limits", "_run_task", "_stages", "_stopped",
        "_tasks", "context",
    )  # fmt: skip

    def __init__(
        self, context: UserExecutionContext, emitter: RunEmitter, pipeline: Pipeline, limits: EngineLimits
    ) -> None:
        self.context = context
        self._emitter = emitter
        self._limits = limits
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._began: float | None = None
        self._run_task: asyncio.Task[PipelineResult] | None = None
        self._answer: asyncio.Future[PipelineResult] | None = None
        self._stopped: _AgentFailure | None = None
        self._stages: Sequence[Sequence[Agent]] = ()
        try:
            self._stages = pipeline(context)
        except Exception:
            raise
        except BaseException as error:
            if not is_failure(error, asyncio.current_task()):
                raise
            self._stopped = _AgentFailure(RunOutcome.FAILED, _sentence(f"The pipeline failed with {error_text(error)}"))

    @property
    def agents(self) -> Sequence[Sequence[Agent]]:
        """The run's agents, in stages; none once the run has begun."""
        return self._stages or ()

    async def execute_agent_pipeline(self) -> PipelineResult:
        """Run all agents, and end the run with exactly one ``agent_completed`` or ``agent_error``.

        Returns:
            The result, also of a run whose agent failed or timed out, that was cancelled, or whose scope ended under it.

        Raises:
            EngineClosedError: the scope has ended, or this engine's one run has been executed.
        """
        if self._is_closed:
            raise EngineClosedError(f"the scope of run {self.context.run_id!r} has ended; open a new one")
        if self._began is not None:
            raise EngineClosedError(f"run {self.context.run_id!r} was executed already; open a scope for every run")
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        stages, self._stages = self._stages, ()
        answer: asyncio.Future[PipelineResult] = loop.create_future()
        self._answer = answer
        self._run_task = self._spawn(self._run(stages), f"run {self.context.run_id}")
        self._run_task.add_done_callback(self._settle)
        try:
            return await answer
        except asyncio.CancelledError:
            self._stop(
                _cancelled()
            )  # An agent that swallows this delays the scope by `cleanup_seconds`, and no longer.
            raise
        finally:
            self._answer = None

    def cancel(self) -> bool:
        """End the run with ``agent_error`` "cancelled", as its user wishes; its caller gets the result at once.

        Agents get `EngineLimits.cleanup_seconds` to clean up while the scope closes.

        Returns:
            Whether the run was live; False if it has ended.
        """
        return self._emitter.is_open and self._stop(_cancelled())

    async def close(self) -> Mapping[str, int]:
        """Cancel what still runs, wait for it, end the run if it has not ended, and let go of everything.

        Returns:
            By kind, how much could not be released: tasks that will not be cancelled. Empty if all was.
        """
        self._is_closed = True
        try:
            await self._cancel_tasks()
        finally:
            for task in self._others():
                task.cancel()  # once more: those that swallowed it, or whose time was cut short
            if self._stopped is not None:
                self._end_with_error(self._stopped.status, self._stopped.sentence)
            self._emitter.close()
            self._stages, self._run_task = (), None
        stubborn = len(self._others())
        self._give_answer(self._result(RunOutcome.CANCELLED, _CANCELLED))
        return {"tasks": stubborn} if stubborn else {}

    async def _cancel_tasks(self) -> None:
        tasks = self._others()
        for task in tasks:
            # A stopped run is cancelled already, and may be cleaning up.
            if not (task is self._run_task and self._stopped is not None and task.cancelling()):
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.cleanup_seconds)

    def _others(self) -> list[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return [task for task in self._tasks if task is not current and not task.done()]

    def _stop(self, failure: "_AgentFailure") -> bool:
        """End the run early, unless it has ended or was stopped before; tells whether it is stopped."""
        run = self._run_task
        if self._stopped is None:
            if run is not None and run.done():
                return False
            self._stopped = failure
            # A run that has not had its first turn ends there, so that its user sees it begin and end.
            if run is not None and self._emitter.has_begun:
                run.cancel()
                self._give_answer(self._result(failure.status, failure.sentence))
        return True

    def _settle(self, run: "asyncio.Task[PipelineResult]") -> None:
        error = None if run.cancelled() else run.exception()
        if run.cancelled():
            self._give_answer(self._result(RunOutcome.CANCELLED, _CANCELLED))
        elif error is None:
            self._give_answer(run.result())
        elif self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _give_answer(self, result: PipelineResult) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(result)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        if self._is_closed:
            work.close()
            raise EngineClosedError(f"the scope of run {self.context.run_id!r} has ended; nothing more can be started")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _spawn_for_agent(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start an agent's work. An `Exception` of it is for the agent that awaits it; `SystemExit` ends the run."""
        if self._is_closed:
            work.close()
        task = self._spawn(self._contained(work, name), name)
        task.add_done_callback(lambda _: work.close())  # for work that was cancelled before its first step
        return task

    async def _contained(self, work: Coroutine[Any, Any, T], name: str) -> T:
        task = asyncio.current_task()
        try:
            return await work
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:
            if not is_failure(error, task):
                raise
            sentence = _sentence(f"Work beside the agent {name} failed with {error_text(error)}")
            failure = _AgentFailure(RunOutcome.FAILED, sentence)
            # Soon, since a run that awaits this very task would only cancel it.
            asyncio.get_running_loop().call_soon(self._stop, failure)
            raise failure from error

    async def _run(self, stages: Sequence[Sequence[Agent]]) -> PipelineResult:
        emitter, limits, response = self._emitter, self._limits, None
        task, life = asyncio.current_task(), asyncio.timeout(limits.engine_seconds)
        status, sentence = RunOutcome.SUCCESS, ""
        try:
            emitter.agent_started(" > ".join(" + ".join(agent.name for agent in stage) for stage in stages))
            self._end_if_stopped()
            async with life:
                response = await self._run_stages(stages)
            emitter.agent_completed(response)
        except _AgentFailure as failure:
            status, sentence = failure.status, failure.sentence
        except BridgeError as error:
            status, sentence = RunOutcome.FAILED, f"The answer could not be sent: {error}"
        except BaseException as error:
            if isinstance(error, TimeoutError) and life.expired():
                status = RunOutcome.TIMED_OUT
                sentence = f"The run took longer than {limits.engine_seconds:g} s."
            elif is_failure(error, task):
                status, sentence = RunOutcome.FAILED, _sentence(f"The pipeline failed with {error_text(error)}")
            elif isinstance(error, asyncio.CancelledError):
                status, sentence = RunOutcome.CANCELLED, _CANCELLED
            else:
                raise
        if status is not RunOutcome.SUCCESS:
            response = None
            if self._stopped is not None:
                status, sentence = self._stopped.status, self._stopped.sentence
            self._end_with_error(status, sentence)
        return self._result(status, sentence, response)

    def _result(self, status: RunOutcome, error: str, response: object = None) -> PipelineResult:
        context, began = self.context, self._began
        return PipelineResult(
            user_id=context.user_id,
            thread_id=context.thread_id,
            run_id=context.run_id,
            status=status,
            final_response=response,
            error=error,
            seconds=0.0 if began is None else asyncio.get_running_loop().time() - began,
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
        name = agent.name
        session = AgentSession(self.context, answers, name, self._emitter, self._spawn_for_agent)
        seconds, task = self._limits.agent_seconds, asyncio.current_task()
        async with places:
            self._end_if_stopped()
            try:
                async with asyncio.timeout(seconds) as turn:
                    answer = await agent.run(session)
            except BaseException as error:
                if isinstance(error, TimeoutError) and turn.expired():
                    sentence = f"The {name} agent took longer than {seconds:g} s."
                    raise _AgentFailure(RunOutcome.TIMED_OUT, sentence) from error
                if not is_failure(error, task):
                    raise
                sentence = _sentence(f"The {name} agent failed with {error_text(error)}")
                raise _AgentFailure(RunOutcome.FAILED, sentence) from error
            self._end_if_stopped()
            return answer

    def _end_if_stopped(self) -> None:
        """Let no agent go on after a stop, whatever it has made of its cancellation."""
        if self._stopped is not None:
            raise _AgentFailure(self._stopped.status, self._stopped.sentence)

    def _end_with_error(self, status: RunOutcome, sentence: str) -> None:
        if self._emitter.is_open:
            if not self._emitter.has_begun:
                self._emitter.agent_started("")  # Its agents could not even be named.
            self._emitter.agent_error(status, sentence)


def _cancelled() -> _AgentFailure:
    return _AgentFailure(RunOutcome.CANCELLED, _CANCELLED)


def _sentence(text: str) -> str:
    """The text, short enough and encodable, whatever names and errors it is made of."""
    return text[:2000].encode(errors="backslashreplace").decode()

"""`UserExecutionEngine`: executes one run of one user; nothing of the run is left after its scope."""

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
    """The limits of engines; times in seconds. Defaults are those of the original system, if it had the limit.

    Attributes:
        engines_per_user: the most live engines of one user.
        engine_seconds: the time limit of a run.
        agent_seconds: the time limit of one agent.
        agents_at_once: the most agents of one stage that run at the same time.
        ready_seconds: how long a new scope waits for the bridge before it fails.
        cleanup_seconds: how long a closing engine waits for the tasks that it cancelled.

    Raises:
        ValueError: a field is outside its bounds; see `check_bounds`.
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
    """The outcome of a run. A failed run gives a result too, never an exception (incident F7).

    Attributes:
        final_response: the answer of the last stage; None unless the status is SUCCESS.
        error: what failed, in a sentence; "" on success.
        seconds: how long the run took, in seconds of the loop's clock.
    """

    user_id: str
    thread_id: str
    run_id: str
    status: RunOutcome
    final_response: object = None
    error: str = ""
    seconds: float = 0.0


class _AgentFailure(Exception):  # noqa: N818 - ends the run inside `_run`, and never leaves this module
    def __init__(self, status: RunOutcome, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class UserExecutionEngine:
    """Executes one request of one user. The factory makes it, and its scope closes it."""

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
        """The agents of the run, in stages; empty once the run has begun."""
        return self._stages or ()

    async def execute_agent_pipeline(self) -> PipelineResult:
        """Run all agents, and end the run with exactly one ``agent_completed`` or ``agent_error``.

        Returns:
            The result, also if an agent failed or timed out, if the run was cancelled, or if its scope ended meanwhile.

        Raises:
            EngineClosedError: the scope has ended, or the run of this engine was executed already.
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
        """End the run with ``agent_error`` "cancelled", because its user asked for that. Its caller gets the result at once.

        The agents have `EngineLimits.cleanup_seconds` to clean up while the scope closes.

        Returns:
            True if the run was live, False if it has ended.
        """
        return self._emitter.is_open and self._stop(_cancelled())

    async def close(self) -> Mapping[str, int]:
        """Cancel the remaining tasks, wait for them, end the run if it has not ended, and drop all references.

        Returns:
            By kind, the number of objects that could not be released: ``tasks`` that refuse to be cancelled. Empty if none.
        """
        self._is_closed = True
        try:
            await self._cancel_tasks()
        finally:
            for task in self._others():
                task.cancel()  # once more: it swallowed the first cancellation, or the wait was cut short
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
            # `_stop` has cancelled a stopped run already, and it may be cleaning up.
            if not (task is self._run_task and self._stopped is not None and task.cancelling()):
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.cleanup_seconds)

    def _others(self) -> list[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return [task for task in self._tasks if task is not current and not task.done()]

    def _stop(self, failure: "_AgentFailure") -> bool:
        """End the run early, unless it has ended or was stopped before; return whether it is stopped."""
        run = self._run_task
        if self._stopped is None:
            if run is not None and run.done():
                return False
            self._stopped = failure
            # A run that has not begun ends in its first turn, so that its user sees it begin and end.
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
        """Start work for an agent. Awaiting it raises its `Exception`; another error, such as `SystemExit`, ends the run."""
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
            # Not now: if the run awaits this task, stopping the run would cancel this task instead.
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
        """Raise the stored failure if the run was stopped, so that no agent goes on after swallowing its cancellation."""
        if self._stopped is not None:
            raise _AgentFailure(self._stopped.status, self._stopped.sentence)

    def _end_with_error(self, status: RunOutcome, sentence: str) -> None:
        if self._emitter.is_open:
            if not self._emitter.has_begun:
                self._emitter.agent_started("")  # The run failed before its agents were named.
            self._emitter.agent_error(status, sentence)


def _cancelled() -> _AgentFailure:
    return _AgentFailure(RunOutcome.CANCELLED, _CANCELLED)


def _sentence(text: str) -> str:
    """Shorten a text with names and errors of user code, and make it encodable."""
    return text[:2000].encode(errors="backslashreplace").decode()

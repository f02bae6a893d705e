"""Engines in their scopes: limits, ends of runs, and release of everything. Incidents F1 to F8, F10 and F12."""

import asyncio
import gc
import json
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.exceptions import (
    BridgeNotReadyError,
    ContextError,
    EngineClosedError,
    EngineLimitError,
    FactoryClosedError,
    FactoryError,
    RunExistsError,
)
from netra_sim.factory import EngineLimits, ExecutionEngineFactory, RunOutcome, UserExecutionContext
from netra_sim.simulation import run_virtual


class OneAgent:
    """An agent that runs a function."""

    name = "tested"

    def __init__(self, work):
        self.work = work

    async def run(self, session):
        return await self.work(session)


def pipeline_of(*works):
    return lambda context: [[OneAgent(work)] for work in works]


def context(user="alice", run="run-1", **request):
    return UserExecutionContext(user_id=user, thread_id=f"{user}-thread", run_id=run, request=request)


class System:
    """A factory with a bridge, and the events that alice's client receives."""

    def __init__(self, pipeline=None, **limits):
        self.bridge = AgentWebSocketBridge()
        self.transport = MemoryTransport()
        self.bridge.connect(AuthenticatedUser("alice"), self.transport)
        self.factory = ExecutionEngineFactory(
            websocket_bridge=self.bridge, pipeline=pipeline, limits=EngineLimits(**limits)
        )

    async def execute(self, context):
        async with self.factory.user_execution_scope(context) as engine:
            return await engine.execute_agent_pipeline()

    async def arrived(self):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [json.loads(frame)["type"] for frame in self.transport.frames if b"event_id" in frame]


async def sleeps(seconds):
    await asyncio.sleep(seconds)


async def for_ever(session):
    await asyncio.Event().wait()


async def test_the_limit_counts_engines_made_in_the_same_instant():  # F1
    system = System()
    refused = []
    scopes = []
    for number in range(6):
        scope = system.factory.user_execution_scope(context(run=f"run-{number}"))
        try:
            await scope.__aenter__()
            scopes.append(scope)
        except EngineLimitError as error:
            refused.append((error.live, error.limit))
    assert (refused, system.factory.live_engines("alice")) == ([(2, 2)] * 4, 2)
    for scope in scopes:
        await scope.__aexit__(None, None, None)
    assert system.factory.live_engines() == 0


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=14),
    st.integers(0, 2**32),
)
def test_the_limit_holds_under_any_interleaving_and_every_place_comes_back(requests, seed):  # F1, F6
    async def main():
        system = System()
        most = dict.fromkeys("ab", 0)

        async def request(number, user, at, lasts, is_cancelled):
            await asyncio.sleep(at)
            task = asyncio.current_task()
            if is_cancelled:
                asyncio.get_running_loop().call_later(lasts / 2, task.cancel)
            try:
                async with system.factory.user_execution_scope(context(user, f"run-{number}")):
                    live = [engine for engine in system.factory.engines if engine.context.user_id == user]
                    most[user] = max(most[user], len(live))
                    await asyncio.sleep(lasts)
            except EngineLimitError:
                assert system.factory.live_engines(user) == 2

        tasks = [asyncio.create_task(request(number, *one)) for number, one in enumerate(requests)]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(count <= 2 for count in most.values())
        assert system.factory.live_engines() == 0
        assert system.factory.engines == ()

    run_virtual(main(), seed=seed, order="random")


@pytest.mark.parametrize("step", range(12))
async def test_a_scope_cancelled_at_any_step_gives_its_place_back(step):  # F6
    system = System(pipeline_of(for_ever))
    task = asyncio.create_task(system.execute(context()))
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert system.factory.live_engines() == 0
    assert system.factory.engines == ()
    types = await system.arrived()
    assert types in ([], ["agent_started", "agent_error"])


async def test_a_cleanup_that_is_itself_cancelled_still_releases_everything():  # F6
    async def stubborn(session):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)

    system = System(pipeline_of(stubborn))
    task = asyncio.create_task(system.execute(context()))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert system.factory.live_engines() == 0
    assert await system.arrived() == ["agent_started", "agent_error"]


async def test_finished_runs_leave_no_engine_context_agent_or_emitter_behind():  # F4
    kept = []

    async def work(session):
        kept.append(weakref.ref(asyncio.current_task()))
        return "done"

    def pipeline(one):
        agent = OneAgent(work)
        kept.append(weakref.ref(agent))
        return [[agent]]

    system = System(pipeline)
    async with system.factory.user_execution_scope(context()) as engine:
        kept.append(weakref.ref(engine))
        kept.append(weakref.ref(engine._emitter))
        await engine.execute_agent_pipeline()
    del engine
    await asyncio.sleep(0)
    gc.collect()
    assert len(kept) == 4
    assert [ref() for ref in kept] == [None] * 4


async def test_an_agent_does_not_outlive_its_scope_and_its_caller_gets_a_result():  # F5
    went_on = []

    async def work(session):
        await asyncio.sleep(10)
        went_on.append(True)

    system = System(pipeline_of(work))
    async with system.factory.user_execution_scope(context()) as engine:
        running = asyncio.create_task(engine.execute_agent_pipeline())
        await asyncio.sleep(1)
    result = await running
    assert result.status is RunOutcome.CANCELLED
    await asyncio.sleep(20)
    assert not went_on
    assert await system.arrived() == ["agent_started", "agent_error"]


async def test_spawned_work_ends_with_the_scope():  # F5
    spawned = []

    async def work(session):
        spawned.append(session.spawn(sleeps(1e6)))
        return "done"

    system = System(pipeline_of(work))
    result = await system.execute(context())
    assert result.status is RunOutcome.SUCCESS
    assert spawned[0].cancelled()


async def test_a_run_that_exceeds_its_time_limit_ends_with_an_event():  # F5
    async def work(session):
        for _ in range(100):
            await asyncio.sleep(20)

    system = System(pipeline_of(work), engine_seconds=300, agent_seconds=1_000)
    result = await system.execute(context())
    assert (result.status, result.seconds) == (RunOutcome.TIMED_OUT, 300.0)
    assert "300 s" in result.error
    assert (await system.arrived())[-1] == "agent_error"


async def test_a_task_that_refuses_to_be_cancelled_is_reported_and_keeps_no_place():  # F6
    told = []

    class Observer:
        def scope_opened(self, run_id, user_id):
            pass

        def scope_refused(self, run_id, user_id, reason):
            pass

        def scope_closed(self, run_id, user_id, left_over):
            told.append((run_id, dict(left_over)))

    async def immortal(session):
        while True:
            try:
                await asyncio.sleep(1e5)
                return
            except asyncio.CancelledError:
                pass

    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(
        websocket_bridge=bridge,
        pipeline=pipeline_of(immortal),
        observer=Observer(),
        limits=EngineLimits(cleanup_seconds=5),
    )
    async with factory.user_execution_scope(context()) as engine:
        running = asyncio.create_task(engine.execute_agent_pipeline())
        await asyncio.sleep(1)
    assert told == [("run-1", {"tasks": 1})]
    assert factory.live_engines() == 0
    await running


@pytest.mark.parametrize("kind", ["raises", "times out", "answers"])
async def test_every_run_ends_with_exactly_one_last_event_and_a_result(kind):  # F7
    async def work(session):
        if kind == "raises":
            raise KeyError("no such row")
        if kind == "times out":
            await asyncio.sleep(1_000)
        return "the answer"

    system = System(pipeline_of(work))
    result = await system.execute(context())
    expected = {"raises": RunOutcome.FAILED, "times out": RunOutcome.TIMED_OUT, "answers": RunOutcome.SUCCESS}[kind]
    assert result.status is expected
    assert (result.user_id, result.run_id) == ("alice", "run-1")
    last = "agent_completed" if kind == "answers" else "agent_error"
    assert await system.arrived() == ["agent_started", last]
    if kind == "raises":
        assert "KeyError: 'no such row'" in result.error
    if kind != "answers":
        told = json.loads(system.transport.frames[-1])
        assert (told["error"], told["message"]) == (result.status, result.error)


async def test_an_answer_that_cannot_be_encoded_ends_the_run_with_an_error():  # F7
    async def work(session):
        return object()

    system = System(pipeline_of(work))
    result = await system.execute(context())
    assert result.status is RunOutcome.FAILED
    assert await system.arrived() == ["agent_started", "agent_error"]


async def test_a_failing_tool_is_published_and_its_agent_may_go_on():
    class Search:
        name = "search"

        async def __call__(self, **parameters):
            raise ConnectionError("down")

    async def work(session):
        try:
            await session.use_tool(Search(), query="x")
        except Exception as error:
            return f"went on after: {error}"

    system = System(pipeline_of(work))
    result = await system.execute(context())
    assert "ConnectionError: down" in result.final_response
    assert await system.arrived() == ["agent_started", "tool_executing", "tool_completed", "agent_completed"]


async def test_agents_of_a_stage_run_at_once_three_at_most():
    running, most = 0, 0

    async def work(session):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    class Named(OneAgent):
        def __init__(self, name):
            super().__init__(work)
            self.name = name

    system = System(lambda _: [[Named(f"agent-{number}") for number in range(7)]])
    result = await system.execute(context())
    assert (most, result.seconds) == (3, 3.0)
    assert list(result.final_response) == [f"agent-{number}" for number in range(7)]


async def test_a_user_sees_the_default_pipelines_five_critical_events_of_their_own_request():
    system = System()
    result = await system.execute(context(message="Why is my bill so high?"))
    types = await system.arrived()
    assert types[0] == "agent_started"
    assert types[-1] == "agent_completed"
    assert set(types) == {"agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"}
    assert result.final_response["question"] == "Why is my bill so high?"
    assert result.final_response["topic"] == "cost"


def test_there_is_no_factory_without_a_bridge():  # F8
    for nothing in (None, object()):
        with pytest.raises(FactoryError, match="websocket_bridge"):
            ExecutionEngineFactory(websocket_bridge=nothing)
    with pytest.raises(TypeError):
        ExecutionEngineFactory()


async def test_a_factory_that_was_shut_down_makes_no_engine_and_has_ended_the_live_ones():  # F8
    system = System(pipeline_of(for_ever))
    running = asyncio.create_task(system.execute(context()))
    await asyncio.sleep(1)
    await system.factory.shutdown()
    await system.factory.shutdown()
    assert (await running).status is RunOutcome.CANCELLED
    with pytest.raises(FactoryClosedError):
        await system.execute(context(run="run-2"))
    assert system.factory.live_engines() == 0


async def test_no_live_engine_is_closed_to_make_room_for_another():  # F10
    system = System(pipeline_of(for_ever))
    running = [asyncio.create_task(system.execute(context(run=f"run-{number}"))) for number in range(2)]
    await asyncio.sleep(1e3 / 50)
    for number in range(30):
        with pytest.raises(EngineLimitError):
            await system.execute(context(run=f"more-{number}"))
    assert not any(task.done() for task in running)
    for task in running:
        task.cancel()
    await asyncio.wait(running)


async def test_a_bridge_that_is_not_ready_raises_an_error_instead_of_hanging():  # F12
    async def never():
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    bridge = AgentWebSocketBridge(backends={"model service": never})
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    began = loop.time()
    with pytest.raises(BridgeNotReadyError, match="within 5 s"):
        async with factory.user_execution_scope(context()):
            pass
    assert loop.time() - began == pytest.approx(5.0)
    assert factory.live_engines() == 0
    await bridge.shutdown()


async def test_a_run_id_can_be_used_once():
    system = System()
    await system.execute(context())
    with pytest.raises(RunExistsError):
        await system.execute(context())
    assert system.factory.live_engines() == 0


async def test_an_engine_executes_once_and_only_in_its_scope():
    system = System()
    async with system.factory.user_execution_scope(context()) as engine:
        await engine.execute_agent_pipeline()
        with pytest.raises(EngineClosedError, match="executed already"):
            await engine.execute_agent_pipeline()
    with pytest.raises(EngineClosedError, match="scope of run 'run-1' has ended"):
        await engine.execute_agent_pipeline()


async def test_a_pipeline_that_fails_to_be_made_gives_its_place_back():
    def broken(_):
        raise LookupError("no such agent")

    system = System(broken)
    with pytest.raises(LookupError):
        await system.execute(context())
    assert system.factory.live_engines() == 0
    assert system.bridge.metrics().kept_runs == 0


async def swallows_its_cancellation(session):
    while True:
        try:
            await asyncio.sleep(1e5)
            return
        except asyncio.CancelledError:
            continue


async def test_an_agent_that_ignores_its_cancellation_keeps_neither_its_caller_nor_its_place():
    system = System(pipeline_of(swallows_its_cancellation), cleanup_seconds=5)
    task = asyncio.create_task(system.execute(context()))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task], timeout=6)
    assert task.cancelled()
    assert system.factory.live_engines() == 0
    assert await system.arrived() == ["agent_started", "agent_error"]


async def test_a_shutdown_waits_once_for_all_stubborn_agents_not_once_for_each():
    system = System(pipeline_of(swallows_its_cancellation), cleanup_seconds=5)
    running = [asyncio.create_task(system.execute(context(f"user-{n}", f"run-{n}"))) for n in range(20)]
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await system.factory.shutdown()
    assert asyncio.get_running_loop().time() - began <= 5.0
    assert {(await task).status for task in running} == {RunOutcome.CANCELLED}


async def test_a_shutdown_that_drains_lets_live_runs_end_and_takes_no_more():
    async def work(session):
        await asyncio.sleep(10)
        return "done"

    system = System(pipeline_of(work))
    running = asyncio.create_task(system.execute(context()))
    await asyncio.sleep(1)
    stopping = asyncio.create_task(system.factory.shutdown(drain=60))
    await asyncio.sleep(1)
    with pytest.raises(FactoryClosedError):
        await system.execute(context(run="run-2"))
    await stopping
    assert asyncio.get_running_loop().time() == pytest.approx(10.0, abs=0.1)
    assert (await running).status is RunOutcome.SUCCESS


async def test_an_agent_that_awaits_a_cancelled_task_fails_and_cancels_no_other():
    async def work(session):
        other = asyncio.ensure_future(sleeps(100))
        asyncio.get_running_loop().call_later(1, other.cancel)
        await other

    system = System(pipeline_of(work))
    result = await system.execute(context())
    assert result.status is RunOutcome.FAILED
    assert await system.arrived() == ["agent_started", "agent_error"]


@pytest.mark.parametrize("error", [ValueError("name \udcff.txt"), KeyError()])
async def test_an_error_with_a_text_that_cannot_be_encoded_still_ends_the_run(error):
    async def work(session):
        raise error

    system = System(pipeline_of(work))
    assert (await system.execute(context())).status is RunOutcome.FAILED
    assert await system.arrived() == ["agent_started", "agent_error"]


async def test_a_tool_that_its_agent_cancels_completes_with_an_error():
    class Slow:
        name = "slow"

        async def __call__(self):
            await asyncio.sleep(1_000)

    async def work(session):
        try:
            async with asyncio.timeout(5):
                await session.use_tool(Slow())
        except TimeoutError:
            return "went on"

    system = System(pipeline_of(work))
    assert (await system.execute(context())).final_response == "went on"
    assert await system.arrived() == ["agent_started", "tool_executing", "tool_completed", "agent_completed"]


async def test_only_a_real_context_opens_a_scope():
    import types

    system = System()
    with pytest.raises(ContextError, match="SimpleNamespace"):
        await system.execute(types.SimpleNamespace(user_id="registry", run_id="r", thread_id="t"))

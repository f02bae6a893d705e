"""A user can cancel their own runs, and no other runs."""

import asyncio
import json

import pytest

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.factory import EngineLimits, ExecutionEngineFactory, RunOutcome, UserExecutionContext


class Working:
    """An agent that runs a function."""

    name = "working"

    def __init__(self, work):
        self.work = work

    async def run(self, session):
        return await self.work(session)


class System:
    """A factory with a bridge, and the events that alice's client receives."""

    def __init__(self, *works, backends=None, at_once=False, **limits):
        stages = [[Working(work) for work in works]] if at_once else [[Working(work)] for work in works]
        self.bridge = AgentWebSocketBridge(backends=backends)
        self.transport = MemoryTransport()
        self.bridge.connect(AuthenticatedUser("alice"), self.transport)
        self.factory = ExecutionEngineFactory(
            websocket_bridge=self.bridge, pipeline=lambda _: stages, limits=EngineLimits(**limits)
        )

    async def execute(self, user="alice", run="run-1"):
        context = UserExecutionContext(user_id=user, thread_id=f"{user}-thread", run_id=run)
        async with self.factory.user_execution_scope(context) as engine:
            return await engine.execute_agent_pipeline()

    async def start(self, user="alice", run="run-1"):
        running = asyncio.create_task(self.execute(user, run))
        await asyncio.sleep(1)
        return running

    async def arrived(self):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [json.loads(frame) for frame in self.transport.frames if b"event_id" in frame]


async def for_ever(session):
    await asyncio.Event().wait()


async def test_a_user_cancels_a_run_and_it_ends_with_an_event_and_a_result():
    system = System(for_ever)
    running = await system.start()
    assert system.factory.cancel_run("alice", "run-1")
    result = await running
    assert (result.status, result.final_response, result.seconds) == (RunOutcome.CANCELLED, None, 1.0)
    last = (await system.arrived())[-1]
    assert (last["type"], last["error"], last["message"]) == ("agent_error", "cancelled", "The run was cancelled.")
    assert system.factory.live_engines() == 0


async def test_cancelling_another_users_run_gets_the_answer_for_a_missing_run_and_changes_nothing():
    system = System(for_ever)
    running = await system.start()
    assert not system.factory.cancel_run("bob", "run-1")
    assert not system.factory.cancel_run("bob", "run-x")
    await asyncio.sleep(1)
    assert not running.done()
    assert [event["type"] for event in await system.arrived()] == ["agent_started"]
    assert system.factory.cancel_run("alice", "run-1")
    await running


async def test_a_run_that_has_ended_cannot_be_cancelled():
    async def answers(session):
        return "done"

    system = System(answers)
    assert (await system.execute()).status is RunOutcome.SUCCESS
    assert not system.factory.cancel_run("alice", "run-1")


async def test_a_run_that_is_cancelled_twice_ends_once():
    system = System(for_ever, for_ever, at_once=True)
    running = await system.start()
    assert system.factory.cancel_run("alice", "run-1")
    assert system.factory.cancel_run("alice", "run-1")
    assert (await running).status is RunOutcome.CANCELLED
    assert [event["type"] for event in await system.arrived()] == ["agent_started", "agent_error"]


@pytest.mark.parametrize("ending", ["answers", "fails", "goes on for ever"])
async def test_an_agent_that_swallows_the_cancellation_does_not_succeed_and_the_next_agent_does_not_begin(ending):
    next_began = []

    async def swallows(session):
        while True:
            try:
                return await asyncio.sleep(1e5)
            except asyncio.CancelledError:
                if ending == "answers":
                    return "I was faster"
                if ending == "fails":
                    raise KeyError("half done") from None

    async def next_one(session):
        next_began.append(True)

    system = System(swallows, next_one, cleanup_seconds=5)
    running = await system.start()
    system.factory.cancel_run("alice", "run-1")
    assert (await running).status is RunOutcome.CANCELLED
    assert asyncio.get_running_loop().time() <= 6.0
    last = (await system.arrived())[-1]
    assert (last["type"], last["error"]) == ("agent_error", "cancelled")
    assert not next_began
    assert system.factory.live_engines() == 0


async def test_an_agent_may_clean_up_after_the_cancellation():
    cleaned = []

    async def tidy(session):
        try:
            await asyncio.sleep(1e5)
        finally:
            await asyncio.sleep(3)
            cleaned.append(True)

    system = System(tidy, cleanup_seconds=5)
    running = await system.start()
    system.factory.cancel_run("alice", "run-1")
    await running
    assert cleaned


async def test_a_run_that_waits_for_its_bridge_is_cancelled_as_it_begins():
    async def slow():
        await asyncio.sleep(2)

    worked = []

    async def work(session):
        worked.append(True)

    system = System(work, backends={"database": slow})
    running = await system.start()
    assert not system.factory.cancel_run("bob", "run-1")
    assert system.factory.cancel_run("alice", "run-1")
    assert (await running).status is RunOutcome.CANCELLED
    assert [event.get("error") for event in await system.arrived()] == [None, "cancelled"]
    assert not worked


async def test_a_cancelled_run_makes_room_for_the_next_one():
    system = System(for_ever, engines_per_user=1)
    first = await system.start()
    system.factory.cancel_run("alice", "run-1")
    await first
    second = await system.start(run="run-2")
    system.factory.cancel_run("alice", "run-2")
    assert (await second).status is RunOutcome.CANCELLED


async def test_an_agent_that_cancels_its_own_task_ends_its_run_and_does_not_cancel_the_caller():
    async def gives_up(session):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    system = System(gives_up)
    assert (await system.execute()).status is RunOutcome.CANCELLED
    assert [event["type"] for event in await system.arrived()] == ["agent_started", "agent_error"]

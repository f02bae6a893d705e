"""The factory makes separate parts for every request, and gives nothing of one user to another."""

import asyncio
import gc
import sys
import weakref

import pytest

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory, UserExecutionContext
from netra_sim.exceptions import EngineLimitError
from netra_sim.factory import shared_mutable_objects


def context(user, number=0, **request):
    return UserExecutionContext(user_id=user, thread_id=f"{user}-thread", run_id=f"{user}-{number}", request=request)


class Noting:
    """An agent that keeps notes in its memory."""

    name = "noting"

    def __init__(self):
        self.notes = []

    async def run(self, session):
        self.notes.append(session.context.request["secret"])
        await asyncio.sleep(1)
        return list(self.notes)


def make_factory():
    return ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=lambda _: [[Noting()]])


async def test_an_agents_memory_holds_one_users_data_only():
    factory = make_factory()

    async def request(user):
        async with factory.user_execution_scope(context(user, secret=f"{user}'s secret")) as engine:
            return await engine.execute_agent_pipeline()

    users = [f"user-{number}" for number in range(50)]
    results = await asyncio.gather(*map(request, users))
    assert [result.final_response for result in results] == [[f"{user}'s secret"] for user in users]


async def test_engines_of_different_users_share_no_mutable_object_at_any_moment():
    factory = make_factory()

    async def request(user):
        async with factory.user_execution_scope(context(user, secret=user)) as engine:
            return await engine.execute_agent_pipeline()

    running = [asyncio.create_task(request(f"user-{number}")) for number in range(10)]
    compared = 0
    while not all(task.done() for task in running):
        compared = max(compared, len(factory.engines))
        assert shared_mutable_objects(factory.engines) == []
        await asyncio.sleep(0.1 if compared == 10 else 0)
    assert compared == 10


async def test_each_user_has_a_separate_limit():
    factory = make_factory()
    async with factory.user_execution_scope(context("alice", 0)), factory.user_execution_scope(context("alice", 1)):
        with pytest.raises(EngineLimitError):
            await factory.user_execution_scope(context("alice", 2)).__aenter__()
        async with factory.user_execution_scope(context("bob")):
            assert (factory.live_engines("alice"), factory.live_engines("bob")) == (2, 1)


async def test_nothing_of_a_finished_request_can_be_reached():
    factory = make_factory()
    async with factory.user_execution_scope(context("alice", secret="s")) as engine:
        await engine.execute_agent_pipeline()
        gone = weakref.ref(engine), weakref.ref(engine._emitter)
    del engine
    await asyncio.sleep(0)
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert (factory.engines, factory.live_engines()) == ((), 0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

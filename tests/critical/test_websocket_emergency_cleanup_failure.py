"""Clean-up never closes what is in use and always releases what is not; a failing clean-up costs no user their place."""

import asyncio
import sys

import pytest

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory, UserExecutionContext
from netra_sim.bridge import AuthenticatedUser, BridgeLimits, MemoryTransport
from netra_sim.exceptions import ConnectionLimitError, EngineLimitError
from netra_sim.factory import RunOutcome

ALICE = AuthenticatedUser("alice")


def context(number, user="alice"):
    return UserExecutionContext(user_id=user, thread_id="t", run_id=f"{user}-{number}")


class Waiting:
    name = "waiting"

    async def run(self, session):
        await asyncio.sleep(20)
        return "done"


class CleansUpBadly:
    name = "cleans up badly"

    async def run(self, session):
        try:
            await asyncio.sleep(1e6)
        finally:
            raise OSError("the clean-up failed as well")


async def test_at_the_limit_of_connections_the_open_ones_stay_and_the_new_one_is_refused():
    bridge = AgentWebSocketBridge(limits=BridgeLimits(connections_per_user=20))
    transports = [MemoryTransport() for _ in range(20)]
    for transport in transports:
        bridge.connect(ALICE, transport)
    await asyncio.sleep(3_600)  # idle for an hour, and still in use
    for _ in range(12):
        with pytest.raises(ConnectionLimitError):
            bridge.connect(ALICE, MemoryTransport())
    assert [transport.closed for transport in transports] == [None] * 20


async def test_opening_and_closing_connections_never_locks_the_user_out():
    bridge = AgentWebSocketBridge(limits=BridgeLimits(connections_per_user=5))
    for _ in range(500):
        bridge.disconnect(bridge.connect(ALICE, MemoryTransport()))
    assert bridge.metrics().live_connections == 0


async def test_dead_connections_make_room_as_soon_as_they_are_noticed():
    bridge = AgentWebSocketBridge(limits=BridgeLimits(connections_per_user=2))
    await bridge.ensure_integration()
    for _ in range(2):
        transport = MemoryTransport()
        bridge.connect(ALICE, transport)
        transport.fail()
    await asyncio.sleep(0)
    assert bridge.metrics().live_connections == 0
    bridge.connect(ALICE, MemoryTransport())


async def test_each_of_thirty_requests_at_once_gets_an_engine_or_a_refusal():
    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=lambda _: [[Waiting()]])

    async def request(number):
        async with factory.user_execution_scope(context(number)) as engine:
            return await engine.execute_agent_pipeline()

    outcomes = await asyncio.gather(*(request(number) for number in range(30)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, EngineLimitError)]
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert (len(refused), len(answered)) == (28, 2)
    assert {outcome.final_response for outcome in answered} == {"done"}


async def test_a_clean_up_that_raises_gives_the_users_place_back():
    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=lambda _: [[CleansUpBadly()]])
    for number in range(10):
        async with factory.user_execution_scope(context(number)) as engine:
            running = asyncio.create_task(engine.execute_agent_pipeline())
            await asyncio.sleep(1)
        assert (await running).status in (RunOutcome.FAILED, RunOutcome.CANCELLED)
        assert factory.live_engines() == 0


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

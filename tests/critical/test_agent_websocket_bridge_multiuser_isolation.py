"""With many users at once, attacks and faults, each user receives all of their own events, and no other user's."""

import asyncio
import json
import sys

import pytest

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory, Scenario, check, simulate
from netra_sim.bridge import AuthenticatedUser, MemoryTransport
from netra_sim.factory import answer_message
from netra_sim.simulation import Burst, Workload


def test_two_hundred_users_in_one_second_see_only_their_own_events():
    workload = Workload(arrivals=Burst(at=1.0, width=1.0), tabs_per_user=2)
    results = {result.check: result for result in check(simulate(Scenario(users=200, workload=workload), seed=7))}
    for name in (
        "cross-user-isolation",
        "shared-state",
        "critical-events",
        "every-run-ends",
        "delivery",
        "truthfulness",
    ):
        assert (name, results[name].state) == (name, "passed")
    assert results["cross-user-isolation"].looked_at > 13_000


async def test_a_second_users_request_does_not_take_the_first_users_events():
    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    transports, asked = {}, []
    for user in ("alice", "bob", "carol"):
        transports[user] = MemoryTransport()
        connection = bridge.connect(AuthenticatedUser(user), transports[user])
        message = {"type": "execute_agent", "message": f"I am {user}", "request_id": "1"}
        asked.append(answer_message(message, connection, bridge=bridge, execution_factory=factory))
    await asyncio.gather(*asked)
    await asyncio.sleep(0)
    for user, transport in transports.items():
        events = [json.loads(frame) for frame in transport.frames]
        assert {event.get("user_id") for event in events} == {user}
        assert events[-1]["type"] == "agent_completed"
        assert events[-1]["final_response"]["question"] == f"I am {user}"


async def test_an_attacker_who_guesses_run_ids_and_epochs_learns_nothing():
    bridge = AgentWebSocketBridge()
    await bridge.ensure_integration()
    victim = MemoryTransport()
    bridge.connect(AuthenticatedUser("victim"), victim)
    emitter = bridge.open_run(user_id="victim", thread_id="t", run_id="victim.1")
    emitter.agent_started("agent")
    attacker = MemoryTransport()
    bridge.connect(
        AuthenticatedUser("attacker"),
        attacker,
        epoch=bridge.epoch,
        cursors={"victim.1": -1, "victim.2": 0, "system": 5},
    )
    emitter.agent_completed("secret plan")
    await asyncio.sleep(0)
    assert not any(b"secret plan" in frame or b"agent_started" in frame for frame in attacker.frames)
    assert b"secret plan" in victim.frames[-1]


async def test_a_reconnect_while_other_users_run_replays_the_users_own_run_only():
    bridge = AgentWebSocketBridge()
    await bridge.ensure_integration()
    emitters = {}
    for user in ("alice", "bob"):
        emitters[user] = bridge.open_run(user_id=user, thread_id=user, run_id=f"{user}.1")
        emitters[user].agent_started(user)
    for number in range(50):
        emitters["alice"].agent_thinking(f"alice {number}")
        emitters["bob"].agent_thinking(f"bob {number}")
    late = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), late)
    await asyncio.sleep(0)
    events = [json.loads(frame) for frame in late.frames[1:]]
    assert [event["seq"] for event in events] == list(range(51))
    assert {event["user_id"] for event in events} == {"alice"}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

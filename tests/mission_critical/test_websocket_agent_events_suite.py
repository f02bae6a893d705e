"""The five critical events reach a real WebSocket client, with all required fields, in order and in time."""

import asyncio
import json
import sys

import pytest
from websockets.asyncio.client import connect

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory, run
from netra_sim.server import AgentServer, TokenAuthenticator

FIELDS = {
    "agent_started": {"user_id", "thread_id", "run_id"},
    "agent_thinking": {"reasoning"},
    "tool_executing": {"tool_name", "parameters"},
    "tool_completed": {"tool_name", "results", "duration"},
    "agent_completed": {"status", "final_response"},
}


async def _events_of(message, pipeline=None):
    bridge, authenticator = AgentWebSocketBridge(), TokenAuthenticator()
    factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=pipeline)
    events = []
    async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=authenticator) as server:
        headers = {"Authorization": f"Bearer {authenticator.issue('alice')}"}
        async with asyncio.timeout(20), connect(server.uri, additional_headers=headers) as socket:
            await socket.send('{"type": "resume"}')
            await socket.send(json.dumps(message))
            while not events or events[-1]["type"] not in ("agent_completed", "agent_error", "refused"):
                events.append(json.loads(await socket.recv()))
    return events[1:]


@pytest.fixture(scope="module")
def events():
    return run(_events_of({"type": "execute_agent", "message": "Where does my budget go?", "thread_id": "thread-7"}))


def test_all_five_critical_events_arrive_in_order(events):
    firsts = list(dict.fromkeys(event["type"] for event in events))
    assert firsts == list(FIELDS)
    assert events[-1]["type"] == "agent_completed"


def test_every_event_has_the_fields_that_clients_require(events):
    for event in events:
        assert FIELDS[event["type"]] | {"type", "timestamp"} <= event.keys()
        assert (event["user_id"], event["thread_id"]) == ("alice", "thread-7")


def test_events_are_numbered_without_a_gap_and_have_unique_ids(events):
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert len({event["event_id"] for event in events}) == len(events)
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)


def test_every_tool_that_executes_completes(events):
    tools = [(event["type"], event["tool_name"]) for event in events if "tool_name" in event]
    executed = [name for kind, name in tools if kind == "tool_executing"]
    assert sorted(executed) == sorted(name for kind, name in tools if kind == "tool_completed") != []


def test_a_run_that_fails_ends_with_an_error_event_instead_of_silence():
    class Failing:
        name = "failing"

        async def run(self, session):
            raise RuntimeError("no model")

    events = run(_events_of({"type": "execute_agent", "message": "hi"}, lambda _: [[Failing()]]))
    assert [event["type"] for event in events] == ["agent_started", "agent_error"]
    assert "no model" in events[-1]["message"]


def test_a_message_of_an_unknown_type_is_refused_instead_of_timing_out():
    (answer,) = run(_events_of({"type": "run_agent", "message": "hi"}))
    assert (answer["type"], answer["code"]) == ("refused", "unknown_type")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

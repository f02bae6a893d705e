"""Every message of a client's is carried out or answered: incidents B12, S13 and S14."""

import asyncio
import json

import pytest

from netra_sim import ExecutionEngineFactory, route_websocket_message_to_agent
from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.exceptions import MessageError
from netra_sim.factory import MESSAGE_TYPES, EngineLimits, answer_message


class Server:
    def __init__(self, **limits):
        self.bridge = AgentWebSocketBridge()
        self.factory = ExecutionEngineFactory(websocket_bridge=self.bridge, limits=EngineLimits(**limits))
        self.transport = MemoryTransport()
        self.connection = self.bridge.connect(AuthenticatedUser("alice"), self.transport)

    async def answer(self, message):
        result = await answer_message(message, self.connection, bridge=self.bridge, execution_factory=self.factory)
        await asyncio.sleep(0)
        return result, [json.loads(frame) for frame in self.transport.frames]


def test_execute_agent_is_in_the_table_of_message_types():  # B12
    assert "execute_agent" in MESSAGE_TYPES


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "execute_agnet", "message": "hi"}, "unknown_type"),
        ({"message": "hi"}, "unknown_type"),
        ({"type": ["execute_agent"]}, "unknown_type"),
        ({"type": "execute_agent"}, "malformed"),
        ({"type": "execute_agent", "message": 7}, "malformed"),
        ({"type": "execute_agent", "message": "hi", "request_id": "../bob.1"}, "malformed"),
        ({"type": "execute_agent", "message": "hi", "thread_id": "system"}, "invalid_request"),
        (["execute_agent"], "malformed"),
        ("execute_agent", "malformed"),
        (None, "malformed"),
    ],
)
async def test_a_message_that_cannot_be_carried_out_is_answered_with_the_reason(message, code):  # B12, S13
    server = Server()
    result, frames = await server.answer(message)
    assert result is None
    assert (frames[-1]["type"], frames[-1]["code"]) == ("refused", code)
    assert frames[-1]["detail"]


async def test_a_refusal_names_the_request():
    server = Server(engines_per_user=1)
    async with server.factory.user_execution_scope(await _context()):
        _, frames = await server.answer({"type": "execute_agent", "message": "hi", "request_id": "r-7"})
    assert (frames[-1]["code"], frames[-1]["request_id"]) == ("engine_limit", "r-7")


async def test_a_request_that_is_sent_twice_is_carried_out_once():
    server = Server()
    message = {"type": "execute_agent", "message": "hi", "request_id": "r-7"}
    first, _ = await server.answer(message)
    second, frames = await server.answer(message)
    assert first.run_id == "alice.r-7"
    assert second is None
    assert frames[-1]["code"] == "duplicate_request"


async def test_the_user_is_the_connections_whatever_the_message_says():  # S14
    server = Server()
    result, _ = await server.answer({"type": "execute_agent", "message": "hi", "user_id": "bob", "run_id": "bob.1"})
    assert result.user_id == "alice"
    assert not result.run_id.startswith("bob")


async def test_a_failure_of_the_servers_own_is_answered_too(caplog):
    def broken(_):
        raise LookupError("a bug")

    server = Server()
    server.factory = ExecutionEngineFactory(websocket_bridge=server.bridge, pipeline=broken)
    _, frames = await server.answer({"type": "execute_agent", "message": "hi"})
    assert frames[-1]["code"] == "internal_error"
    assert "a bug" not in frames[-1]["detail"]
    assert "a bug" in caplog.text


async def test_the_routing_function_raises_for_callers_in_python():
    server = Server()
    with pytest.raises(MessageError, match="unknown_type"):
        await route_websocket_message_to_agent({"type": "x"}, "c", "alice", execution_factory=server.factory)


async def _context():
    from netra_sim import create_user_execution_context

    return await create_user_execution_context("alice", "c", {})

"""Every message of a client is carried out or answered: incidents B12, S13 and S14."""

import asyncio
import json

import pytest

from netra_sim import ExecutionEngineFactory, route_websocket_message_to_agent
from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, MemoryTransport
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


async def test_both_routing_functions_take_the_bridge_and_the_factory_by_name():
    server = Server()
    ask = {"type": "execute_agent", "message": "hi"}
    result = await route_websocket_message_to_agent(
        message_data=ask, connection_id="c", user_id="alice", execution_factory=server.factory
    )
    assert result.status == "success"
    answered = await answer_message(
        message_data=ask, connection=server.connection, bridge=server.bridge, execution_factory=server.factory
    )
    assert answered.status == "success"
    with pytest.raises(TypeError):
        await route_websocket_message_to_agent(ask, "c", "alice", server.factory)


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


async def test_the_user_is_that_of_the_connection_whatever_the_message_says():  # S14
    server = Server()
    result, _ = await server.answer({"type": "execute_agent", "message": "hi", "user_id": "bob", "run_id": "bob.1"})
    assert result.user_id == "alice"
    assert not result.run_id.startswith("bob")


async def test_an_internal_error_of_the_server_is_answered_too(caplog):
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


def ask(thread_id=None):
    return {"type": "execute_agent", "message": "hi", "thread_id": thread_id}


class Clients:
    """Connections of several users to one server."""

    def __init__(self, **limits):
        self.bridge = AgentWebSocketBridge(limits=BridgeLimits(**limits))
        self.factory = ExecutionEngineFactory(websocket_bridge=self.bridge)

    async def answer(self, user, message):
        """The result of the run, and the messages that the user's client receives."""
        transport = MemoryTransport()
        connection = self.bridge.connect(AuthenticatedUser(user), transport)
        result = await answer_message(message, connection, bridge=self.bridge, execution_factory=self.factory)
        await asyncio.sleep(0)
        self.bridge.disconnect(connection)
        return result, [json.loads(frame) for frame in transport.frames]


async def test_a_thread_belongs_to_the_user_who_used_it_first():
    clients = Clients()
    first, _ = await clients.answer("alice", ask())
    for thread_id in (first.thread_id, "notes"):
        assert (await clients.answer("alice", ask(thread_id)))[0].thread_id == thread_id
        result, frames = await clients.answer("bob", ask(thread_id))
        assert result is None
        assert (frames[-1]["type"], frames[-1]["code"]) == ("refused", "unknown_thread")
        assert "alice" not in json.dumps(frames)
        assert (await clients.answer("alice", ask(thread_id)))[0].thread_id == thread_id
    assert (await clients.answer("bob", ask("bobs-notes")))[0].thread_id == "bobs-notes"


async def test_of_two_users_who_name_a_new_thread_at_once_one_gets_it():
    clients = Clients()
    answers = await asyncio.gather(*(clients.answer(user, ask("notes")) for user in ("alice", "bob")))
    assert [result is None for result, _ in answers] == [False, True]


async def test_a_thread_keeps_its_owner_after_its_runs_and_however_many_threads_another_user_uses():
    clients = Clients(replay_seconds=1, threads_per_user=5)
    await clients.answer("alice", ask("notes"))
    await asyncio.sleep(1000)
    for number in range(50):
        await clients.answer("bob", ask(f"bob-{number}"))
    assert (await clients.answer("bob", ask("notes")))[0] is None


async def test_owners_of_threads_are_bounded_and_the_last_used_are_kept_longest():
    clients = Clients(replay_seconds=1, threads_per_user=5, threads_total=8)
    for number in range(10):
        await clients.answer("alice", ask(f"alice-{number}"))
    await asyncio.sleep(10)
    known = clients.bridge._delivery.threads
    assert len(known) == 5
    await clients.answer("bob", ask("alice-0"))  # forgotten, so any user can claim it
    await clients.answer("alice", ask("alice-5"))  # used again, so it outlives alice-6
    await clients.answer("alice", ask("alice-new"))
    await asyncio.sleep(10)
    refused = [n for n in range(10) if (await clients.answer("zoe", ask(f"alice-{n}")))[0] is None]
    assert refused == [0, 5, 7, 8, 9]
    for number in range(50):
        await clients.answer(f"user-{number}", ask(f"thread-{number}"))
    await asyncio.sleep(10)
    assert len(known) == 8


async def test_a_thread_of_a_live_run_keeps_its_owner_whatever_the_bounds():
    clients = Clients(threads_per_user=1, threads_total=1)
    for number in range(5):
        await clients.answer("alice", ask(f"alice-{number}"))
    assert [(await clients.answer("bob", ask(f"alice-{number}")))[0] for number in range(5)] == [None] * 5


async def _context():
    from netra_sim import create_user_execution_context

    return await create_user_execution_context("alice", "c", {})

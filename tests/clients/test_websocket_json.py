"""The client protocol ``websocket-json`` against real servers: `websockets`' own, and FastAPI under uvicorn."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from systems import Records, request, serving
from websockets.asyncio.server import serve

from netra_sim.chosen import ChoiceError, chosen
from netra_sim.clients import CLIENT_PROTOCOLS, ClientProtocol, Match, SystemAddress, WebSocketJson
from netra_sim.history import Kind
from netra_sim.recording import mark

pytestmark = pytest.mark.real_time

PROTOCOL = WebSocketJson(
    path="/ws/{user}",
    message={"ask": "{text}", "run": "{run}", "thread": "{thread}"},
    type="type",
    run="run",
    sequence="seq",
    thread="thread",
    content="delta",
    end=Match(path="type", values=("done",)),
    error=Match(path="type", values=("failed",)),
)


@asynccontextmanager
async def websocket_server(on_connection, **options):
    async with serve(on_connection, "127.0.0.1", 0, **options) as server:
        yield SystemAddress(host="127.0.0.1", port=next(iter(server.sockets)).getsockname()[1])


async def echo(socket):
    async for frame in socket:
        asked = json.loads(frame)
        for number in range(3):
            token = {"type": "token", "seq": number, "delta": f"#{number}; "}
            await socket.send(json.dumps(token | {"run": asked["run"], "thread": asked["thread"]}))
        await socket.send(json.dumps({"type": "done", "run": asked["run"], "seq": 3, "text": asked["ask"]}))


async def test_an_answer_arrives_as_events_of_its_run_and_ends_it():
    records = Records()
    async with websocket_server(echo) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.connect()
        await asyncio.gather(*(session.ask(request("alice", number)) for number in range(2)))
        await session.leave()
    ours = [row for row in records.texts(Kind.RECEIVED, "run", "event", "seq", "thread") if row[0] == "alice.1"]
    assert [row[1:3] for row in ours] == [("token", 0), ("token", 1), ("token", 2), ("agent_completed", 3)]
    assert ours[0][3] == "alice-thread"
    assert records.texts(Kind.CONNECTED, "connection") == ["alice#0"]
    assert records.texts(Kind.CONTROL_RECEIVED, "event") == ["http 101"]
    assert records.texts(Kind.DISCONNECTED, "value") == [1000]
    assert records.texts(Kind.ANSWERED, "event", "value") == [("complete", 3)] * 2
    assert records.kinds <= PROTOCOL.kinds
    assert (PROTOCOL.names_runs, PROTOCOL.isolated_by) == (True, "thread")


async def test_the_server_learns_the_user_from_path_header_subprotocol_and_first_message():
    seen = []

    async def note(socket):
        seen.append((socket.request.path, socket.request.headers["authorization"], socket.subprotocol))
        seen.append(await socket.recv())
        await socket.send(await socket.recv())

    protocol = WebSocketJson(
        path="/rooms/{room}/{number}",
        headers={"Authorization": "Bearer {user}"},
        subprotocols=("chat.v1",),
        first=({"join": "{room}", "as": "{user}"},),
        message="{text}",
        room="a b",
        expect_broadcast=True,
    )
    records = Records()
    async with websocket_server(note, subprotocols=["chat.v1"]) as target:
        session = protocol.session(target, "user-7", records.journal("user-7"))
        await session.connect()
        await session.ask(request("user-7"))
        await session.leave()
    assert seen == [("/rooms/a%20b/7", "Bearer user-7", "chat.v1"), '{"join":"a b","as":"user-7"}']
    assert records.texts(Kind.RECEIVED, "event", "subject") == [("agent_completed", "user-7")]
    assert records.texts(Kind.REQUESTED, "thread") == ["a b"]


async def test_an_error_ends_the_run_and_the_data_of_another_user_is_seen():
    async def leak(socket):
        asked = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "failed", "run": asked["run"], "text": mark("bob")}))

    records = Records()
    async with websocket_server(leak) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.RECEIVED, "event", "subject") == [("agent_error", "bob")]


async def test_the_data_of_another_user_is_seen_in_the_reason_of_a_close():
    async def leak(socket):
        await socket.recv()
        await socket.close(1011, f"{mark('bob')} is busy")

    records = Records()
    async with websocket_server(leak) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    seen = records.texts(Kind.CONTROL_RECEIVED, "event", "subject")
    assert ("close 1011", "bob") in seen


async def test_an_event_of_a_run_that_nobody_asked_for_is_recorded_for_that_run():
    async def mixed_up(socket):
        asked = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "done", "run": "bob.0"}))
        await socket.send(json.dumps({"type": "done", "run": asked["run"]}))

    records = Records()
    async with websocket_server(mixed_up) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.RECEIVED, "run", "event") == [("bob.0", "done"), ("alice.0", "agent_completed")]


def chat_of_strangers():
    """A broadcast chat in plain text: each message comes back to its sender, and goes to all."""
    app, sockets = FastAPI(), []

    @app.websocket("/ws/{client_id}")
    async def endpoint(socket: WebSocket, client_id: int):
        await socket.accept()
        sockets.append(socket)
        try:
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"You wrote: {text}")
                for other in sockets:
                    await other.send_text(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            sockets.remove(socket)

    return app


async def test_in_a_room_the_messages_of_others_are_events_of_their_runs_and_silence_ends_a_run():
    protocol = WebSocketJson(path="/ws/{number}", message="{text}", room="all", quiet=0.3, expect_broadcast=True)
    records = Records()
    async with serving(chat_of_strangers()) as target:
        sessions = {user: protocol.session(target, user, records.journal(user)) for user in ("user-1", "user-2")}
        for session in sessions.values():
            await session.connect()
        for user, session in sessions.items():
            await session.ask(request(user))
        for session in sessions.values():
            await session.leave()
    received = records.texts(Kind.RECEIVED, "user", "run", "event", "subject")
    assert [row[1:] for row in received if row[0] == "user-1"] == [
        *(("user-1.0", "text", "user-1"),) * 2,
        ("user-1.0", "agent_completed", ""),
        ("user-2.0", "text", "user-2"),
    ]
    assert next(row[1:] for row in received if row[0] == "user-2") == ("user-1.0", "text", "user-1")
    assert records.texts(Kind.REQUESTED, "thread") == ["all", "all"]
    assert records.texts(Kind.ATTACHED, "thread") == ["all", "all"]
    assert (protocol.names_runs, protocol.isolated_by) == (False, "room")


async def test_a_message_that_does_not_come_back_is_a_run_without_an_end():
    async def swallow(socket):
        async for _ in socket:
            pass

    protocol = WebSocketJson(message="{text}", quiet=0.1, expect_broadcast=True)
    records = Records()
    async with websocket_server(swallow) as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.events("alice") == []
    assert not records.rows(Kind.LEFT)


async def test_a_refused_handshake_refuses_the_request_and_the_connection():
    async def refuse(connection, asked):
        return connection.respond(503, f"{mark('bob')} is served just now\n")

    records = Records()
    async with websocket_server(echo, process_request=refuse) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.connect()
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.CONNECT_REFUSED, "detail") == ["http 503"] * 2
    assert records.texts(Kind.REFUSED, "run", "detail") == [("alice.0", "http 503")]
    assert records.texts(Kind.CONTROL_RECEIVED, "event", "subject") == [("http 503", "bob")] * 2


async def test_after_a_lost_connection_the_request_returns_without_an_end_and_the_next_one_connects_again():
    async def hang_up_once(socket):
        if not seen:
            seen.append(await socket.recv())
            await socket.send('{"type": "token", "seq": 0}')
            socket.transport.abort()
        else:
            await echo(socket)

    seen = []
    records = Records()
    async with websocket_server(hang_up_once) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice", 0))
        await session.ask(request("alice", 1))
        await session.leave()
    assert records.texts(Kind.CONNECTED, "connection") == ["alice#0", "alice#1"]
    assert records.texts(Kind.DISCONNECTED, "connection", "value") == [("alice#0", 1006), ("alice#1", 1000)]
    ends = [run for run, event in records.texts(Kind.RECEIVED, "run", "event") if event == "agent_completed"]
    assert ends == ["alice.1"]


async def test_each_run_has_a_connection_of_its_own_if_the_path_names_it():
    records = Records()
    protocol = WebSocketJson(
        path="/{run}", message={"ask": "{text}", "run": "{run}", "thread": ""}, end=Match(path="text"), type="type"
    )
    async with websocket_server(echo) as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await session.connect()
        assert not records.rows(Kind.CONNECTED)
        await asyncio.gather(*(session.ask(request("alice", number)) for number in range(2)))
        assert len(records.rows(Kind.DISCONNECTED)) == 2
    assert records.events("alice").count("agent_completed") == 2


async def test_requests_take_turns_if_nothing_tells_their_answers_apart():
    protocol = WebSocketJson(message={"ask": "{text}", "run": "r", "thread": ""}, end=Match(path="text"), type="type")
    records = Records()
    async with websocket_server(echo) as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await asyncio.gather(*(session.ask(request("alice", number)) for number in range(2)))
        await session.leave()
    assert records.texts(Kind.RECEIVED, "run") == ["alice.0"] * 4 + ["alice.1"] * 4


@pytest.mark.parametrize("how", ["leaves early", "cut", "leave"])
async def test_a_client_that_stops_reading_is_recorded_as_such_and_its_request_returns(how):
    async def endless(socket):
        asked = json.loads(await socket.recv())
        while True:
            await socket.send(json.dumps({"type": "token", "run": asked["run"]}))
            await asyncio.sleep(0)

    protocol = WebSocketJson(
        message=PROTOCOL.message, run="run", end=Match(path="done"), leave_share=float(how == "leaves early")
    )
    records = Records()
    async with websocket_server(endless) as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        asking = asyncio.ensure_future(session.ask(request("alice")))
        while len(records.events("alice")) < 3:
            await asyncio.sleep(0.005)
        if how == "cut":
            session.cut()
        elif how == "leave":
            await session.leave()
        await asyncio.wait_for(asking, 10)
    by_choice = "" if how == "leaves early" else "lost"
    assert records.texts(Kind.LEFT, "connection", "run", "detail") == [("alice#0", "alice.0", by_choice)]
    assert records.texts(Kind.DISCONNECTED, "value") == [{"cut": 1006, "leave": 1000}.get(how, 1001)]


def test_a_protocol_that_cannot_know_the_end_of_a_run_is_refused():
    with pytest.raises(ChoiceError, match="set end, quiet or expect_broadcast"):
        chosen({"kind": "websocket-json"}, CLIENT_PROTOCOLS, "client", ClientProtocol)

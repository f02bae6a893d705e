"""The client protocol ``sse-json`` against real servers: what it records of answers, refusals and answers that break off."""

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from systems import Records, answering, request, serving

from netra_sim.clients import Match, SseJson
from netra_sim.history import Kind
from netra_sim.recording import mark

pytestmark = pytest.mark.real_time

PROTOCOL = SseJson(
    path="/chat/{thread}",
    headers={"Authorization": "Bearer {user}"},
    type="type",
    run="run",
    sequence="seq",
    content="delta",
    end=Match(path="type", values=("done",)),
    error=Match(path="type", values=("failed",)),
)


def stream(*events, gap=0.0):
    async def body():
        for event in events:
            yield f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
            await asyncio.sleep(gap)

    return StreamingResponse(body(), media_type="text/event-stream")


def chat(answer):
    """An application whose chat answers each question by ``answer(question, user)``."""

    async def endpoint(asked):
        return answer(await asked.json(), asked.headers["authorization"].removeprefix("Bearer "))

    return Starlette(routes=[Route("/chat/{thread}", endpoint, methods=["POST"])])


def echo(question, user):
    run = question["run_id"]
    tokens = [{"type": "token", "run": run, "seq": number, "delta": f"#{number}; "} for number in range(3)]
    return stream(*tokens, {"type": "done", "run": run, "seq": 3, "text": question["message"]})


async def test_an_answer_arrives_as_events_of_its_run_and_ends_it():
    records = Records()
    async with serving(chat(echo)) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    received = records.texts(Kind.RECEIVED, "run", "event", "seq", "subject")
    assert [row[1:3] for row in received] == [("token", 0), ("token", 1), ("token", 2), ("agent_completed", 3)]
    assert received[-1] == ("alice.0", "agent_completed", 3, "alice")
    assert records.texts(Kind.ANSWERED, "event", "value") == [("complete", 3)]
    assert records.texts(Kind.FIRST_CONTENT, "event") == ["token"]
    assert records.texts(Kind.REQUESTED, "run", "thread") == [("alice.0", "alice-thread")]
    assert records.kinds <= PROTOCOL.kinds
    assert PROTOCOL.names_runs


async def test_requests_one_after_the_other_share_a_connection_and_requests_at_once_do_not():
    records = Records()
    async with serving(chat(echo)) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice", 0))
        await session.ask(request("alice", 1))
        assert records.texts(Kind.CONNECTED, "connection") == ["alice#0"]
        await asyncio.gather(*(session.ask(request("alice", number)) for number in (2, 3)))
        assert records.texts(Kind.CONNECTED, "connection") == ["alice#0", "alice#1"]
        await session.leave()
    assert records.events("alice").count("agent_completed") == 4
    assert sorted(records.texts(Kind.DISCONNECTED, "connection", "value")) == [("alice#0", 1000), ("alice#1", 1000)]
    assert not records.rows(Kind.LEFT)


async def test_the_data_of_another_user_is_seen_in_an_event_in_a_head_and_in_a_refusal():
    records = Records(secrets={"the key": "sk-123"})

    def leak(question, user):
        match int(question["run_id"][-1]):
            case 0:
                return stream({"type": "token", "delta": "cana"}, {"type": "token", "delta": "ry:bob;"}, "[DONE]")
            case 1:
                return JSONResponse({}, headers={"x-user": mark("bob")})
            case _:
                return JSONResponse({"error": f"sk-123 of {mark('bob')}"}, status_code=503)

    async with serving(chat(leak)) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        for number in range(3):
            await session.ask(request("alice", number))
        await session.leave()
    assert records.texts(Kind.RECEIVED, "run", "event", "subject") == [
        ("alice.0", "token", ""),
        ("alice.0", "token", "bob"),
        ("alice.0", "agent_completed", ""),
    ]
    assert records.texts(Kind.CONTROL_RECEIVED, "event", "subject") == [
        *(("http 200", ""), ("http 200", "bob"), ("rest of the body", "")),
        *(("http 503", ""), ("http 503", "bob")),
    ]
    assert records.texts(Kind.REFUSED, "run", "detail") == [("alice.2", "http 503")]
    assert records.texts(Kind.DISCLOSED, "run", "detail") == [("alice.2", "the key")]


async def test_an_error_event_ends_the_run_as_failed_and_what_follows_is_no_second_end():
    records = Records()
    async with serving(chat(lambda question, user: stream({"type": "failed"}, {"type": "done"}, "[DONE]"))) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.events("alice") == ["agent_error", "done", "[DONE]"]
    assert not records.rows(Kind.ANSWERED)


async def test_a_body_that_ends_without_an_end_is_a_run_without_an_end_unless_the_protocol_says_so():
    records = Records()
    async with serving(chat(lambda question, user: stream({"type": "token", "delta": "x"}))) as target:
        for user, ends in (("alice", False), ("bob", True)):
            protocol = SseJson(path="/chat/{thread}", headers=PROTOCOL.headers, content="delta", end_of_body=ends)
            session = protocol.session(target, user, records.journal(user))
            await session.ask(request(user))
            await session.leave()
    assert records.events("alice") == ["message"]
    assert records.events("bob") == ["message", "agent_completed"]


async def test_a_plain_response_to_a_get_is_an_answer_whose_marks_count():
    async def endpoint(asked):
        return JSONResponse({"you asked": asked.query_params["q"], "for": mark("bob")})

    records = Records()
    async with serving(Starlette(routes=[Route("/x", endpoint)])) as target:
        session = SseJson(method="GET", path="/x?q={text}", end_of_body=True).session(
            target, "alice", records.journal("alice")
        )
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.RECEIVED, "event", "subject") == [("agent_completed", "bob")]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"type": "token"}\n\n'
TOKEN = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)


@pytest.mark.parametrize(
    ("sent", "events", "reason"),
    [
        (b"", [], ""),
        (HEAD + TOKEN, ["token"], "peer closed connection"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", [], "illegal status line"),
    ],
    ids=["a server that hangs up", "an answer that breaks off", "another protocol"],
)
async def test_a_broken_answer_is_a_run_without_an_end_and_a_lost_connection(sent, events, reason):
    async def answer(reader, writer):
        writer.write(sent)

    records = Records()
    async with answering(answer) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.events("alice") == events
    ((code, detail),) = records.texts(Kind.DISCONNECTED, "value", "detail")
    assert code == 1006
    assert reason in detail
    assert not records.rows(Kind.LEFT)


async def test_a_server_that_cannot_be_reached_refuses_the_connection():
    async def answer(reader, writer):
        raise AssertionError("nobody connects")

    async with answering(answer) as target:
        pass
    records = Records()
    await PROTOCOL.session(target, "alice", records.journal("alice")).ask(request("alice"))
    (reason,) = records.texts(Kind.CONNECT_REFUSED, "detail")
    assert reason.startswith("ConnectionRefusedError")
    assert records.texts(Kind.REQUESTED, "run") == ["alice.0"]


async def test_a_kept_connection_that_the_server_closes_on_the_next_request_is_replaced_by_a_new_one():
    seen = []
    body = b"data: [DONE]\n\n"
    complete = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def answer(reader, writer):
        seen.append(writer)
        writer.write(complete)
        await reader.readuntil(b"}")
        await reader.readuntil(b"\r\n\r\n")  # the second request, of which the server wants to know nothing

    records = Records()
    async with answering(answer) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice", 0))
        await session.ask(request("alice", 1))
        await session.leave()
    assert len(seen) == 2
    assert records.events("alice") == ["agent_completed"] * 2
    assert records.texts(Kind.REQUESTED, "run") == ["alice.0", "alice.1"]


async def test_a_user_leaves_some_runs_in_the_middle_and_the_server_notices():
    gone = asyncio.Event()

    def endless(question, user):
        async def body():
            try:
                while True:
                    yield 'data: {"type": "token"}\n\n'
                    await asyncio.sleep(0.01)
            finally:
                gone.set()

        return StreamingResponse(body(), media_type="text/event-stream")

    records = Records()
    protocol = SseJson(path="/chat/{thread}", headers=PROTOCOL.headers, leave_share=1.0, leave_after=2)
    async with serving(chat(endless)) as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await asyncio.wait_for(gone.wait(), 10)
        await session.leave()
    assert records.events("alice") == ["message", "message"]
    assert records.texts(Kind.LEFT, "connection", "run", "detail") == [("alice#0", "alice.0", "")]
    assert records.texts(Kind.DISCONNECTED, "value") == [1001]


@pytest.mark.parametrize("amount", [1, 100_000], ids=["after one event", "with much to read"])
@pytest.mark.parametrize("how", ["cut", "leave", "give up"])
async def test_a_client_that_stops_reading_is_recorded_as_such_and_its_request_returns(how, amount):
    records, first = Records(), asyncio.Event()

    async def answer(reader, writer):
        writer.write(HEAD + TOKEN * amount)
        first.set()
        await reader.read()

    async with answering(answer) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        asking = asyncio.ensure_future(session.ask(request("alice")))
        await first.wait()
        while not records.events("alice"):
            await asyncio.sleep(0.005)
        if how == "cut":
            session.cut()
        elif how == "leave":
            await session.leave()
        else:
            asking.cancel()
        await asyncio.wait([asking], timeout=10)
        assert asking.done()
        await session.leave()
    assert records.texts(Kind.LEFT, "run", "detail") == [("alice.0", "lost")]
    assert records.texts(Kind.DISCONNECTED, "value") == [{"cut": 1006, "leave": 1000, "give up": 1001}[how]]


async def test_what_arrives_at_the_moment_of_a_cut_is_not_read(monkeypatch):
    async def answer(reader, writer):
        writer.write(HEAD + TOKEN)
        await reader.read()

    feed = asyncio.StreamReader.feed_data

    def feed_and_cut(reader, data):
        feed(reader, data)
        if TOKEN in data:
            session.cut()

    monkeypatch.setattr(asyncio.StreamReader, "feed_data", feed_and_cut)
    records = Records()
    async with answering(answer) as target:
        session = PROTOCOL.session(target, "alice", records.journal("alice"))
        await asyncio.wait_for(session.ask(request("alice")), 10)
    assert records.events("alice") == []
    assert records.texts(Kind.LEFT, "run", "detail") == [("alice.0", "lost")]
    assert records.texts(Kind.DISCONNECTED, "value") == [1006]


async def test_the_users_who_name_a_foreign_thread_are_drawn_by_name():
    threads = {}

    def note(question, user):
        threads[user] = question["thread_id"]
        return stream("[DONE]")

    protocol = SseJson(path="/chat/{thread}", headers=PROTOCOL.headers, foreign_threads=0.5)
    records = Records()
    async with serving(chat(note)) as target:
        for number in range(20):
            user = f"user-{number}"
            session = protocol.session(target, user, records.journal(user), seed=1)
            await session.ask(request(user, other_thread="the thread of another"))
            await session.leave()
    foreign = {user for user, thread in threads.items() if thread == "the thread of another"}
    assert 4 < len(foreign) < 16
    asked = {f"user-{number}" for number in range(20) if protocol.draw(1, "foreign thread", f"user-{number}") < 0.5}
    assert foreign == asked

"""The client protocol ``ag-ui`` against the adapters of pydantic-ai and LangGraph, and against broken servers."""

import asyncio
import json
import re

import pytest
from ag_ui.core import RunAgentInput
from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from systems import Records, answering, request, serving

from netra_sim.clients import AgUi, streaming
from netra_sim.history import Kind

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]

TOKENS = 4


def answer_to(question):
    """The pieces of an answer that echoes the marks of the question, and numbers its pieces."""
    marks = " ".join(re.findall(r"canary:\S*;", str(question)))
    return [f"#{number}; {marks if number == 1 else ''} " for number in range(TOKENS)]


def pydantic_app(answer=answer_to, seen=None):
    async def stream(messages, info):
        if seen is not None:
            seen.append([part.content for message in messages for part in message.parts])
        for piece in answer(messages[-1].parts[-1].content):
            yield piece
            await asyncio.sleep(0.001)

    agent = Agent(FunctionModel(stream_function=stream))
    app = FastAPI()

    @app.post("/")
    async def run(asked: Request):
        return await AGUIAdapter.dispatch_request(asked, agent=agent)

    return app


def langgraph_app():
    async def speak(state: MessagesState):
        pieces = answer_to(state["messages"][-1].content)
        model = GenericFakeChatModel(messages=iter([AIMessage(content="".join(pieces))]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("speak", speak)
    graph.add_edge(START, "speak")
    graph.add_edge("speak", END)
    app = FastAPI()
    add_langgraph_fastapi_endpoint(app, LangGraphAgent(name="a", graph=graph.compile(checkpointer=MemorySaver())), "/")
    return app


@pytest.mark.parametrize("app", [pydantic_app, langgraph_app])
async def test_five_users_at_once_get_each_their_own_answer_in_order(app):
    records = Records()
    users = [f"user-{number}" for number in range(5)]
    async with serving(app()) as target:
        sessions = [AgUi().session(target, user, records.journal(user)) for user in users]
        await asyncio.gather(*(session.ask(request(user)) for user, session in zip(users, sessions, strict=True)))
        for session in sessions:
            await session.leave()
    for user in users:
        events = records.events(user)
        assert events[0] == "RUN_STARTED"
        assert events[-1] == "agent_completed"
        assert "TEXT_MESSAGE_CONTENT" in events
    assert {(row["user"], row["subject"]) for row in records.rows(Kind.RECEIVED) if row["subject"]} == {
        (user, user) for user in users
    }
    assert records.texts(Kind.ANSWERED, "event", "value") == [("complete", TOKENS)] * 5
    for kind in (Kind.OTHER_RUN, Kind.OUT_OF_ORDER, Kind.REPEATED, Kind.MISSING, Kind.LEFT, Kind.REFUSED):
        assert records.rows(kind) == []
    assert records.kinds <= AgUi().kinds


async def test_who_names_the_thread_of_another_user_gets_that_users_conversation_from_langgraph():
    records = Records()
    async with serving(langgraph_app()) as target:
        for user, protocol in (("alice", AgUi()), ("bob", AgUi(foreign_threads=1.0))):
            session = protocol.session(target, user, records.journal(user))
            await session.ask(request(user, other_thread="alice-thread"))
            await session.leave()
    foreign = {event for user, event, subject in records.texts(Kind.RECEIVED, "user", "event", "subject")
               if user == "bob" and subject == "alice"}  # fmt: skip
    assert "MESSAGES_SNAPSHOT" in foreign
    assert ("bob.0", "alice-thread") in records.texts(Kind.REQUESTED, "run", "thread")


async def test_a_second_question_holds_the_whole_conversation_if_the_protocol_says_so():
    seen = []
    records = Records()
    async with serving(pydantic_app(seen=seen)) as target:
        session = AgUi(history=True).session(target, "alice", records.journal("alice"))
        first, second = request("alice", 0), request("alice", 1)
        await session.ask(first)
        await session.ask(second)
        await session.leave()
    assert seen[1] == [first.text, "".join(answer_to(first.text)), second.text]
    assert not records.rows(Kind.OTHER_RUN)


async def test_an_error_of_the_model_ends_the_run_as_failed_and_discloses_the_planted_secret():
    def fail(question):
        yield "#0; "
        raise RuntimeError("no answer with the key sk-123")

    records = Records(secrets={"the key": "sk-123"})
    async with serving(pydantic_app(answer=fail)) as target:
        session = AgUi().session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.events("alice")[-1] == "agent_error"
    assert records.texts(Kind.DISCLOSED, "run", "event", "detail") == [("alice.0", "agent_error", "the key")]
    assert not records.rows(Kind.ANSWERED)


async def test_a_reader_who_leaves_is_recorded_and_the_next_question_in_the_thread_is_answered():
    records = Records()
    protocol = AgUi(leave_share=0.5, leave_after=4)
    stays, leaves = (
        next(n for n in range(99) if bool(protocol.leaves_after(1, f"alice.{n}")) is wanted) for wanted in (False, True)
    )
    async with serving(pydantic_app()) as target:
        session = protocol.session(target, "alice", records.journal("alice"), seed=1)
        await session.ask(request("alice", leaves))
        await session.ask(request("alice", stays))
        await session.leave()
    assert records.texts(Kind.LEFT, "run") == [f"alice.{leaves}"]
    by_run = records.texts(Kind.RECEIVED, "run", "event")
    assert len([run for run, _ in by_run if run == f"alice.{leaves}"]) == 4
    assert (f"alice.{stays}", "agent_completed") in by_run


def replaying(*events):
    """A server that answers each run by these events, whose thread and run are those of the request."""
    app = FastAPI()

    @app.post("/agent")
    async def run(asked: RunAgentInput):
        async def body():
            for event in events:
                if isinstance(event, dict) and event["type"].startswith("RUN_") and event["type"] != "RUN_ERROR":
                    event = {"threadId": asked.thread_id, "runId": asked.run_id} | event
                yield f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    return app


STARTED, FINISHED = {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}
INTERRUPT = {"type": "interrupt", "interrupts": [{"id": "i", "reason": "tool_call"}]}


def content(delta, name="m"):
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": name, "delta": delta}


@pytest.mark.parametrize(
    ("events", "ends", "broken", "answered"),
    [
        ([STARTED, {**FINISHED, "outcome": INTERRUPT}], "agent_completed", [], []),
        ([STARTED, {**FINISHED, "outcome": {"type": "cancelled"}}], "agent_error", [], []),
        ([STARTED, FINISHED], "agent_completed", [], ["empty"]),
        ([STARTED], "", [], []),
        ([{"type": "RUN_ERROR", "message": "m"}], "agent_error", [], []),
        ([STARTED, content("x"), FINISHED], "agent_completed", ["which is not open"], ["complete"]),
        ([STARTED, {"type": "STEP_STARTED"}, {"type": "RUN_ERROR", "message": "m"}], "agent_error", ["stepName"], []),
        ([STARTED, {"type": "NEWER"}, FINISHED], "agent_completed", [], ["empty"]),
        ([STARTED, "no JSON", FINISHED], "agent_completed", ["each data is one JSON event"], ["empty"]),
        (
            [{**STARTED, "runId": "z"}, {**FINISHED, "runId": "z"}],
            "",
            ["no RUN_STARTED names the run that was asked for"],
            [],
        ),
        (
            [{**STARTED, "runId": "old"}, {"type": "RUN_ERROR", "message": "m"}, STARTED, FINISHED],
            "agent_completed",
            [],
            ["empty"],
        ),
    ],
    ids=[
        *("an interrupt", "a cancelled run", "no answer", "a stream that is cut off", "an error before the run"),
        *("an event out of order", "an event without a required field", "an unknown event", "no event"),
        *("another run than asked for", "an earlier run that failed, replayed"),
    ],
)
async def test_each_way_to_end_a_run_is_recorded_with_the_rules_that_it_breaks(events, ends, broken, answered):
    records = Records()
    async with serving(replaying(*events)) as target:
        session = AgUi(path="/agent").session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    own = [event for run, event in records.texts(Kind.RECEIVED, "run", "event") if run == "alice.0"]
    assert [event for event in own if event.startswith("agent_")] == [ends] * bool(ends)
    assert records.texts(Kind.ANSWERED, "event") == answered
    rules = records.texts(Kind.OUT_OF_ORDER, "detail")
    assert len(rules) == len(broken)
    assert all(rule in found for rule, found in zip(broken, rules, strict=True))


async def test_tokens_are_counted_in_the_answer_only_and_not_in_what_repeats_it():
    start, end = ({"type": f"TEXT_MESSAGE_{kind}", "messageId": "m"} for kind in ("START", "END"))
    raw = {"type": "RAW", "event": content("#0; #1;")}
    question = {"type": "TEXT_MESSAGE_CHUNK", "messageId": "q", "role": "user", "delta": "#5;"}
    more = {"type": "TEXT_MESSAGE_CHUNK", "delta": "#1; #0; #0;"}
    pieces = [start, content("#0; #"), raw, content("1;"), raw, content("#3;"), end]
    chunks = [{"type": "TEXT_MESSAGE_CHUNK", "messageId": "n", "delta": "#0; "}, more]
    records = Records()
    async with serving(replaying(STARTED, question, *pieces, *chunks, FINISHED)) as target:
        session = AgUi(path="/agent").session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.MISSING, "seq", "value") == [(2, 2)]
    assert records.texts(Kind.REPEATED, "seq") == [0, 0]
    assert records.texts(Kind.ANSWERED, "value") == [5]
    assert not records.rows(Kind.OUT_OF_ORDER)


async def test_an_input_that_the_server_does_not_take_is_refused():
    records = Records()
    async with serving(pydantic_app()) as target:
        session = AgUi(path="/elsewhere").session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        await session.leave()
    assert records.texts(Kind.REFUSED, "detail") == ["http 404"]


async def test_after_the_end_of_a_run_a_server_that_keeps_the_response_open_holds_the_user_for_a_while_only(
    monkeypatch,
):
    monkeypatch.setattr(streaming, "LINGER", 0.05)

    async def answer(reader, writer):
        events = (
            json.dumps({"threadId": "alice-thread", "runId": "alice.0", **event}) for event in (STARTED, FINISHED)
        )
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + "".join(f"data: {event}\n\n" for event in events).encode())
        await reader.read()

    records = Records()
    async with answering(answer) as target:
        session = AgUi().session(target, "alice", records.journal("alice"))
        await asyncio.wait_for(session.ask(request("alice")), 60)
        await session.leave()
    assert records.events("alice") == ["RUN_STARTED", "agent_completed"]
    assert not records.rows(Kind.LEFT)

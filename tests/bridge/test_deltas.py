"""The streamed text of an answer: joined within a turn, in order, redacted, and complete for a client that comes late."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.bridge import AuthenticatedUser, BridgeLimits, MemoryTransport
from netra_sim.exceptions import PayloadError, RunClosedError, RunOrderError, WrongLoopError
from netra_sim.factory import create_user_execution_context
from netra_sim.simulation import run_virtual


async def opened(**limits):
    bridge = AgentWebSocketBridge(limits=BridgeLimits(**limits), wall_clock=lambda: 1.0)
    await bridge.ensure_integration()
    emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    emitter.agent_started("writer")
    return bridge, emitter


def client(bridge, **resume):
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), transport, **resume)
    return transport


def messages(transport):
    return [json.loads(frame) for frame in transport.frames][1:]


def text_of(received):
    """The text that a client shows if it follows docs/protocol.md."""
    text = ""
    for message in received:
        text = message["text"] if message["type"] == "gap" and "text" in message else text
        text += message["text"] if message["type"] == "agent_delta" else ""
    return text


async def test_the_pieces_of_one_turn_are_one_event_and_those_of_the_next_turn_another():
    bridge, emitter = await opened()
    tab = client(bridge)
    for piece in ("Stop ", "paying ", "for "):
        emitter.agent_delta(piece)
    await asyncio.sleep(0.001)
    emitter.agent_delta("idle machines.")
    emitter.agent_delta("")
    await asyncio.sleep(0.001)
    assert [one["text"] for one in messages(tab)[1:]] == ["Stop paying for ", "idle machines."]
    assert bridge.metrics().counters.published == 3


async def test_other_events_come_after_the_pieces_before_them():
    bridge, emitter = await opened()
    tab = client(bridge)
    emitter.agent_delta("a")
    emitter.agent_thinking("hm")
    emitter.agent_delta("b")
    emitter.agent_completed("ab")
    await asyncio.sleep(0.001)
    told = [(one["type"], one["seq"]) for one in messages(tab)]
    assert told == [
        ("agent_started", 0), ("agent_delta", 1), ("agent_thinking", 2), ("agent_delta", 3), ("agent_completed", 4),
    ]  # fmt: skip


async def test_closing_an_emitter_publishes_its_pieces_first():
    bridge, emitter = await opened()
    tab = client(bridge)
    emitter.agent_delta("half of an ans")
    emitter.close()
    await asyncio.sleep(0.001)
    assert [one["type"] for one in messages(tab)] == ["agent_started", "agent_delta", "agent_error"]
    with pytest.raises(RunClosedError):
        emitter.agent_delta("wer")


async def test_a_piece_that_is_not_text_or_out_of_order_is_refused_and_not_published():
    bridge, emitter = await opened()
    with pytest.raises(PayloadError, match="must be text, and is a int"):
        emitter.agent_delta(7)
    early = bridge.open_run(user_id="alice", thread_id="t", run_id="r2")
    with pytest.raises(RunOrderError):
        early.agent_delta("x")
    emitter.agent_completed("done")
    with pytest.raises(RunClosedError):
        emitter.agent_delta("x")

    with ThreadPoolExecutor(1) as elsewhere, pytest.raises(WrongLoopError):
        elsewhere.submit(early.agent_delta, "x").result()
    counters = bridge.metrics().counters
    assert (counters.published, counters.refused) == (2, 3)


async def test_a_secret_within_a_piece_is_redacted():
    bridge, emitter = await opened()
    tab = client(bridge)
    emitter.agent_delta("the password=hunter2; ")
    await asyncio.sleep(0.001)
    assert messages(tab)[1]["text"] == "the password=[redacted]; "


async def test_a_long_text_of_one_turn_is_split_into_events_within_the_size_limit():
    bridge, emitter = await opened(event_bytes=1_600)
    tab = client(bridge)
    emitter.agent_delta("\x00" * 1_000)
    await asyncio.sleep(0.001)
    received = messages(tab)
    assert len(received) == 11
    assert text_of(received) == "\x00" * 1_000


async def test_a_failure_at_the_end_of_a_turn_is_reported_and_stops_no_other_events():
    reported, is_broken = [], False

    def wall_clock():
        if is_broken:
            raise OSError("the clock is gone")
        return 1.0

    bridge = AgentWebSocketBridge(wall_clock=wall_clock)
    await bridge.ensure_integration()
    emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: reported.append(str(about["exception"])))
    emitter.agent_started("writer")
    tab = client(bridge)
    emitter.agent_delta("lost")
    is_broken = True
    await asyncio.sleep(0.001)
    is_broken = False
    emitter.agent_delta("said")
    await asyncio.sleep(0.001)
    assert reported == ["the clock is gone"]
    assert [one.get("text") for one in messages(tab)] == [None, "said"]


async def test_a_client_that_was_away_gets_the_whole_text_of_three_thousand_tokens():
    bridge, emitter = await opened(replay_events=50)
    tokens = [f"token{number:03} " for number in range(3_000)]
    for token in tokens:
        emitter.agent_delta(token)
        await asyncio.sleep(0.001)
    emitter.agent_completed("done")
    late, back = client(bridge), client(bridge, epoch=bridge.epoch, cursors={"r": 17})
    await asyncio.sleep(0.001)
    for tab in (late, back):
        received = messages(tab)
        assert [one["type"] for one in received[:2]] == ["gap", "agent_delta"]
        assert text_of(received) == "".join(tokens)


async def test_dropped_text_counts_against_the_replay_limit_and_is_dropped_above_it():
    bridge, emitter = await opened(replay_events=5, replay_bytes=2_000)
    held = []
    for _ in range(100):
        emitter.agent_delta("x" * 50)
        await asyncio.sleep(0.001)
        held.append(bridge.metrics().replay_bytes)
    assert max(held) <= 2 * 2_000
    assert held[20] - held[17] == 150  # the text that was dropped from the events
    late = client(bridge)
    await asyncio.sleep(0.001)
    gap = messages(late)[0]
    assert (gap["type"], "text" in gap) == ("gap", False)
    emitter.agent_completed("done")
    await asyncio.sleep(200.0)
    assert bridge.metrics().replay_bytes == 0


SAYS = st.tuples(st.just("say"), st.text("ab \n", max_size=8))
PIECES = st.lists(st.one_of(SAYS, st.tuples(st.sampled_from(["think", "turn", "cut"]), st.just(""))), max_size=40)


@given(PIECES)
@settings(max_examples=60)
def test_every_client_has_the_whole_text_in_the_end(steps):
    async def told():
        bridge, emitter = await opened(replay_events=6, connections_per_user=50)
        said, tabs, cursors = "", [client(bridge)], {}
        for step, text in steps:
            if step == "say":
                emitter.agent_delta(text)
                said += text
            elif step == "think":
                emitter.agent_thinking("hm")
            elif step == "turn":
                await asyncio.sleep(0.001)
            else:
                tabs.append(client(bridge, epoch=bridge.epoch, cursors=dict(cursors)))
        emitter.agent_completed("done")
        await asyncio.sleep(0.001)
        return said, [text_of(messages(tab)) for tab in tabs]

    said, shown = run_virtual(told())
    assert shown == [said] * len(shown)


async def test_an_agent_streams_its_answer_piece_by_piece():
    class Writes:
        name = "writes"

        async def run(self, session):
            for word in ("Buy", " less."):
                session.say(word)
                await asyncio.sleep(0.1)
            return "Buy less."

    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=lambda _: [[Writes()]])
    context = await create_user_execution_context("alice", None, {"message": "?"})
    async with factory.user_execution_scope(context) as engine:
        await engine.execute_agent_pipeline()
    tab = client(bridge)
    await asyncio.sleep(0.001)
    assert [one["type"] for one in messages(tab)] == ["agent_started", "agent_delta", "agent_delta", "agent_completed"]
    assert text_of(messages(tab)) == "Buy less."

"""Delivery of events to the clients of their owner: incidents B1 to B10."""

import asyncio
import gc
import json
import math
import re

import pytest

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, IntegrationPolicy, MemoryTransport
from netra_sim.exceptions import (
    BridgeNotReadyError,
    ConnectionLimitError,
    PayloadError,
    RunClosedError,
    RunExistsError,
    RunOrderError,
)
from netra_sim.factory import EngineLimits
from netra_sim.protocol import EventReader
from netra_sim.simulation import run_virtual

ALICE, BOB = AuthenticatedUser("alice"), AuthenticatedUser("bob")


async def integrated(**options):
    bridge = AgentWebSocketBridge(**options)
    assert (await bridge.ensure_integration()).success
    return bridge


def open_run(bridge, user="alice", run_id="run-1"):
    return bridge.open_run(user_id=user, thread_id=f"{user}-thread", run_id=run_id)


def messages(transport):
    return [json.loads(frame) for frame in transport.frames]


def events(transport):
    return [message for message in messages(transport) if "seq" in message]


def numbers(transport, run_id="run-1"):
    return [event["seq"] for event in events(transport) if event["run_id"] == run_id]


async def turn():
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def think(emitter, times, first=0):
    for number in range(first, first + times):
        emitter.agent_thinking(f"thought {number}")


async def test_a_second_users_request_does_not_affect_the_first_users_events():  # B1
    bridge = await integrated()
    alice, bob = MemoryTransport(), MemoryTransport()
    bridge.connect(ALICE, alice)
    first = open_run(bridge)
    first.agent_started("agent")
    bridge.connect(BOB, bob)
    open_run(bridge, "bob", "run-2").agent_started("agent")
    first.agent_completed("done")
    await turn()
    assert [event["type"] for event in events(alice)] == ["agent_started", "agent_completed"]
    assert [event["run_id"] for event in events(bob)] == ["run-2"]


async def test_an_emitter_has_no_way_to_name_another_user_run_or_thread():  # B2
    bridge = await integrated()
    emitter = open_run(bridge)
    for attribute in ("user_id", "run_id", "thread_id"):
        with pytest.raises(AttributeError):
            setattr(emitter, attribute, "bob")
    for method in ("agent_started", "agent_thinking", "tool_executing", "agent_completed"):
        with pytest.raises(TypeError):
            getattr(emitter, method)(user_id="bob")


async def test_a_run_id_in_use_cannot_be_taken_over():  # B2
    bridge = await integrated()
    open_run(bridge)
    with pytest.raises(RunExistsError, match="run-1"):
        open_run(bridge, "bob", "run-1")


@pytest.mark.parametrize("run_id", ["run-1", "thread_7_run_9", "0b9e", "a/b c:d"])
async def test_events_arrive_whatever_the_run_id_looks_like(run_id):  # B4
    bridge = await integrated()
    transport = MemoryTransport()
    bridge.connect(ALICE, transport)
    emitter = open_run(bridge, run_id=run_id)
    emitter.agent_started("agent")
    emitter.agent_completed("done")
    await turn()
    assert numbers(transport, run_id) == [0, 1]


async def test_a_stalled_client_delays_nobody_and_is_shed_for_its_bytes():  # B6
    bridge = await integrated(limits=BridgeLimits(outbox_bytes=20_000, congested_bytes=4_000, stalled_bytes=8_000))
    stalled, second_tab, other = MemoryTransport(), MemoryTransport(), MemoryTransport()
    bridge.connect(ALICE, stalled)
    bridge.connect(ALICE, second_tab)
    bridge.connect(BOB, other)
    stalled.stall()
    alices, bobs = open_run(bridge), open_run(bridge, "bob", "run-2")
    alices.agent_started("agent")
    bobs.agent_started("agent")
    for number in range(200):
        think(alices, 1, number)
        think(bobs, 1, number)
        await turn()
    assert numbers(second_tab) == list(range(201))
    assert numbers(other, "run-2") == list(range(201))
    assert stalled.closed is not None
    assert stalled.closed[0] == 4008
    assert bridge.metrics().counters.shed == 1


async def test_events_of_one_turn_cannot_exceed_the_outbox_either():  # B9
    bridge = await integrated(limits=BridgeLimits(congested_bytes=2_000, stalled_bytes=4_000, outbox_bytes=10_000))
    transport = MemoryTransport()
    connection = bridge.connect(ALICE, transport)
    transport.stall()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    for number in range(10_000):
        think(emitter, 1, number)
        assert connection.outbox_bytes <= 11_000
    await turn()


async def test_a_client_that_reads_slowly_is_shed_after_some_seconds_and_one_that_recovers_is_not():  # B6
    limits = BridgeLimits(congested_bytes=1_000, stalled_bytes=2_000, stalled_seconds=5.0, outbox_bytes=100_000)
    bridge = await integrated(limits=limits)
    slow, recovering = MemoryTransport(), MemoryTransport()
    bridge.connect(ALICE, slow)
    bridge.connect(ALICE, recovering)
    slow.stall()
    recovering.stall()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    think(emitter, 30)
    await asyncio.sleep(4.0)
    assert slow.closed is None
    recovering.resume()
    await asyncio.sleep(4.0)
    assert slow.closed is not None
    assert slow.closed[0] == 4008
    assert recovering.closed is None
    assert numbers(recovering) == list(range(31))


async def test_a_dead_socket_is_noticed_counted_and_its_user_can_reconnect_and_disconnect():  # B6, B7
    bridge = await integrated()
    dead = MemoryTransport()
    connection = bridge.connect(ALICE, dead)
    await turn()
    dead.fail()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    await turn()
    counters = bridge.metrics().counters
    assert (counters.lost_connections, counters.sent) == (1, 1)  # the hello
    fresh = MemoryTransport()
    bridge.connect(ALICE, fresh)
    bridge.disconnect(connection)
    await turn()
    assert numbers(fresh) == [0]


async def test_after_a_reconnect_missed_events_come_first_and_in_order():  # B8
    bridge = await integrated()
    reader, first = EventReader(), MemoryTransport()
    connection = bridge.connect(ALICE, first)
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    await turn()
    for frame in first.frames:
        reader.feed(frame)
    bridge.disconnect(connection)
    think(emitter, 2)
    second = MemoryTransport()
    bridge.connect(ALICE, second, epoch=reader.epoch, cursors=reader.cursors)
    think(emitter, 1, 2)
    await turn()
    assert numbers(second) == [1, 2, 3]
    readings = [reader.feed(frame) for frame in second.frames]
    assert all(reading.is_new and not reading.missing for reading in readings)


async def test_a_client_without_cursors_gets_all_kept_events():  # B8
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    think(emitter, 79)
    emitter.agent_completed("done")
    transport = MemoryTransport()
    bridge.connect(ALICE, transport)
    await turn()
    assert numbers(transport) == list(range(81))


async def test_events_that_the_replay_buffer_dropped_are_announced_as_a_gap():  # B8
    bridge = await integrated(limits=BridgeLimits(replay_events=10))
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    think(emitter, 30)
    transport = MemoryTransport()
    bridge.connect(ALICE, transport, epoch=bridge.epoch, cursors={"run-1": 4})
    await turn()
    gaps = [message for message in messages(transport) if message["type"] == "gap"]
    assert [(gap["run_id"], gap["missed_from"], gap["missed_to"]) for gap in gaps] == [("run-1", 5, 20)]
    assert numbers(transport) == list(range(21, 31))


async def test_cursors_of_a_lost_server_are_void_and_announced_as_a_gap():  # B8
    bridge = await integrated()
    open_run(bridge).agent_started("agent")
    transport = MemoryTransport()
    bridge.connect(ALICE, transport, epoch="of-the-server-before", cursors={"run-1": 7, "gone": 2})
    await turn()
    gaps = {message["run_id"]: message["reason"] for message in messages(transport) if message["type"] == "gap"}
    assert gaps == {"run-1": "epoch", "gone": "epoch"}
    assert numbers(transport) == [0]


@pytest.mark.parametrize("ahead", [2, 10**6, 10**30])
async def test_a_cursor_ahead_of_the_run_is_a_gap_and_the_run_is_replayed_from_its_start(ahead):
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    think(emitter, 1)
    transport = MemoryTransport()
    bridge.connect(ALICE, transport, epoch=bridge.epoch, cursors={"run-1": ahead})
    think(emitter, 2, 1)
    await turn()
    gaps = [message for message in messages(transport) if message["type"] == "gap"]
    assert [(gap["run_id"], gap["missed_to"], gap["reason"]) for gap in gaps] == [("run-1", -1, "ahead")]
    assert numbers(transport) == [0, 1, 2, 3]
    reader = EventReader()
    assert all(reader.feed(frame).is_new for frame in transport.frames)
    assert reader.unannounced_gaps == 0


async def test_a_cursor_at_the_last_event_misses_nothing_and_gets_nothing():
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    think(emitter, 1)
    transport = MemoryTransport()
    bridge.connect(ALICE, transport, epoch=bridge.epoch, cursors={"run-1": 1})
    await turn()
    assert [message["type"] for message in messages(transport)] == ["hello"]


async def test_asking_for_another_users_run_gets_the_answer_for_a_run_that_does_not_exist():  # replay by guessed id
    bridge = await integrated()
    open_run(bridge, "bob", "run-2").agent_started("agent")
    answers = []
    for run_id in ("run-2", "run-x"):
        transport = MemoryTransport()
        connection = bridge.connect(ALICE, transport, connection_id="c", epoch=bridge.epoch, cursors={run_id: 0})
        await turn()
        answers.append([frame.replace(run_id.encode(), b"ID") for frame in transport.frames])
        bridge.disconnect(connection)
    assert answers[0] == answers[1]
    assert not any(b"agent_started" in frame for frame in answers[0])


async def test_finished_runs_are_forgotten_in_time_and_unread_ones_are_bounded():  # B9
    bridge = await integrated(limits=BridgeLimits(replay_seconds=120.0, replay_total_bytes=50_000))
    for number in range(2_000):
        emitter = open_run(bridge, f"user-{number}", f"run-{number}")
        emitter.agent_started("agent")
        emitter.agent_completed("x" * 100)
        emitter.close()
    assert bridge.metrics().replay_bytes <= 50_000
    await asyncio.sleep(121.0)
    held = bridge.metrics()
    assert (held.kept_runs, held.replay_bytes) == (0, 0)


async def test_a_health_check_costs_no_user_an_event():
    bridge = await integrated(limits=BridgeLimits(replay_total_bytes=20_000))
    for number in range(120):
        emitter = open_run(bridge, f"user-{number}", f"run-{number}")
        emitter.agent_started("agent")
        emitter.agent_completed("x" * (number % 40) * 10)  # so that sometimes little room is left
        emitter.close()
        kept = bridge.metrics().kept_runs
        assert (await bridge.check_health()).success
        assert bridge.metrics().kept_runs == kept
    assert kept < 119


async def test_the_memory_of_live_runs_is_bounded_and_a_returning_client_gets_a_gap():  # B9
    bridge = await integrated(limits=BridgeLimits(replay_total_bytes=50_000))
    emitters = [open_run(bridge, f"user-{number}", f"run-{number}") for number in range(10)]
    for emitter in emitters:
        emitter.agent_started("agent")
    for number in range(100):
        for emitter in emitters:
            emitter.agent_thinking(f"thought {number} " + "x" * 100)
        assert bridge.metrics().replay_bytes <= 50_000
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("user-3"), transport, epoch=bridge.epoch, cursors={"run-3": 0})
    await turn()
    (gap,) = (message for message in messages(transport) if message["type"] == "gap")
    assert (gap["run_id"], gap["reason"], gap["missed_from"]) == ("run-3", "evicted", 1)
    replayed = numbers(transport, "run-3")
    assert replayed == list(range(gap["missed_to"] + 1, 101))
    assert 0 < len(replayed) < 50
    for emitter in emitters:
        emitter.agent_completed("done")
    assert bridge.metrics().replay_bytes <= 50_000


async def test_two_runs_of_one_user_keep_their_own_ids():  # B10
    bridge = await integrated()
    transport = MemoryTransport()
    bridge.connect(ALICE, transport)
    first, second = open_run(bridge, run_id="run-1"), open_run(bridge, run_id="run-2")
    first.agent_started("one")
    second.agent_started("two")
    first.agent_completed("one's answer")
    second.agent_completed("two's answer")
    await turn()
    answers = {event["run_id"]: event.get("final_response") for event in events(transport)}
    assert answers == {"run-1": "one's answer", "run-2": "two's answer"}


async def test_a_run_begins_once_ends_once_and_completes_only_tools_that_execute():
    bridge = await integrated()
    emitter = open_run(bridge)
    with pytest.raises(RunOrderError, match="not begun"):
        emitter.agent_thinking("too early")
    emitter.agent_started("agent")
    with pytest.raises(RunOrderError, match="already begun"):
        emitter.agent_started("agent")
    with pytest.raises(RunOrderError, match="no tool 'search' executing"):
        emitter.tool_completed("search", [], 0.1)
    emitter.agent_completed("done")
    with pytest.raises(RunClosedError, match="has ended"):
        emitter.agent_error("late", "too late")
    assert bridge.metrics().counters.refused == 4


async def test_a_closed_emitter_ends_a_run_that_had_not_ended():
    bridge = await integrated()
    transport = MemoryTransport()
    bridge.connect(ALICE, transport)
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    emitter.close()
    emitter.close()
    await turn()
    assert [event["type"] for event in events(transport)] == ["agent_started", "agent_error"]
    with pytest.raises(RunClosedError):
        emitter.agent_thinking("after the end")


async def test_the_old_connections_cleanup_leaves_the_new_connection_alone():  # reconnect race
    bridge = await integrated()
    old, new = MemoryTransport(), MemoryTransport()
    old_connection = bridge.connect(ALICE, old)
    bridge.connect(ALICE, new)
    bridge.disconnect(old_connection)
    bridge.disconnect(old_connection)
    open_run(bridge).agent_started("agent")
    await turn()
    assert numbers(new) == [0]
    assert bridge.metrics().live_connections == 1


async def test_a_users_connections_are_limited_and_a_closed_one_makes_room():
    bridge = await integrated(limits=BridgeLimits(connections_per_user=2))
    first = bridge.connect(ALICE, MemoryTransport())
    bridge.connect(ALICE, MemoryTransport())
    with pytest.raises(ConnectionLimitError, match="2 connections"):
        bridge.connect(ALICE, MemoryTransport())
    bridge.connect(BOB, MemoryTransport())
    bridge.disconnect(first)
    bridge.connect(ALICE, MemoryTransport())


async def test_no_run_begins_on_a_bridge_that_is_not_integrated_or_was_shut_down():
    bridge = AgentWebSocketBridge()
    with pytest.raises(BridgeNotReadyError, match="uninitialized"):
        open_run(bridge)
    await bridge.ensure_integration()
    transport = MemoryTransport()
    bridge.connect(ALICE, transport)
    await bridge.shutdown()
    await bridge.shutdown()
    assert transport.closed is not None
    assert transport.closed[0] == 1012
    with pytest.raises(BridgeNotReadyError, match="shut down"):
        open_run(bridge)
    with pytest.raises(BridgeNotReadyError, match="shut down"):
        bridge.connect(ALICE, MemoryTransport())


async def test_publishing_starts_no_task_and_a_burst_is_sent_in_one_go():  # B6, goal G14
    bridge = await integrated()
    sent = []
    bridge.connect(ALICE, MemoryTransport(sent.append))
    emitter = open_run(bridge)
    await turn()
    tasks = len(asyncio.all_tasks())
    emitter.agent_started("agent")
    think(emitter, 9)
    assert len(asyncio.all_tasks()) == tasks
    await turn()
    assert [len(frames) for frames in sent] == [1, 10]


async def test_a_forgotten_run_leaves_nothing_behind():
    def run_logs():
        gc.collect()
        return sum(type(thing).__name__ == "RunLog" for thing in gc.get_objects())

    before = run_logs()
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    emitter.agent_completed("done")
    emitter.close()
    assert run_logs() > before
    del emitter
    await asyncio.sleep(130)
    assert run_logs() == before


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, 10**13, None, "5", True, 0.0, [1]], ids=repr)
@pytest.mark.parametrize(
    ("settings", "field"),
    [(kind, name) for kind in (BridgeLimits, IntegrationPolicy, EngineLimits) for name in kind.__struct_fields__],
)
def test_a_limit_outside_its_bounds_is_refused_with_field_value_and_bounds(settings, field, value):
    with pytest.raises(ValueError, match=f"^{field} .* 0 and at most [0-9,]+.*is {re.escape(repr(value))}"):
        settings(**{field: value})


def test_a_limit_on_a_count_is_a_whole_number():
    with pytest.raises(ValueError, match=r"agents_at_once .* and is 1\.5; give a whole number"):
        EngineLimits(agents_at_once=1.5)
    assert EngineLimits(agent_seconds=1).agent_seconds == 1


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="must not decrease"):
        BridgeLimits(outbox_bytes=10)
    with pytest.raises(ValueError, match="replay_events must be more than 0"):
        BridgeLimits(replay_events=0)


async def test_a_run_that_outlives_the_shutdown_of_the_bridge_publishes_nothing_and_does_not_block():
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    await bridge.shutdown()
    assert not emitter.is_open
    with pytest.raises(RunClosedError):
        emitter.agent_completed("done")
    emitter.close()
    await asyncio.sleep(130)
    assert bridge.metrics().replay_bytes == 0


@pytest.mark.parametrize("name", [7, "", None])
async def test_a_tool_without_a_name_is_refused_to_its_agent_not_to_the_client(name):
    bridge = await integrated()
    emitter = open_run(bridge)
    emitter.agent_started("agent")
    with pytest.raises(PayloadError, match=r"\$\.tool_name"):
        emitter.tool_executing(name, {})


def test_a_client_remembers_a_limited_number_of_ended_runs():
    async def main():
        bridge = await integrated()
        reader, transport = EventReader(), MemoryTransport()
        bridge.connect(ALICE, transport)
        for number in range(1_500):
            emitter = open_run(bridge, run_id=f"run-{number}")
            emitter.agent_started("agent")
            emitter.agent_completed("done")
            emitter.close()
            await turn()
        for frame in transport.frames:
            reader.feed(frame)
        assert len(reader.cursors) == 500
        assert reader.unannounced_gaps == 0

    run_virtual(main())


async def test_a_new_run_with_the_id_of_a_forgotten_run_is_new_to_the_client():
    bridge = await integrated(wall_clock=asyncio.get_running_loop().time)
    reader, transport = EventReader(), MemoryTransport()
    bridge.connect(ALICE, transport)
    for _ in range(2):
        emitter = open_run(bridge)
        emitter.agent_started("agent")
        emitter.agent_completed("done")
        emitter.close()
        await asyncio.sleep(130)
    assert [reader.feed(frame).is_new for frame in transport.frames] == [True] * 5

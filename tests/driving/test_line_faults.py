"""Faults of connections on real sockets: stopped and slow reading, resets, no network."""

from pathlib import Path

import pytest
from small_server import SSE, running

from netra_sim.checks import check
from netra_sim.driving import load_scenario
from netra_sim.history import Kind
from netra_sim.simulation import Scenario, simulate

pytestmark = pytest.mark.real_time


def scenario(*faults, users=4, at=0.0):
    arrivals = {"kind": "burst", "at": at, "width": 0.0}
    return Scenario.from_mapping(
        {"users": users, "client": SSE, "workload": {"arrivals": arrivals, "patience": 20.0}, "faults": list(faults)}
    )


def between(history, fault):
    """The events that arrived while a fault was on."""
    rows = history.frame(Kind.FAULT_BEGAN, Kind.FAULT_ENDED, Kind.RECEIVED).reset_index()
    began, ended = (rows.index[rows["kind"] == kind][0] for kind in (Kind.FAULT_BEGAN, Kind.FAULT_ENDED))
    return rows.iloc[began + 1 : ended]


def hit(history):
    return history.frame(Kind.FAULT_ENDED)["value"].tolist()


async def test_clients_that_stop_reading_get_everything_when_they_read_again():
    async with running(tokens=40, pause=0.02) as server:
        history = await load_scenario(scenario({"kind": "stalled-socket", "at": 0.2, "lasts": 0.6}), url=server.url)
    assert not len(between(history, "stalled-socket"))
    assert len(history.frame(Kind.RECEIVED)) == 4 * 41
    assert hit(history) == [4]


async def test_a_client_that_does_not_read_fills_the_servers_buffer():
    fault = {"kind": "stalled-socket", "at": 0.0, "lasts": 1.0}
    async with running(tokens=100, padding=100_000) as server:
        history = await load_scenario(scenario(fault, users=1, at=0.2), url=server.url)
    # The server had to wait with most of the 10 MB.
    received = history.frame(Kind.RECEIVED)
    assert len(received) == 101
    assert received["time"].min() >= history.frame(Kind.FAULT_ENDED)["time"].min()


async def test_clients_that_read_slowly_get_no_more_bytes_a_second_than_the_fault_says():
    slow = {"kind": "slow-consumer", "at": 0.0, "lasts": 30.0, "bytes_per_second": 2_000.0}
    async with running(tokens=5, padding=100) as server:
        history = await load_scenario(scenario(slow, users=1, at=0.1), url=server.url)
    received = history.frame(Kind.RECEIVED)
    assert len(received) == 6
    assert received["time"].max() - received["time"].min() >= 4 * 100 / 2_000.0
    assert hit(history) == [1]


async def test_a_client_that_loses_its_network_resets_its_connections_and_cannot_open_others():
    one = Scenario.from_mapping(
        {
            "users": 1,
            "client": SSE,
            "workload": {"arrivals": {"kind": "replay", "times": [0.0, 0.6]}},
            "faults": [{"kind": "disconnect", "at": 0.4, "lasts": 1.0}],
        }
    )
    async with running(tokens=100, pause=0.02) as server:
        history = await load_scenario(one, url=server.url)
    assert server.ends == ["ConnectionResetError"]
    assert history.frame(Kind.CONNECT_REFUSED)["detail"].str.contains("disconnect took the network away").tolist() == [
        True
    ]


async def test_a_storm_resets_the_connections_of_those_whom_it_hits_again_and_again():
    storm = {"kind": "disconnect-storm", "at": 0.2, "lasts": 0.5, "every": 0.2, "share": 0.5}
    one = scenario(storm, users=8)
    async with running(tokens=30, pause=0.02) as server:
        history = await load_scenario(one, 3, url=server.url)
    (count,) = hit(history)
    assert 0 < count < 8
    ended = history.frame(Kind.RECEIVED)["event"].eq("agent_completed").sum()
    assert server.ends.count("ConnectionResetError") == count == 8 - ended


async def test_flapping_clients_lose_their_network_at_times_of_their_own_and_get_it_back():
    flapping = {"kind": "flapping", "at": 0.2, "lasts": 1.2, "every": 0.6, "off": 0.2, "jitter": 0.0}
    times = [0.3 * number for number in range(7) for _ in range(6)]
    one = Scenario.from_mapping(
        {
            "users": 6,
            "client": SSE,
            "workload": {"arrivals": {"kind": "replay", "times": times}},
            "faults": [flapping],
        }
    )
    async with running(tokens=5, pause=0.02) as server:
        history = await load_scenario(one, 3, url=server.url)
    lost = history.frame(Kind.DISCONNECTED, Kind.CONNECT_REFUSED)
    first = lost.groupby("user", observed=True)["time"].min()
    assert hit(history) == [6]
    assert first.max() - first.min() > 0.1
    ended = set(history.frame(Kind.RECEIVED).query("event == 'agent_completed'")["run"])
    asked = history.frame(Kind.REQUESTED)
    due, is_answered = (asked["due"] - asked["due"].min()).round(1), asked["run"].isin(ended)
    assert is_answered[due.between(0.9, 1.2)].any(), "each has lost its network once by then, and the fault goes on"
    assert is_answered[due > 1.4].all(), "it is over"


async def test_a_reset_is_a_reset_also_of_a_connection_on_which_nothing_is_under_way():
    one = Scenario.from_mapping(
        {
            "users": 1,
            "client": SSE,
            "workload": {"arrivals": {"kind": "replay", "times": [0.0, 1.0]}},
            "faults": [{"kind": "disconnect-storm", "at": 0.6, "lasts": 0.1}],
        }
    )
    async with running() as server:
        history = await load_scenario(one, url=server.url)
    assert server.ends[0] == "ConnectionResetError"
    assert completed(history) == 2


async def test_garbage_ends_the_connections_of_those_who_send_it_and_harms_nobody_else():
    garbage = {"kind": "garbage", "at": 0.2, "lasts": 0.3, "size": 10_000, "every": 0.1, "share": 0.5}
    one = on_their_app(garbage, SOCKET)
    for history in (await load_scenario(one, 3), simulate(one, 3)):
        (count,) = hit(history)
        assert 0 < count < 8
        assert completed(history) == 8 - count
        assert failed(history) == {"completion", "every-run-ends"}


async def test_a_flood_harms_only_those_who_send_it():
    one = on_their_app(FLOOD | {"frames": "ping"}, SOCKET)
    for history in (await load_scenario(one, 3), simulate(one, 3)):
        (count,) = hit(history)
        assert 0 < count < 8
        assert completed(history) >= 8 - count
        assert failed(history) <= {"completion", "every-run-ends"}


async def test_a_flood_of_unreadable_messages_finds_a_back_end_that_cannot_refuse_them_and_harms_nobody_else():
    one = on_their_app(FLOOD | {"frames": "unreadable"}, SOCKET)
    for history in (await load_scenario(one, 3), simulate(one, 3)):
        (count,) = hit(history)
        assert 0 < count < 8
        assert completed(history) >= 8 - count
        assert failed(history) - {"completion", "every-run-ends"} == {"unhandled-errors"}
        assert set(history.frame(Kind.LOOP_ERROR)["event"]) == {"JSONDecodeError"}


async def test_a_client_that_half_closes_loses_its_answer_where_uvicorn_takes_that_for_a_parting():
    one = on_their_app({"kind": "half-close", "at": 0.2, "lasts": 0.1}, SSE | {"path": "/long"})
    for history in (await load_scenario(one, 3), simulate(one, 3)):
        assert hit(history) == [8]
        assert completed(history) == 0
        assert history.frame(Kind.DISCONNECTED)["detail"].str.contains("peer closed connection").all()
        assert failed(history) == {"completion", "every-run-ends"}


FLOOD = {"kind": "flood", "at": 0.2, "lasts": 0.3, "share": 0.5}

SOCKET = {
    "kind": "websocket-json",
    "path": "/socket",
    "message": {"run": "{run}", "text": "{text}"},
    "type": "type",
    "run": "run",
    "content": "text",
    "end": {"path": "type", "values": ["done"]},
}


def on_their_app(fault, client):
    arrivals = {"kind": "burst", "at": 0.0, "width": 0.0}
    system = {"app": "their_app:app", "folder": str(Path(__file__).parent)}
    fields = {"users": 8, "client": client, "workload": {"arrivals": arrivals}, "system": system, "faults": [fault]}
    return Scenario.from_mapping(fields)


def completed(history):
    return history.frame(Kind.RECEIVED)["event"].eq("agent_completed").sum()


def failed(history):
    return {one.check for one in check(history) if one.state == "failed"} - {"latency"}

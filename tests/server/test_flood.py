"""Hostile clients over real sockets (floods, hostile frames, fuzzed messages) do not affect other users."""

import asyncio
import json
import os
import random
import re
import socket
import struct
import time

import pytest
from carriers import Closed, memory, over_asgi, over_websockets, parts

from netra_sim.checks import check
from netra_sim.driving import load_scenario
from netra_sim.history import Kind
from netra_sim.server import AgentServer, ServerLimits, TokenAuthenticator
from netra_sim.simulation import Scenario

pytestmark = pytest.mark.real_time

FUZZED = int(os.environ.get("NETRA_FUZZED_MESSAGES", "600"))
"""Messages in the fuzzing tests; 10,000 take a minute or two."""

MASK = b"\x00" * 4


class Ticks:
    """An agent that thinks every 10 ms."""

    name = "ticks"

    async def run(self, session):
        for number in range(100_000):
            session.think(number)
            await asyncio.sleep(0.01)


def frame(payload, opcode=1):
    head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) if len(payload) < 126 else None
    return (head or struct.pack("!BBH", 0x80 | opcode, 0xFE, len(payload))) + MASK + payload


def handshaken(place, user):
    """A raw socket after the WebSocket handshake."""
    host, port = place.uri.removeprefix("ws://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=5)
    raw.sendall(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {place.tokens.issue(user)}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(4096)
    assert b" 101 " in answer
    return raw


def flood(place, user, payload, opcode, seconds):
    """Open connections one after the other, send as fast as the socket accepts, and return the number of messages."""
    sent, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        with handshaken(place, user) as raw:
            raw.settimeout(0.2)
            try:
                raw.sendall(frame(b'{"type":"resume"}'))
                while time.monotonic() < ends:
                    raw.sendall(frame(payload, opcode) * 200)
                    sent += 200
            except OSError:
                continue  # closed by the server; the flooder connects again
    return sent


async def delays(client, seconds):
    """The lateness of each event of the client's run relative to the previous event, in seconds."""
    late, last = [], None
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends:
        await client.hear("agent_thinking")
        now = loop.time()
        if last is not None:
            late.append(now - last)
        last = now
    return sorted(late)


@pytest.mark.parametrize(
    ("payload", "opcode"), [(b'{"type":"zz"}', 1), (b'{"type":"ping"}', 1), (b"", 9), (b"{", 2), (b"x" * 125, 10)]
)
async def test_a_flood_is_closed_while_another_users_events_go_on(payload, opcode):
    async with over_websockets(pipeline=lambda _: [[Ticks()]]) as place:
        witness = await place.connect("bob")
        await witness.resume()
        await witness.say({"type": "execute_agent", "message": "hi"})
        flooding = asyncio.to_thread(flood, place, "mallory", payload, opcode, 1.0)
        sent, seen = await asyncio.gather(flooding, delays(witness, 1.0))
        assert sent > 500
        assert len(seen) > 15  # 100 on an idle machine; one if the server carried out the whole flood first
        await witness.say({"type": "ping"})
        assert (await witness.hear("pong"))["type"] == "pong"


FLOODERS = 4
"""How many of the eight users of the load run below flood the server; its seed draws them."""


def cut_off(metrics, frames):
    """The number of connections that the server closed because of a flood."""
    code = "4429" if frames == "ping" else "44(?:22|29)"
    closed = re.findall(rf'netra_closed_connections_total{{code="{code}"}} (.*)', metrics.text().decode())
    return sum(map(float, closed))


class WaitsFor:
    """An agent that thinks until a condition is true, and then answers."""

    name = "waits"

    def __init__(self, condition):
        self.condition = condition

    async def run(self, session):
        number = 0
        while not self.condition():
            session.think(number := number + 1)
            await asyncio.sleep(0.01)
        return "done"


@pytest.mark.parametrize("frames", ["all", "ping", "unknown", "unreadable"])
async def test_users_of_a_load_run_who_flood_the_server_are_cut_off_and_the_others_get_their_answers(frames):
    secret = "a secret that only this test and its server know"
    bridge, factory = parts(
        pipeline=lambda _: [[WaitsFor(lambda: cut_off(server.service.metrics, frames) == FLOODERS)]]
    )
    tokens = TokenAuthenticator(secret.encode())
    scenario = Scenario.from_mapping(
        {
            "users": 8,
            "client": {"kind": "netra", "secret": secret, "checks_answers": False},
            "workload": {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.0}, "patience": 20.0},
            "faults": [
                {"kind": "flood", "at": 0.2, "lasts": 15.0, "share": 0.4, "per_second": 2000.0, "frames": frames}
            ],
        }
    )
    async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=tokens) as server:
        history = await load_scenario(scenario, 2, url=server.uri)
    assert history.frame(Kind.FAULT_ENDED)["value"].tolist() == [FLOODERS]
    ended = history.frame(Kind.RECEIVED).query("event == 'agent_completed'")["user"]
    assert len(set(ended)) == 8 - FLOODERS  # the others, as whoever floods is closed for good
    states = {one.check: one.state for one in check(history)}
    assert states["cross-user-isolation"] == states["delivery"] == "passed"


async def test_other_tasks_get_a_turn_between_two_messages_of_a_flood():
    async with memory(limits=ServerLimits(message_burst=10_000, errors_in_a_row=100_000)) as place:
        flooder = await place.connect("mallory")
        await flooder.resume()
        for _ in range(5_000):
            await flooder.say({"type": "zz"})
        turns = 0
        while flooder._to_server.qsize():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 5_000


ATOMS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\xff", b"\x00", b"null", b"1e999", b"-0", b"9" * 400, b'"type"',
    b'"resume"', b'"execute_agent"', b'"cancel"', b'"ping"', b'"authenticate"', b'"cursors"', b'"epoch"', b'"message"',
    b'"request_id"', b'"run_id"', b'"token"', b'"data"', b'"thread_id"', b'"id"', b"\\ud800", b"{}", b"[" * 2_000, b"true",
]  # fmt: skip
WHOLE = [
    {"type": "resume", "epoch": None, "cursors": {"a": 1}},
    {"type": "execute_agent", "message": "hi", "thread_id": "t", "request_id": "r", "data": {"a": [1, {"b": None}]}},
    {"type": "cancel", "request_id": "r"},
    {"type": "cancel", "run_id": "alice.r"},
    {"type": "authenticate", "token": "x.y.z"},
    {"type": "ping", "id": "1"},
]


VALUES = [None, 1, -1.5, 2**70, "", "\x00\x1b[31m", "x" * 5_000, [], {}, [[]], True, {"a": {}}]


def fuzzed(draw):
    """One message: built of atoms, or a valid one with changed bytes, a replaced field, cut off or repeated."""
    if draw.random() < 0.3:
        return b"".join(draw.choice(ATOMS) for _ in range(draw.randrange(12)))
    message = dict(draw.choice(WHOLE))
    for name in list(message):
        if draw.random() < 0.25:
            message[name] = draw.choice(
                [None, 1, -1.5, 2**70, "", "\x00\x1b[31m", "x" * 5_000, [], {}, [[]], True, {"a": {}}]
            )
    text = bytearray(json.dumps(message).encode())
    for _ in range(draw.choice([0, 0, 1, 3])):
        text[draw.randrange(len(text))] = draw.randrange(256)
    return bytes(text[: draw.randrange(len(text))] if draw.random() < 0.15 else text * draw.choice([1, 1, 1, 2]))


async def said(client, pong):
    """Read up to a pong, or return the close code if the connection closes first."""
    async with asyncio.timeout(20):
        try:
            while json.loads(await client.read()).get("id") != pong:
                pass
        except Closed as end:
            return end.code


@pytest.mark.parametrize("carrier", [over_websockets, over_asgi])
async def test_no_message_ends_the_server_or_leaves_a_traceback(carrier, caplog):
    draw = random.Random(7)
    limits = ServerLimits(
        messages_per_second=1e6, message_burst=1_000_000, errors_in_a_row=1_000_000, arrival_burst=1_000_000
    )
    async with carrier(limits=limits) as place:
        witness = await place.connect("bob")
        await witness.resume()
        for start in range(0, FUZZED, 100):
            client = await place.connect()
            if draw.random() < 0.9:
                await client.resume()
            for _ in range(min(100, FUZZED - start)):
                message = fuzzed(draw)
                try:
                    text = message.decode() if draw.random() < 0.7 else message
                except UnicodeDecodeError:
                    text = message
                await client.send(text)
            await client.send('{"type":"ping","id":"last"}')
            assert await said(client, "last") in (None, 1007, 4400)
            await client.leave()
        await witness.say({"type": "execute_agent", "message": "hi"})
        await witness.hear("agent_completed")
        assert place.bridge.metrics().counters.isolation_blocks == 0
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"\x00" * 100,
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_a_broken_handshake_leaves_no_traceback(garbage, caplog):
    async with over_websockets() as place:
        host, port = place.uri.removeprefix("ws://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(10):
            while place.service.sockets:
                await asyncio.sleep(0.01)
        writer.close()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_a_flooder_that_vanishes_leaves_no_line_in_the_log_for_each_of_its_answers(caplog):
    async with over_websockets() as place:
        with await asyncio.to_thread(handshaken, place, "mallory") as raw:
            raw.sendall(frame(b'{"type":"resume"}') + frame(b'{"type":"zz"}') * 5_000)
        async with asyncio.timeout(10):
            while place.service.sockets:
                await asyncio.sleep(0.01)
    assert "socket.send() raised exception." not in caplog.text

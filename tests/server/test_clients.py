"""`AgentClient` over real sockets: what it survives, what it skips, and when it gives up."""

import asyncio
import json
import os
import random
from contextlib import asynccontextmanager, suppress

import pytest
from carriers import over_asgi, over_websockets
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.factory import EngineLimits
from netra_sim.protocol import Event, EventReader, Gap, Skipped
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server import AgentClient, AgentServer, TokenAuthenticator

CUTS = int(os.environ.get("NETRA_DISCONNECTS", "60"))
"""Forced disconnects for each carrier; 500 each takes a minute."""

real_time = pytest.mark.real_time(both_clocks=True)
HELLO = {"type": "hello", "epoch": "e", "user_id": "alice", "connection_id": "c", "runs": []}


class Counts:
    """An agent that publishes a number every 5 ms, and then ends."""

    name = "counts"

    async def run(self, session):
        for number in range(int(session.context.request["message"])):
            session.think(number)
            await windows_safe_sleep(0.005)
        return "done"


class Reader:
    """A client that loses its connection repeatedly, at random times, until its runs have ended."""

    def __init__(self, uri, token, user, draw):
        self.user = user
        self.shown, self.unannounced = [], []
        self.cuts = self.duplicates = 0
        self.ended = asyncio.Event()
        self.client = AgentClient(uri, token, self.on_reading)
        self.draw = draw

    def on_reading(self, frame, reading, connection_id):
        message = reading.message
        if isinstance(message, Gap):
            self.unannounced.append(message)
        if isinstance(message, Event) and reading.is_new:
            assert message.user_id == self.user
            self.shown.append(message.seq)
            if message.__struct_config__.tag == "agent_completed":
                self.ended.set()

    async def live(self, cuts, steps):
        async with self.client:
            await self.client.send({"type": "execute_agent", "message": str(steps), "request_id": "q"})
            while not self.ended.is_set() and self.cuts < cuts:
                await asyncio.sleep(self.draw.uniform(0, 0.12))
                if self.client._is_connected.is_set():
                    self.client.cut()
                    self.cuts += 1
            async with asyncio.timeout(60):
                await self.ended.wait()


@real_time
@pytest.mark.parametrize("carrier", [over_websockets, over_asgi])
async def test_forced_disconnects_lose_nothing_show_nothing_twice_and_hide_no_gap(carrier):
    draw, users = random.Random(11), 20
    limits = EngineLimits(agent_seconds=600, engine_seconds=600)
    steps = 60 + 50 * CUTS // users
    async with carrier(pipeline=lambda _: [[Counts()]], engine_limits=limits) as place:
        readers = [Reader(place.uri, place.tokens.issue(f"u{n}"), f"u{n}", draw) for n in range(users)]
        await asyncio.gather(*(reader.live(CUTS // users, min(steps, 990)) for reader in readers))
    assert sum(reader.cuts for reader in readers) == CUTS // users * users
    for reader in readers:
        assert reader.shown == list(range(len(reader.shown)))  # nothing lost or repeated, in order
        assert len(reader.shown) == min(steps, 990) + 2
        assert (reader.unannounced, reader.client.reader.unannounced_gaps) == ([], 0)


@asynccontextmanager
async def a_server_that_says(*frames, close=None):
    """A scripted server that sends these frames to each client after its hello."""

    async def talk(socket):
        await socket.recv()
        for frame in (HELLO, *frames):
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
        if close is None:
            await socket.wait_closed()
        else:
            await socket.close(close)

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@real_time
async def test_a_client_skips_and_counts_unknown_frames():
    readings, last = [], asyncio.Event()

    def on_reading(frame, reading, connection_id):
        readings.append(reading.message)
        if getattr(reading.message, "id", "") == "last":
            last.set()

    unknown = [{"type": "maintenance_notice", "at": 1}, {"type": "agent_news", "text": "x"}]
    wrong = ["{", "[]", "17", '{"no": "type"}', {"type": "gap"}, {"type": "agent_started", "seq": "x"}, "[" * 5_000]
    grown = {"type": "pong", "id": "last", "a_new_field": {"x": 1}}
    async with a_server_that_says(*unknown, *wrong, grown) as uri, AgentClient(uri, "t", on_reading) as client:
        async with asyncio.timeout(10):
            await last.wait()
        assert (client.reader.skipped, client.reader.unreadable) == (2, 7)
    assert sum(isinstance(message, Skipped) for message in readings) == 9


def test_bytes_that_are_not_text_are_skipped_too():
    reader = EventReader()
    for frame in (b"\xff", b'{"type": "hello\xff"}', b""):
        assert reader.feed(frame).message == Skipped("", is_known=False)
    assert reader.unreadable == 3


@real_time
async def test_an_error_of_on_reading_is_raised_by_send_and_on_leaving():
    def on_reading(frame, reading, connection_id):
        raise ZeroDivisionError("a bug of the user's")

    async with a_server_that_says() as uri:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the context raises it
            async with AgentClient(uri, "t", on_reading) as client:
                with pytest.raises(ZeroDivisionError):
                    await client.wait_closed()
                with pytest.raises(ConnectionError) as given_up:
                    await client.send({"type": "ping"})
                assert isinstance(given_up.value.__cause__, ZeroDivisionError)


@real_time
@pytest.mark.parametrize("code", [1009, 4400, 4401, 4403, 4409, 4422, 4429])
async def test_a_client_stays_away_after_a_terminal_code(code):
    async with a_server_that_says(close=code) as uri, AgentClient(uri, "t", lambda *_: None) as client:
        assert await asyncio.wait_for(client.wait_closed(), 10) == code


@real_time
@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4008, 4408])
async def test_a_client_returns_after_another_code(code):
    hellos, twice = [], asyncio.Event()

    def on_reading(frame, reading, connection_id):
        hellos.append(reading)
        if len(hellos) == 3:
            twice.set()

    async with a_server_that_says(close=code) as uri, AgentClient(uri, "t", on_reading):
        await asyncio.wait_for(twice.wait(), 20)


@real_time
async def test_a_client_gets_another_token_when_its_token_expires():
    asked = []
    async with over_websockets() as place:

        async def token():
            asked.append(1)
            return place.tokens.issue("alice", 2.0 if len(asked) == 1 else 60)

        pongs, hellos, heard = [], [], asyncio.Event()

        def on_reading(frame, reading, connection_id):
            kind = reading.message.__struct_config__.tag
            (hellos if kind == "hello" else pongs).append(kind)
            if len(hellos) == 2:
                heard.set()

        async with AgentClient(place.uri, token, on_reading) as client:
            await asyncio.wait_for(heard.wait(), 20)
            await client.send({"type": "ping"})
        assert len(asked) == 2


@real_time
async def test_a_client_gives_up_when_its_new_tokens_are_refused_too():
    asked = []
    async with over_websockets() as place:

        async def token():
            asked.append(1)
            return place.tokens.issue("alice", 1.5) if len(asked) == 1 else "nonsense"

        client = AgentClient(place.uri, token, lambda *_: None)
        await client.__aenter__()
        with pytest.raises(InvalidStatus):
            await asyncio.wait_for(client.wait_closed(), 20)
        with pytest.raises(InvalidStatus):
            await client.__aexit__(None, None, None)
        assert len(asked) <= 4


@asynccontextmanager
async def a_server_that_meets(*fates):
    """A scripted server: each client that connects has the next fate, and the last one stays.

    A number below 1000 is the HTTP status of its refusal; "lost" resets it; "hello" greets it, and a close code follows.
    """
    left = list(fates)

    async def fate(connection, request):
        if isinstance(left[0], int) and left[0] < 1000:
            return connection.respond(left.pop(0), "no\n")
        if left[0] == "lost":
            left.pop(0)
            connection.transport.abort()
        return None

    async def talk(socket):
        await socket.recv()
        if left[0] == "hello":
            await socket.send(json.dumps(HELLO))
            left.pop(0)
        if left:
            await socket.close(left.pop(0))
        else:
            await socket.wait_closed()

    async with serve(talk, "127.0.0.1", 0, process_request=fate) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@real_time
@pytest.mark.parametrize(
    "fates",
    [
        ["hello", 1011, "lost", "lost", 401, "hello"],
        ["hello", 1011, "lost", "lost", 401, 401, "hello"],
        ["hello", 1011, 503, 503, "hello", 4401, "hello"],
        ["hello", 1011, "lost", "lost", 4401, 503, 4401, "hello"],
        ["hello", 1011, 401, 401, "hello", 4401, 401, 401, "hello"],
    ],
)
async def test_a_client_gets_another_token_when_its_token_ends_in_an_outage(fates):
    hellos, back = [], asyncio.Event()

    async def token():
        return "fresh"

    def on_reading(frame, reading, connection_id):
        hellos.append(reading)
        if len(hellos) == fates.count("hello"):
            back.set()

    async with a_server_that_meets(*fates) as uri, AgentClient(uri, token, on_reading):
        await asyncio.wait_for(back.wait(), 30)


@real_time
@pytest.mark.parametrize("refusal", [401, 4401])
async def test_a_client_gives_up_at_the_third_refused_token_in_a_row(refusal):
    asked = []

    async def token():
        asked.append(1)
        return "refused"

    async with a_server_that_meets("hello", 1011, refusal, "lost", refusal, refusal, "hello") as uri:
        client = AgentClient(uri, token, lambda *_: None)
        await client.__aenter__()
        gave_up = await asyncio.wait_for(asyncio.gather(client.wait_closed(), return_exceptions=True), 30)
        with suppress(InvalidStatus):
            await client.__aexit__(None, None, None)
    assert getattr(gave_up[0], "response", None) is not None if refusal == 401 else gave_up == [4401]
    assert len(asked) == 5


@real_time
async def test_a_client_tries_again_when_no_token_can_be_had():
    answers, hellos, back = ["first", None, None, "second"], [], asyncio.Event()

    async def token():
        answer = answers.pop(0)
        if answer is None:
            raise LookupError("the token service is away")
        return answer

    def on_reading(frame, reading, connection_id):
        hellos.append(reading)
        if len(hellos) == 2:
            back.set()

    async with a_server_that_meets("hello", 1011, "hello") as uri:
        async with AgentClient(uri, token, on_reading):
            await asyncio.wait_for(back.wait(), 20)
        answers.append(None)
        with pytest.raises(LookupError, match="token service is away"):
            await AgentClient(uri, token, on_reading).__aenter__()


@real_time
async def test_a_newer_token_for_an_open_connection_does_not_replace_the_function_that_gets_tokens():
    asked = []
    async with over_websockets() as place:

        async def token():
            asked.append(1)
            return place.tokens.issue("alice")

        def on_reading(frame, reading, connection_id):
            if reading.message.__struct_config__.tag == "authenticated":
                client.cut()
            if reading.message.__struct_config__.tag == "hello" and len(asked) == 2:
                again.set()

        again = asyncio.Event()
        async with AgentClient(place.uri, token, on_reading) as client:
            await client.authenticate(place.tokens.issue("alice"))
            await asyncio.wait_for(again.wait(), 20)


@pytest.mark.parametrize(
    ("host", "begins"), [("::1", "ws://[::1]:"), ("0.0.0.0", "ws://127.0.0.1:"), ("::", "ws://[::1]:")]
)
@real_time
async def test_the_uri_of_the_server_is_valid_for_clients(host, begins):
    bridge, tokens = AgentWebSocketBridge(), TokenAuthenticator()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    try:
        async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=tokens, host=host) as server:
            assert server.uri.startswith(begins)
            async with AgentClient(server.uri, tokens.issue("alice"), lambda *_: None):
                pass
    except OSError:
        pytest.skip("this machine has no such address")

"""`AgentServer` over real sockets on this machine: which clients it accepts, and what they receive."""

import asyncio
import json

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory, check
from netra_sim.bridge import BridgeLimits
from netra_sim.factory import EngineLimits
from netra_sim.history import Objectives
from netra_sim.loading import Load, load
from netra_sim.protocol import Event, Hello
from netra_sim.runtime import windows_safe_sleep
from netra_sim.server import AgentClient, AgentServer, AuthenticationError, TokenAuthenticator

pytestmark = pytest.mark.real_time(both_clocks=True)
RESUME = json.dumps({"type": "resume"})


def make_server(**options):
    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(websocket_bridge=bridge, **options)
    return AgentServer(bridge=bridge, execution_factory=factory, authenticator=TokenAuthenticator()), bridge


def token(server, user="alice", lifetime=60.0):
    return server.service._authenticator.issue(user, lifetime)


def headers(credential):
    return {"Authorization": f"Bearer {credential}"}


class Inbox:
    """Collects what a client has read, so that a test can wait for it."""

    def __init__(self):
        self.readings = []
        self.changed = asyncio.Condition()

    def __call__(self, frame, reading, connection_id):
        self.readings.append(reading)
        asyncio.get_running_loop().create_task(self.notify())

    async def notify(self):
        async with self.changed:
            self.changed.notify_all()

    def types(self):
        return [
            reading.message.__struct_config__.tag for reading in self.readings if isinstance(reading.message, Event)
        ]

    async def until(self, condition):
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(condition)


async def test_fifty_real_users_pass_every_check():
    answered = []
    patient = Objectives(delivery_mean=30.0, delivery_p95=30.0, first_event_p95=30.0)  # benchmarks measure the speed
    history = await load(Load(users=50, window=1.0), objectives=patient, on_answer=lambda: answered.append(1))
    results = check(history)
    assert {result.check: result.findings for result in results if result.state == "failed"} == {}
    # There are no faults and no marks, and a real loop does not count its steps.
    unseen = {result.check for result in results if result.state == "not applicable"}
    of_other_systems = {"event-order", "tokens", "disclosure", "work-after-leaving"}
    assert unseen == {"recovery", "faults-acted", "context-isolation", "idle-cost", *of_other_systems}
    assert len(answered) == 50


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer {none}", "Bearer {other}"]
)
async def test_a_client_without_a_valid_token_gets_no_socket(authorization):  # B13
    server, bridge = make_server()
    async with server:
        none = jwt.encode({"sub": "alice", "aud": "netra_sim", "exp": 9e9}, None, algorithm="none")
        other = TokenAuthenticator().issue("alice")
        given = {} if authorization is None else {"Authorization": authorization.format(none=none, other=other)}
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.uri, additional_headers=given)
        assert refusal.value.response.status_code == 401
        assert bridge.metrics().live_connections == 0


@pytest.mark.parametrize(
    "claims",
    [{"aud": "else"}, {"exp": 1}, {"exp": "soon"}, {"sub": None}, {"sub": 7}, {"sub": "registry"}, {"aud": None}],
)
async def test_an_invalid_token_is_refused(claims):
    secret = b"s" * 32
    base = {"sub": "alice", "aud": "netra_sim", "exp": 9e9} | claims
    forged = jwt.encode({name: value for name, value in base.items() if value is not None}, secret, algorithm="HS256") if (
        base.get("sub") != 7
    ) else _raw(base, secret)  # fmt: skip
    with pytest.raises(AuthenticationError):
        await TokenAuthenticator(secret).authenticate_token(forged)


def _raw(claims, secret):
    return jwt.api_jws.encode(json.dumps(claims).encode(), secret, algorithm="HS256")


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        TokenAuthenticator(b"short")


async def test_a_client_that_does_not_begin_with_resume_is_closed_with_a_reason():
    server, _ = make_server()
    async with server:
        for first in ('{"type": "execute_agent", "message": "hi"}', "nonsense"):
            async with connect(server.uri, additional_headers=headers(token(server))) as socket:
                await socket.send(first)
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 4400


async def test_a_run_over_a_real_socket_ends_with_its_answer():
    server, _ = make_server()
    inbox = Inbox()
    async with server, AgentClient(server.uri, token(server), inbox) as client:
        await client.send({"type": "execute_agent", "message": "hi", "request_id": "1"})
        await inbox.until(lambda: "agent_completed" in inbox.types())
    assert inbox.types()[0] == "agent_started"
    assert isinstance(inbox.readings[0].message, Hello)


async def test_a_message_that_is_not_json_is_answered_and_the_connection_stays():
    server, _ = make_server()
    async with server, connect(server.uri, additional_headers=headers(token(server))) as socket:
        await socket.send(RESUME)
        await socket.recv()
        for nonsense in ("{", "[" * 50_000, '{"type": "execute_agent", "message": NaN}'):
            await socket.send(nonsense)
            answer = json.loads(await socket.recv())
            assert (answer["type"], answer["code"]) == ("refused", "malformed")


async def test_a_client_that_loses_its_connection_returns_and_misses_nothing():
    async def slow(session):
        for number in range(20):
            session.think(number)
            await windows_safe_sleep(0.01)
        return "done"

    class Slow:
        name = "slow"
        run = staticmethod(slow)

    server, _ = make_server(pipeline=lambda _: [[Slow()]])
    inbox = Inbox()
    async with server, AgentClient(server.uri, token(server), inbox) as client:
        await client.send({"type": "execute_agent", "message": "hi"})
        await inbox.until(lambda: len(inbox.types()) >= 5)
        client.cut()
        await inbox.until(lambda: "agent_completed" in inbox.types())
    assert len([one for one in inbox.readings if isinstance(one.message, Hello)]) == 2
    shown = [one.message.seq for one in inbox.readings if isinstance(one.message, Event) and one.is_new]
    assert shown == list(range(22))


async def test_an_expired_token_closes_its_connection_and_the_client_stays_away():
    server, _ = make_server()
    inbox = Inbox()
    async with server, AgentClient(server.uri, token(server, lifetime=2.0), inbox) as client:
        async with asyncio.timeout(20):
            assert await client.wait_closed() == 4401


async def test_a_client_that_does_not_read_is_closed_while_another_is_served():
    async def floods(session):
        for _ in range(200):
            session.think("x" * 100_000)
            await asyncio.sleep(0)
        return "done"

    class Flood:
        name = "flood"
        run = staticmethod(floods)

    server, bridge = make_server(pipeline=lambda _: [[Flood()]])
    inbox = Inbox()
    async with server:
        deaf = await connect(server.uri, additional_headers=headers(token(server)), max_queue=1, max_size=None)
        await deaf.send(RESUME)
        await deaf.recv()
        deaf.transport.pause_reading()
        async with AgentClient(server.uri, token(server, "bob"), inbox) as client:
            await deaf.send(json.dumps({"type": "execute_agent", "message": "hi"}))
            async with asyncio.timeout(20):
                while not bridge.metrics().counters.shed:
                    await asyncio.sleep(0.01)
            await client.send({"type": "execute_agent", "message": "hi"})
            await inbox.until(lambda: "agent_started" in inbox.types())
        deaf.transport.abort()


async def test_a_shutdown_ends_live_runs_and_the_clients_get_their_ends():
    async def for_ever(session):
        await asyncio.Event().wait()

    class Endless:
        name = "endless"
        run = staticmethod(for_ever)

    server, bridge = make_server(pipeline=lambda _: [[Endless()]], limits=EngineLimits(agent_seconds=1000))
    async with server:
        socket = await connect(server.uri, additional_headers=headers(token(server)))
        await socket.send(RESUME)
        await socket.send(json.dumps({"type": "execute_agent", "message": "hi"}))
        while json.loads(await socket.recv())["type"] != "agent_started":
            pass
    assert [json.loads(await socket.recv())["type"] for _ in range(2)] == ["draining", "agent_error"]
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1012
    assert bridge.metrics().live_connections == 0


def test_a_load_without_users_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Load(users=0)


async def test_a_client_that_has_given_up_raises_an_error_instead_of_hanging():
    server, _ = make_server()
    async with server, AgentClient(server.uri, token(server, lifetime=1.5), Inbox()) as client:
        async with asyncio.timeout(20):
            await client.wait_closed()
            with pytest.raises(ConnectionError):
                await client.send({"type": "execute_agent", "message": "hi"})


async def test_all_events_arrive_with_a_small_congestion_limit():
    async def floods(session):
        for _ in range(300):
            session.think("x" * 1_000)
        await asyncio.sleep(0.2)
        return "done"

    class Flood:
        name = "flood"
        run = staticmethod(floods)

    bridge = AgentWebSocketBridge(limits=BridgeLimits(congested_bytes=8_192))
    factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=lambda _: [[Flood()]])
    server = AgentServer(bridge=bridge, execution_factory=factory, authenticator=TokenAuthenticator())
    inbox = Inbox()
    async with server, AgentClient(server.uri, token(server), inbox) as client:
        await client.send({"type": "execute_agent", "message": "hi"})
        await inbox.until(lambda: "agent_completed" in inbox.types())
    assert len(inbox.types()) == 302


async def test_two_authorization_headers_are_refused_like_an_invalid_one():
    server, _ = make_server()
    async with server:
        given = [("Authorization", f"Bearer {token(server)}"), ("Authorization", "Bearer x")]
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.uri, additional_headers=given)
        assert refusal.value.response.status_code == 401

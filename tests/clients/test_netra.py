"""The client protocol ``netra`` against the real server of this package, in one process."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from systems import Records, request

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.clients import Netra, SystemAddress
from netra_sim.factory import default_pipeline
from netra_sim.history import Kind
from netra_sim.loading.plan import UniformTiming
from netra_sim.server import AgentServer, TokenAuthenticator

pytestmark = pytest.mark.real_time

SECRET = "a secret of at least 32 characters"


@asynccontextmanager
async def server():
    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=default_pipeline(UniformTiming(0.01, 1)))
    authenticator = TokenAuthenticator(SECRET.encode())
    async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=authenticator) as running:
        yield SystemAddress(host="127.0.0.1", port=int(running.uri.rpartition(":")[2]))


async def test_two_runs_at_once_are_answered_over_one_connection():
    protocol, records = Netra(secret=SECRET), Records()
    async with server() as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await session.connect()
        await asyncio.gather(*(session.ask(request("alice", n, thread=f"thread-{n}")) for n in range(2)))
        await session.leave()
    assert len(records.rows(Kind.ATTACHED)) == 1
    ended = [run for run, event in records.texts(Kind.RECEIVED, "run", "event") if event == "agent_completed"]
    assert sorted(ended) == ["alice.0", "alice.1"]
    assert set(records.texts(Kind.RECEIVED, "subject")) <= {"", "alice"}
    assert records.texts(Kind.ANSWERED, "event") == ["complete", "complete"]
    assert records.kinds <= protocol.kinds
    assert len(records.rows(Kind.CONNECTED)) == len(records.rows(Kind.DISCONNECTED)) == 1


async def test_a_cut_client_reconnects_and_misses_nothing():
    records = Records()
    async with server() as target:
        session = Netra(secret=SECRET).session(target, "alice", records.journal("alice"))
        asking = asyncio.ensure_future(session.ask(request("alice")))
        while len(records.events("alice")) < 5:
            await asyncio.sleep(0.002)
        session.cut()
        await asyncio.wait_for(asking, 30)
        await session.leave()
    assert len(records.rows(Kind.ATTACHED)) == 2
    assert sorted(set(records.texts(Kind.RECEIVED, "seq"))) == list(range(20))
    assert not records.rows(Kind.MISSING, Kind.LEFT)
    assert records.texts(Kind.DISCONNECTED, "value") == [1006, 1000]


async def test_a_user_without_a_valid_token_cannot_connect():
    records = Records()
    async with server() as target:
        session = Netra(token="{user}").session(target, "alice", records.journal("alice"))
        await session.connect()
        await session.ask(request("alice"))
        await session.leave()
    assert len(records.texts(Kind.CONNECT_REFUSED, "detail")) == 2
    assert records.texts(Kind.REQUESTED, "run") == ["alice.0"]


async def test_who_names_the_thread_of_another_user_is_refused():
    records = Records()
    async with server() as target:
        for user, protocol in (("alice", Netra(secret=SECRET)), ("bob", Netra(secret=SECRET, foreign_threads=1.0))):
            session = protocol.session(target, user, records.journal(user))
            await asyncio.wait_for(session.ask(request(user, other_thread="alice-thread")), 30)
            await session.leave()
    assert records.texts(Kind.REFUSED, "user", "run") == [("bob", "bob.0")]
    assert records.events("bob") == []


async def test_a_user_who_leaves_in_the_middle_reads_no_more_and_can_come_back():
    protocol, records = Netra(secret=SECRET, leave_share=1.0, leave_after=4), Records()
    async with server() as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        await session.ask(request("alice"))
        assert records.texts(Kind.LEFT, "run") == ["alice.0"]
        assert "agent_completed" not in records.events("alice")
        await session.ask(request("alice", 1, thread="another"))
        await session.leave()
    assert records.texts(Kind.LEFT, "run") == ["alice.0", "alice.1"]
    assert len(records.rows(Kind.ATTACHED)) == 2

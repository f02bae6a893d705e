"""Load runs over HTTPS: a certificate is trusted or the run does not begin, and faults act on encrypted connections too."""

import asyncio
import ssl

import pytest
from certificates import self_signed
from small_server import SSE, running
from websockets.asyncio.server import serve

from netra_sim.checks import check
from netra_sim.clients.tls import tls_context
from netra_sim.driving import load_scenario
from netra_sim.history import Kind
from netra_sim.loading import TargetError, target_of, try_to_connect
from netra_sim.simulation import Scenario

pytestmark = pytest.mark.real_time


@pytest.fixture
def certificate(tmp_path):
    tls_context.cache_clear()
    yield self_signed(tmp_path)
    tls_context.cache_clear()


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_is_not_trusted_is_refused_with_what_to_do(tls):
    async with running(tls=tls) as server:
        with pytest.raises(TargetError, match=r"is not trusted: self.signed certificate; set .* SSL_CERT_FILE"):
            await try_to_connect(target_of(server.url))


async def test_a_server_without_tls_at_an_https_url_is_refused_in_a_sentence():
    async def refuse(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(TargetError, match=r"does not speak TLS \(.*\); for a URL with http or ws it need not"):
            await try_to_connect(target_of(url))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "stalled-socket", "lasts": 0.4},
        {"kind": "disconnect", "lasts": 0.4},
        {"kind": "half-close", "lasts": 0.4},
        {"kind": "garbage", "lasts": 0.4, "every": 0.1},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_users_and_faults_reach_a_server_whose_certificate_is_trusted(tls, certificate, monkeypatch, fault):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    one = Scenario.from_mapping(
        {
            "users": 4,
            "client": SSE,
            "workload": {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.0}, "patience": 20.0},
            "faults": [{"at": 0.3, "share": 0.5} | fault],
        }
    )
    async with running(tls=tls, tokens=30, pause=0.03) as server:
        await try_to_connect(target_of(server.url))
        history = await load_scenario(one, url=server.url)
    hit = int(history.frame(Kind.FAULT_ENDED)["value"].sum())
    ended = history.frame(Kind.RECEIVED)
    assert hit
    assert (ended["event"].astype(str) == "agent_completed").sum() >= 4 - hit
    assert {one.check: one.state for one in check(history)}["content-isolation"] == "passed"


async def test_users_reach_a_websocket_server_whose_certificate_is_trusted(tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    one = Scenario.from_mapping(
        {
            "users": 4,
            "client": {"kind": "websocket-json", "expect_broadcast": True},
            "workload": {"arrivals": {"kind": "burst", "at": 0.0, "width": 0.0}, "patience": 20.0},
        }
    )

    async def echo(socket):
        async for frame in socket:
            await socket.send(frame)

    async with serve(echo, "127.0.0.1", 0, ssl=tls) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        await try_to_connect(target_of(url))
        history = await load_scenario(one, url=url)
    received = history.frame(Kind.RECEIVED)
    assert len(set(received["user"])) == 4
    assert {one.check: one.state for one in check(history)}["content-isolation"] == "passed"

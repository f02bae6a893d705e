"""Encrypted connections: the clients check the server's certificate, and share one TLS context."""

import asyncio
import ssl

import pytest
from certificates import self_signed
from systems import Records, request
from websockets.asyncio.server import serve

from netra_sim.clients import SseJson, SystemAddress, WebSocketJson
from netra_sim.clients.tls import tls_context
from netra_sim.history import Kind

pytestmark = pytest.mark.real_time


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


async def ask_both(certificate):
    """The records of a request over HTTPS and one over WSS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def answer(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: [DONE]\n\n")
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async def echo(socket):
        async for frame in socket:
            await socket.send(frame)

    records = Records()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server, serve(echo, "127.0.0.1", 0, ssl=context) as websockets:
        for protocol, listening in ((SseJson(), server), (WebSocketJson(expect_broadcast=True), websockets)):
            port = next(iter(listening.sockets)).getsockname()[1]
            target = SystemAddress(host="127.0.0.1", port=port, tls=True)
            session = protocol.session(target, "alice", records.journal("alice"))
            await session.ask(request("alice"))
            await session.leave()
    return records


@pytest.fixture(autouse=True)
def a_context_of_its_own():
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


async def test_a_server_with_a_trusted_certificate_is_asked(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    records = await ask_both(certificate)
    assert records.events("alice") == ["agent_completed", "agent_completed"]
    assert tls_context.cache_info().misses == 1


async def test_a_server_with_an_unknown_certificate_is_not_asked(certificate):
    records = await ask_both(certificate)
    reasons = records.texts(Kind.CONNECT_REFUSED, "detail")
    assert len(reasons) == 2
    assert all("certificate verify failed" in reason for reason in reasons)

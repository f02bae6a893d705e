"""TLS over the virtual network is asyncio's own; its time-outs pass in virtual time."""

import asyncio
import datetime
import ssl

import httpx
import pytest
import uvicorn
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from tests.simulation.hosts.helpers import add_hosts, echo, on, run_on_hosts, start_on


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A key and a certificate for the host "server", which vouches for itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = rsa.generate_private_key(65537, 2048)  # its signatures have one size, so that runs repeat exactly
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def serving(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


@pytest.fixture(scope="module")
def trusting(files):
    return ssl.create_default_context(cafile=files[0])


def test_streams_talk_over_tls_the_same_way_every_time(serving, trusting):
    async def main():
        server, client = add_hosts("server", "client")
        await on(server, asyncio.start_server(echo, "0.0.0.0", 443, ssl=serving))

        async def talk():
            reader, writer = await asyncio.open_connection("server", 443, ssl=trusting)
            writer.write(bytes(300_000))
            assert await reader.readexactly(300_000) == bytes(300_000)
            told = writer.get_extra_info("cipher")[0], writer.get_extra_info("peername")
            writer.close()
            await writer.wait_closed()
            return told, asyncio.get_running_loop().time()

        outcome = await on(client, talk())
        await asyncio.sleep(1)
        assert not client.process.endpoints
        assert not server.process.endpoints
        return outcome

    assert run_on_hosts(main) == run_on_hosts(main)


def test_a_client_that_trusts_nobody_is_told_so_and_leaves_nothing_behind(serving):
    async def main():
        server, client = add_hosts("server", "client")
        await on(server, asyncio.start_server(echo, "0.0.0.0", 443, ssl=serving))
        with pytest.raises(ssl.SSLCertVerificationError):
            await on(client, asyncio.open_connection("server", 443, ssl=True))
        await asyncio.sleep(1)
        assert not client.process.endpoints
        assert not server.process.endpoints

    run_on_hosts(main)


def test_a_connection_changes_to_tls_in_the_middle(serving, trusting):
    async def main():
        server, client = add_hosts("server", "client")

        async def serve(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"ready\n")
            await writer.start_tls(serving)
            await echo(reader, writer)

        await on(server, asyncio.start_server(serve, "0.0.0.0", 25))

        async def talk():
            reader, writer = await asyncio.open_connection("server", 25)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"ready\n"
            await writer.start_tls(trusting, server_hostname="server")
            writer.write(b"secret")
            assert await reader.readexactly(6) == b"secret"
            assert writer.get_extra_info("cipher")
            writer.close()
            await writer.wait_closed()

        await on(client, talk())

    run_on_hosts(main)


@pytest.mark.parametrize("silent", ["server", "client"])
def test_a_handshake_without_an_answer_times_out_after_a_virtual_minute(serving, trusting, silent):
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        context = serving if silent == "client" else None
        await on(server, asyncio.start_server(lambda *_: asyncio.sleep(1e6), "0.0.0.0", 443, ssl=context))
        if silent == "server":
            with pytest.raises(ConnectionAbortedError):
                await on(client, asyncio.open_connection("server", 443, ssl=trusting))
        else:
            reader, writer = await on(client, asyncio.open_connection("server", 443))
            assert await reader.read() == b""
            writer.close()
        assert loop.time() == pytest.approx(60, abs=0.1)

    run_on_hosts(main)


def test_https_and_wss_work_with_unmodified_libraries(files, trusting):
    async def answer(request):
        return PlainTextResponse(f"{request.url.scheme} {request.client.host}")

    async def chat(websocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    async def main():
        server, client = add_hosts("server", "client")
        app = Starlette(routes=[Route("/", answer), WebSocketRoute("/chat", chat)])
        certificate, key = files
        config = uvicorn.Config(app, "0.0.0.0", 443, log_config=None, ssl_certfile=certificate, ssl_keyfile=key)
        served = uvicorn.Server(config)
        serving = start_on(server, served.serve())
        while not served.started:
            await asyncio.sleep(0.01)

        async def talk():
            async with httpx.AsyncClient(verify=trusting) as http:
                answers = [(await http.get("https://server/")).text]
            async with websockets.connect("wss://server/chat", ssl=trusting) as websocket:
                await websocket.send("hello")
                answers += [message async for message in websocket]
            return answers

        assert await on(client, talk()) == [f"https {client.address}", "hello"]
        served.should_exit = True
        await serving
        assert not server.process.endpoints

    run_on_hosts(main)

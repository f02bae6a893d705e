"""The agents inside other applications, and what operators see: health, metrics, logs. All over real sockets."""

import importlib.util
import json
import logging
from pathlib import Path

import httpx
import pytest
from carriers import SocketClient, over_asgi, over_websockets, under_uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.server import JsonFormatter, TextFormatter, TokenAuthenticator, agent_app

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_chat.py"
real_time = pytest.mark.real_time


@real_time
async def test_the_fastapi_example_accepts_its_own_users_only():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 40
    spec = importlib.util.spec_from_file_location("fastapi_chat", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    async with under_uvicorn(example.app) as uri:
        client = SocketClient(await connect(f"{uri}/chat", additional_headers={"Cookie": "session=secret-of-alice"}))
        assert (await client.resume())["user_id"] == "alice"
        await client.say({"type": "execute_agent", "message": "hi"})
        assert (await client.hear("agent_completed"))["user_id"] == "alice"
        for stranger in (
            {"Cookie": "session=x"},
            {},
            {"Cookie": "session=secret-of-bob", "Origin": "https://evil.example"},
        ):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(f"{uri}/chat", additional_headers=stranger)
            assert refusal.value.response.status_code == 403
        async with httpx.AsyncClient(base_url=uri.replace("ws", "http")) as http:
            assert (await http.get("/readyz")).status_code == 200
            await client.leave()


@real_time
@pytest.mark.parametrize("framework", [FastAPI, Starlette])
async def test_three_lines_mount_the_agents(framework):
    bridge, tokens = AgentWebSocketBridge(), TokenAuthenticator()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    agents = agent_app(bridge=bridge, execution_factory=factory, authenticator=tokens)
    app = framework(lifespan=agents.lifespan)
    app.mount("/agents", agents)
    async with under_uvicorn(app) as uri:
        async with httpx.AsyncClient(base_url=uri.replace("ws", "http")) as http:
            assert (await http.get("/agents/readyz")).status_code == 200
            assert (await http.get("/agents/else")).status_code == 404
        headers = {"Authorization": f"Bearer {tokens.issue('alice')}"}
        client = SocketClient(await connect(f"{uri}/agents/", additional_headers=headers))
        assert (await client.resume())["user_id"] == "alice"
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{uri}/agents/")
        assert refusal.value.response.status_code == 401
        await client.leave()
    assert bridge.state == "shut down"


@real_time
@pytest.mark.parametrize("carrier", [over_websockets, over_asgi])
async def test_every_page_may_import_the_client_for_browsers(carrier):
    async with carrier() as place, httpx.AsyncClient(base_url=place.uri.replace("ws", "http")) as http:
        module = await http.get("/agent-client.js")
    assert module.status_code == 200
    assert module.headers["content-type"].startswith("text/javascript")
    assert module.headers["access-control-allow-origin"] == "*"
    assert "export class AgentClient" in module.text


@real_time
@pytest.mark.parametrize("carrier", [over_websockets, over_asgi])
async def test_an_orchestrator_sees_health_readiness_and_metrics(carrier):
    is_up = True

    async def database():
        if not is_up:
            raise ConnectionError("gone")

    async with carrier(backends={"database": database}) as place:
        base = place.uri.replace("ws", "http")
        async with httpx.AsyncClient(base_url=base) as http:
            client = await place.connect()
            await client.resume()
            await client.say({"type": "execute_agent", "message": "hi"})
            events = (await client.hear("agent_completed"))["seq"] + 1
            await client.say({"type": "zz"})
            await client.hear("refused")
            figures = (await http.get("/metrics")).text
            for line in (
                "netra_ready 1.0",
                "netra_connections 1.0",
                'netra_messages_total{type="execute_agent"} 1.0',
                'netra_refused_messages_total{code="unknown_type"} 1.0',
                'netra_run_seconds_count{status="success"} 1.0',
                f"netra_bridge_published_total {events}.0",
            ):
                assert line in figures.splitlines()
            is_up = False
            await place.bridge.check_health()
            assert [(await http.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 503]
            assert "netra_ready 0.0" in (await http.get("/metrics")).text.splitlines()
            await client.leave()


async def _secrets_of_a_conversation(caplog):
    async with over_websockets() as place:
        token = place.tokens.issue("alice")
        client = await place.connect(token=token)
        await client.resume()
        await client.say({"type": "execute_agent", "message": "my password=hunter2hunter2", "request_id": "q"})
        await client.hear("agent_completed")
        await client.say({"type": "authenticate", "token": token})
        await client.hear("authenticated")
        await client.leave()
    return [token, "hunter2hunter2"]


@real_time
async def test_logs_have_the_ids_of_runs_and_no_secrets(caplog):
    caplog.set_level(logging.DEBUG)
    secrets = await _secrets_of_a_conversation(caplog)
    ours = [record for record in caplog.records if record.name.startswith("netra_sim")]
    lines = [json.loads(JsonFormatter().format(record)) for record in ours]
    (ended,) = (line for line in lines if line["message"] == "run ended")
    assert (ended["run_id"], ended["user_id"], ended["status"]) == ("alice.q", "alice", "success")
    assert [line["code"] for line in lines if line["message"] == "connection closed"] == [1000]
    everything = json.dumps(lines) + "".join(TextFormatter().format(record) for record in ours)
    assert not [secret for secret in secrets if secret in everything]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_log_record_is_one_line_whatever_a_client_sends(formatter):
    record = logging.makeLogRecord(
        {
            "msg": "gone: %s",
            "args": ("a\nforged line\x1b[31m",),
            "reason": "password=hunter2hunter2 \r\n x",
            "levelname": "INFO",
        }
    )
    line = formatter.format(record)
    assert line.isprintable()
    assert "hunter2hunter2" not in line

"""The back ends in `backends/`, unmodified code of the usual libraries, and how 20 users talk to each.

``python catalogue.py NAME ...`` prints the digests of the named back ends, or of all.
"""

import json
import sys
from pathlib import Path

from netra_sim.simulation import Scenario, simulate

HERE = Path(__file__).parent

DONE = {"path": "type", "values": ["done"]}
SSE = {"kind": "sse-json", "body": {"text": "{text}"}, "type": "type", "content": "text", "end": DONE}
SOCKET = {"kind": "websocket-json", "message": {"run": "{run}", "text": "{text}"}, "type": "type", "content": "text"}
MODEL = {"environment": {"MODEL_URL": "{model}/v1"}}, {"model": {"kind": "model", "tokens": 10}}
REDIS = {"environment": {"REDIS_URL": "{redis}"}}, {"redis": {"kind": "redis"}}
OPENAI_STREAM = {"kind": "sse-json", "body": {"text": "{text}"}, "content": "choices.0.delta.content"}

PATIENT = {"window": 5.0, "runs_per_user": 2, "patience": 100.0}
AG_UI = {"kind": "ag-ui"}
ROOM = SOCKET | {"run": "run", "room": "lobby", "expect_broadcast": True, "content": ""}
CALL = {"jsonrpc": "2.0", "id": "{run}", "method": "tools/call", "params": {"text": "{text}"}}
RPC = {"kind": "sse-json", "path": "/mcp", "body": CALL, "headers": {"mcp-session-id": "{user}"}}
RPC |= {"type": "method", "content": "params.message", "end": {"path": "result"}}


def sse(path):
    return SSE | {"path": path}


def backend(app, client, system=None, services=None, **fields):
    place = "main" if app.endswith(":main") else "app"
    mapping = {
        "users": 20,
        "workload": {"window": 5.0, "runs_per_user": 2},
        "system": {place: app, "folder": str(HERE / "backends")} | (system or {}),
        "client": client,
    }
    if services:
        mapping["services"] = services
    return mapping | fields


BACKENDS = {
    "fastapi-async": backend("fastapi_chat:app", sse("/async")),
    "fastapi-sync": backend("fastapi_chat:app", sse("/sync")),
    "fastapi-to-thread": backend("fastapi_chat:app", sse("/to-thread")),
    "fastapi-background": backend("fastapi_chat:app", sse("/background")),
    "aiohttp": backend(
        "aiohttp_chat:main",
        SOCKET | {"path": "/chat", "run": "run", "end": DONE},
        {"environment": {"TOOL_URL": "{tool}/"}},
        {"tool": {"kind": "http"}},
    ),
    "openai-chat": backend("openai_chat:app", sse("/chat"), *MODEL),
    "openai-responses": backend("openai_chat:app", sse("/responses"), *MODEL),
    "httpx-proxy": backend("openai_chat:app", OPENAI_STREAM | {"path": "/proxy"}, *MODEL),
    "redis": backend("redis_chat:app", sse("/conversations/{thread}"), *REDIS),
    "redis-rooms": backend(
        "redis_chat:app",
        ROOM | {"path": "/rooms/{room}"},
        REDIS[0] | {"processes": 3},
        REDIS[1],
    ),
    "channels-async": backend("channels_chat:app", ROOM | {"path": "/async/"}),
    "channels-sync": backend("channels_chat:app", ROOM | {"path": "/sync/"}),
    "pydantic-ai": backend("pydantic_ai_chat:app", AG_UI | {"path": "/function"}),
    "pydantic-ai-openai": backend("pydantic_ai_chat:app", AG_UI | {"path": "/openai"}, *MODEL),
    "langgraph": backend("langgraph_chat:app", AG_UI | {"path": "/agent"}),
    "sse-pings": backend(
        "starlette_chat:app",
        SSE | {"path": "/slowly", "end": {"values": ["done"]}},
        workload=PATIENT,
        objectives={"response_p95": 100.0},
    ),
    "broadcast": backend("starlette_chat:app", ROOM | {"path": "/rooms/{room}"}),
    "json-rpc": backend("starlette_chat:app", RPC),
    "aiosqlite": backend("sqlite_chat:app", sse("/conversations/{thread}")),
}


def scenario(name):
    return Scenario.from_mapping({"name": name} | BACKENDS[name])


if __name__ == "__main__":
    print(json.dumps({name: simulate(scenario(name), seed=1).digest() for name in sys.argv[1:] or BACKENDS}))

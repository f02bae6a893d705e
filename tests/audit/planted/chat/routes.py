import smtplib
import socket
from functools import partial

import chat
import websockets
from aiohttp import web
from chat import Engine, ExecutionEngineFactory
from chat.agents import EstateAgent, RemoteAgent, Reporter, ReportAgent, TriageAgent, UserAgent
from chat.emitter import MetricsEmitter, UserWebSocketEmitter
from chat.engine import SearchEngine, UnknownAgent, UserExecutionEngine
from fastapi import FastAPI, WebSocket

app = FastAPI()  # fine


async def execute(context, bridge):
    emitter = UserWebSocketEmitter(context.user_id, bridge)  # defect: NS201
    engine = Engine(context, emitter)  # defect: NS201
    return await engine.execute()


def by_attribute(context, emitter):
    return chat.engine.UserExecutionEngine(context, emitter)  # defect: NS201


def by_alias(context, emitter):
    make = UserExecutionEngine
    return make(context, emitter)  # defect: NS201


def by_class_method(context, emitter):
    return UserExecutionEngine.from_legacy(context, emitter)  # defect: NS201


def by_partial(context):
    make = partial(UserExecutionEngine, context)
    return make(None)  # defect: NS201


def agents():
    return [TriageAgent(), None]  # defect: NS201


def more_agents():
    yield Reporter()  # defect: NS201
    yield ReportAgent.create()  # defect: NS201


def shared_agent(bridge):
    return ExecutionEngineFactory(bridge, pipeline=TriageAgent())  # defect: NS201


def pipeline(context):
    return [[TriageAgent()], [Reporter()]]  # fine


def configured(bridge):
    return ExecutionEngineFactory(bridge, pipeline=pipeline)  # fine


def configured_inline(bridge):
    return ExecutionEngineFactory(bridge, pipeline=lambda context: [[TriageAgent()]])  # fine


def look_alikes(request, factory):
    browser = UserAgent(request.headers["user-agent"])  # fine
    remote = RemoteAgent(request.url).card(request)  # fine
    house = EstateAgent().sell(request)  # fine
    words = SearchEngine().find(request)  # fine
    gauge = MetricsEmitter("chat").gauge("requests", 1)  # fine
    engine = factory.make(request)  # fine
    if not browser:
        raise UnknownAgent(house)  # fine
    return isinstance(engine, UserExecutionEngine), words, gauge, remote  # fine


@app.websocket("/ws")
async def endpoint(websocket: WebSocket):
    await websocket.accept()  # fine
    text = await websocket.receive_text()
    await websocket.send_json({"type": "agent_started", "text": text})  # defect: NS202


async def optional(ws: "WebSocket | None", text: str):
    if ws is not None:
        await ws.send_text(text)  # defect: NS202


async def handed_on(ws: WebSocket, run):
    await run(ws.send_json)  # defect: NS202


async def by_bound_method(connection: WebSocket):
    reply = connection.send_text
    await reply("hello")  # defect: NS202


async def asgi(scope, receive, send):
    await send({"type": "websocket.send", "text": "hello"})  # defect: NS202
    await send({"type": "http.response.start", "status": 200})  # fine


async def aiohttp_endpoint(request):
    peer = web.WebSocketResponse()
    await peer.prepare(request)
    await peer.send_str("hello")  # defect: NS202


async def around_the_bridge(websocket_manager, user_id):
    await websocket_manager.send_to_user(user_id, "hello")  # defect: NS202


async def through_the_manager(user_id):
    manager = chat.ConnectionManager()
    await manager.broadcast(f"{user_id} is here")  # defect: NS202


async def own_server():
    async def echo(peer):
        await peer.send("hello")  # defect: NS202

    await websockets.serve(echo, "127.0.0.1", 0)


async def as_a_client(uri):
    async with websockets.connect(uri) as ws:
        await ws.send("hello")  # fine


async def other_sends(queue, mailer: smtplib.SMTP, generator, websocket_bridge, channel):
    raw = socket.socket()
    raw.send(b"hello")  # fine
    mailer.send_message("hello")  # fine
    generator.send(None)  # fine
    await queue.send("hello")  # fine
    await channel.send("hello")  # fine
    await websocket_bridge.publish("alice", "hello")  # fine
    return web.json_response({})  # fine

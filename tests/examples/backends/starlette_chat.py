"""Starlette alone: server-sent events with pings, broadcast to rooms, JSON-RPC over HTTP with sessions."""

import asyncio
import json
import uuid
from collections import defaultdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PING_EVERY = 15.0


async def slowly(request: Request) -> StreamingResponse:
    """An answer with a pause of 40 seconds, in which comments keep the connection open."""
    text = (await request.json())["text"]
    parts: asyncio.Queue[str | None] = asyncio.Queue()

    async def work() -> None:
        for number in range(5):
            await parts.put(f"#{number}; {text}")
            await asyncio.sleep(40.0 if number == 2 else 0.1)
        await parts.put(None)

    async def events():
        task = asyncio.create_task(work())
        while True:
            try:
                async with asyncio.timeout(PING_EVERY):
                    part = await parts.get()
            except TimeoutError:
                yield ": ping\r\n\r\n"
                continue
            if part is None:
                break
            yield f"event: token\r\ndata: {json.dumps({'text': part})}\r\n\r\n"
        await task
        yield "event: done\r\ndata: {}\r\n\r\n"

    return StreamingResponse(events(), media_type="text/event-stream")


ROOMS: dict[str, set[WebSocket]] = defaultdict(set)


async def room(socket: WebSocket) -> None:
    members = ROOMS[socket.path_params["room"]]
    await socket.accept()
    members.add(socket)
    try:
        while True:
            text = await socket.receive_text()
            async with asyncio.TaskGroup() as group:
                for member in members:
                    group.create_task(member.send_text(text))
    except* WebSocketDisconnect:
        pass
    finally:
        members.discard(socket)


SESSIONS: dict[str, int] = {}


async def rpc(request: Request) -> StreamingResponse | JSONResponse:
    """Calls as in MCP: ``initialize`` gives a session, ``tools/call`` streams progress and the result."""
    call = await request.json()
    session = request.headers.get("mcp-session-id") or uuid.uuid4().hex
    SESSIONS[session] = SESSIONS.get(session, 0) + 1
    if call["method"] == "initialize":
        result = {"jsonrpc": "2.0", "id": call["id"], "result": {"protocolVersion": "2025-06-18"}}
        return JSONResponse(result, headers={"mcp-session-id": session})

    async def events():
        for number in range(5):
            await asyncio.sleep(0.05)
            params = {"progress": number, "message": f"#{number}; {call['params']['text']}"}
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            yield f"data: {json.dumps(note)}\n\n"
        yield f"data: {json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': {'content': []}})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"mcp-session-id": session})


app = Starlette(
    routes=[
        Route("/slowly", slowly, methods=["POST"]),
        WebSocketRoute("/rooms/{room}", room),
        Route("/mcp", rpc, methods=["POST"]),
    ]
)

"""aiohttp as the server, which listens by itself, and as the client of another service; answers over WebSocket."""

import asyncio
import os
import signal

from aiohttp import ClientSession, WSMsgType, web

CLIENT = web.AppKey("client", ClientSession)


async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=5.0)
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        question = message.json()
        async with request.app[CLIENT].post(os.environ["TOOL_URL"], data=question["text"]) as response:
            found = (await response.json())["body"]
        for number in range(5):
            await socket.send_json({"type": "token", "run": question["run"], "text": f"#{number}; {found}"})
            await asyncio.sleep(0.02)
        await socket.send_json({"type": "done", "run": question["run"]})
    return socket


async def client(app: web.Application):
    async with ClientSession() as session:
        app[CLIENT] = session
        yield


async def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8000).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()

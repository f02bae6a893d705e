"""The aiohttp chat of `wrong.py`, right: users are kept by their connection, and a name may occur twice."""

import asyncio
import random
import signal

from aiohttp import WSMsgType, web

FIRST = [f"{start}{end}" for start in ("An", "Be", "Ca", "Da", "El") for end in ("a", "e", "i", "la", "ra", "na", "ta")]
LAST = [
    f"{start}{end}" for start in ("Bro", "Smi", "Mil", "Tay", "Wal") for end in ("n", "s", "t", "k", "l", "m", "r", "d")
]
USERS = web.AppKey("users", set[web.WebSocketResponse])


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Let a user in, and pass on to everybody what the user says."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    users = request.app[USERS]
    name = f"{random.choice(FIRST)} {random.choice(LAST)}"
    await socket.send_json({"action": "connect", "name": name})
    users.add(socket)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                said = {"action": "sent", "name": name, "text": message.data}
                for other in list(users):
                    await other.send_json(said)
    finally:
        users.discard(socket)
    return socket


async def main() -> None:
    """Listen until SIGTERM."""
    app = web.Application()
    app[USERS] = set()
    app.router.add_get("/", chat)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, port=8000).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()

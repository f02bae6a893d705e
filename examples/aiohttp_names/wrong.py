"""An aiohttp chat of the usual shape: whoever comes in gets a random name, and everybody hears everybody.

The defect: users are kept by their name. When two get the same name, the second takes the place of the first, who hears
nothing any more. With 20 users that hardly ever happens; of 400 users and 1,400 names, some share one.
"""

import asyncio
import random
import signal

from aiohttp import WSMsgType, web

FIRST = [f"{start}{end}" for start in ("An", "Be", "Ca", "Da", "El") for end in ("a", "e", "i", "la", "ra", "na", "ta")]
LAST = [
    f"{start}{end}" for start in ("Bro", "Smi", "Mil", "Tay", "Wal") for end in ("n", "s", "t", "k", "l", "m", "r", "d")
]
USERS = web.AppKey("users", dict[str, web.WebSocketResponse])


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Let a user in, and pass on to everybody what the user says."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    users = request.app[USERS]
    name = f"{random.choice(FIRST)} {random.choice(LAST)}"
    await socket.send_json({"action": "connect", "name": name})
    users[name] = socket
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                said = {"action": "sent", "name": name, "text": message.data}
                for other in list(users.values()):
                    await other.send_json(said)
    finally:
        del users[name]
    return socket


async def main() -> None:
    """Listen until SIGTERM."""
    app = web.Application()
    app[USERS] = {}
    app.router.add_get("/", chat)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, port=8000).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()

import asyncio
from threading import Lock

from shop.live import PriceStream
from starlette.websockets import WebSocket

_last_user = ""  # defect: NS401
_lock = Lock()  # fine
_by_user = {}  # defect: NS401
_greetings = {"en": "hello"}  # fine
DEFAULT = PriceStream()  # fine


def remember(user):
    global _last_user
    _last_user = user
    _by_user.setdefault(user, []).append(1)


def greeting(language):
    return _greetings.get(language, "")


class Notices:
    _shared: dict[str, int] = {}  # defect: NS401

    def __init__(self, bridge):
        self.bridge = bridge
        self._own: dict[str, int] = {}

    def count(self, user):
        self._shared[user] = 1
        self._own[user] = 1

    async def notify_all(self, users) -> bool:
        return all([await self.bridge.publish(user, "x") for user in users])

    async def careless(self, users):
        await self.notify_all(users)  # defect: NS302

    async def forgetful(self, users):
        self.notify_all(users)  # defect: NS302

    async def careful(self, users):
        return await self.notify_all(users)  # fine

    async def asserted(self, users):
        if await self.notify_all(users):  # fine
            return 1
        asyncio.get_running_loop().call_soon(print)  # fine
        return 0


async def loose(websocket: WebSocket):
    asyncio.ensure_future(websocket.send_text("x"))  # defect: NS202 # defect: NS302
    task = asyncio.ensure_future(websocket.receive_text())  # fine
    return await task


class Workers:
    def send_signal(self, number) -> bool:
        return number > 0

    def stop(self, process):
        process.send_signal(15)  # fine
        self.send_signal(15)  # fine


class PriceStream2:
    def describe(self, price, currency):  # fine
        return f"{price} {currency}"

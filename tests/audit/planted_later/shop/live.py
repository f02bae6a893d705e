import asyncio
from typing import AsyncIterator, Optional

import asyncio.tasks as machinery
from netra_sim import windows_asyncio_safe, windows_safe_gather
from starlette.websockets import WebSocket, WebSocketDisconnect

TIMEOUT = 30


async def prices(feed) -> AsyncIterator[float]:
    while True:
        try:
            price = await asyncio.wait_for(feed.get(), timeout=TIMEOUT)  # defect: NS101
        except asyncio.TimeoutError:
            continue
        yield price


class PriceStream:
    wait = staticmethod(asyncio.sleep)

    def __init__(self, websocket: Optional[WebSocket] = None):
        self.websocket = websocket

    async def run(self):
        while True:
            await self.tick()
            await asyncio.sleep(0.5)  # defect: NS101

    async def tick(self):
        await self.websocket.send_json({"price": 1})  # defect: NS202

    @windows_asyncio_safe
    async def run_safely(self):
        await self.tick()
        await PriceStream.wait(1)  # defect: NS101

    @windows_asyncio_safe
    async def together(self, feeds):
        await asyncio.gather(*[feed.start() for feed in feeds])  # fine
        await self.tick()

    async def with_safe_gather(self, feeds):
        await windows_safe_gather(*[feed.start() for feed in feeds])  # fine
        await self.tick()


async def retrying(ws: WebSocket, work):
    for attempt in range(3):
        delay = lambda: machinery.sleep(2**attempt)  # defect: NS101
        await delay()
        await ws.receive_json()


async def housekeeping(store):
    await store.sweep()
    await asyncio.sleep(60)  # fine


async def import_inside(ws: WebSocket):
    from asyncio import sleep as rest

    await rest(1)  # defect: NS101
    await ws.receive_text()


@windows_asyncio_safe
async def import_inside_safely(ws: WebSocket):
    import asyncio as loop_library

    await loop_library.sleep(1)  # fine
    await ws.receive_text()


async def guarded(ws: WebSocket):
    try:
        await ws.send_bytes(b"1")  # defect: NS202
    except WebSocketDisconnect:  # fine
        return


async def unguarded(ws: WebSocket, log):
    try:
        text = await ws.receive_text()
        await ws.send_text(text)  # defect: NS202
    except Exception as e:  # defect: NS301
        log.error(f"oops {e}")
        return None


async def closing(ws: WebSocket):
    try:
        text = await ws.receive_text()
    except Exception:  # fine
        text = ""
    await ws.close()  # fine
    return text


async def limited(ws: WebSocket):
    async def first():
        return await asyncio.wait_for(ws.receive_text(), 1)  # defect: NS101

    return await asyncio.wait_for(asyncio.create_task(first()), 10)  # defect: NS101 # defect: NS102


def old_style(client):
    ws = yield client.ws_connect("/echo")
    yield ws.send_str("x")  # fine

import asyncio
import asyncio as aio
import functools
import time
from asyncio import gather, sleep
from asyncio import wait_for as wf
from contextlib import asynccontextmanager

import netra_sim.runtime as layer
from chat import safety
from chat.safety import nap, pause, safe, wait_five
from fastapi import WebSocket


async def stream_tokens(source):
    for token in source:
        await asyncio.sleep(0.1)  # defect: NS101
        yield token


async def stream_aliased(source):
    await aio.sleep(0.1)  # defect: NS101
    yield await wf(source, 3)  # defect: NS101


async def stream_from(source):
    await sleep(1)  # defect: NS101
    rows = await gather(source, source)  # defect: NS101
    yield rows


async def stream_through_another_module(source):
    await nap(1)  # defect: NS101
    yield await wait_five(source)  # defect: NS101


async def stream_local_alias(source):
    rest = asyncio.sleep
    await rest(1)  # defect: NS101
    yield source


async def stream_nested(source):
    async def one():
        await asyncio.sleep(1)  # defect: NS101
        return source

    yield await one()


async def read_for_ever(websocket: WebSocket):
    async for message in websocket.iter_text():
        await handle(message)


async def handle(message):
    await asyncio.sleep(len(message))  # defect: NS101
    await handle_further(message)


async def handle_further(message):
    await asyncio.sleep(len(message))  # defect: NS101


async def relay(emitter, work):
    await emitter.emit_progress(await asyncio.wait_for(work, 5))  # defect: NS101


async def relay_later(emitter, work):
    await asyncio.sleep(1)  # defect: NS101
    await relay(emitter, work)


def logged(function):
    @functools.wraps(function)
    async def wrapper(*args):
        print(time.time())
        return await function(*args)

    return wrapper


@safe
@logged
async def stream_under_a_wrapper(emitter):
    await asyncio.sleep(1)  # defect: NS101
    await emitter.emit_progress("done")


class Poller:
    def __init__(self):
        self._sleep = asyncio.sleep

    @safe
    async def poll(self, emitter):
        await self._sleep(1)  # defect: NS101
        await emitter.emit_progress("polled")

    @safe
    async def poll_safely(self, emitter):
        await asyncio.sleep(1)  # fine
        await emitter.emit_progress("polled")


@safe
async def stream_safely(source):
    await asyncio.sleep(0.1)  # fine
    await sleep(0.1)  # fine
    yield await wf(source, 3)  # fine


@layer.windows_asyncio_safe
async def stream_by_attribute(source):
    async def one():
        await aio.sleep(1)  # fine
        return source

    yield await one()


async def stream_with_safe_functions(source):
    await pause(0.1)  # fine
    await layer.windows_safe_sleep(0.1)  # fine
    yield await layer.windows_safe_wait_for(source, 3)  # fine


@asynccontextmanager
@safe
async def scope(emitter):
    await asyncio.sleep(0)  # fine
    await emitter.emit_progress("open")
    yield emitter


@asynccontextmanager
async def plain_scope():
    await asyncio.sleep(0)  # fine
    yield None


async def stream_made_safe(source):
    await asyncio.sleep(0.1)  # fine
    yield source


stream_made_safe = safe(stream_made_safe)


async def not_streaming():
    await asyncio.sleep(1)  # fine
    await asyncio.wait_for(asyncio.Event().wait(), 1)  # fine
    time.sleep(0)  # fine


async def stream_timeouts(source):
    async with asyncio.timeout(3):  # fine
        yield await source


async def stream_own_sleep(source, pace):
    await pace.sleep(1)  # fine
    yield source


async def stream_shadowed(source, sleep):
    await sleep(1)  # fine
    yield safety.aio.iscoroutine(source)  # fine

"""Small back ends under test, with and without planted defects."""

import asyncio
import itertools
import os
import signal
import threading
import time
from contextlib import suppress

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

STARTED = itertools.count(1)
"""Counts the requests of one process: module variables are those of a process."""

app = FastAPI()


@app.post("/chat")
async def chat(question: dict[str, str]):
    number = next(STARTED)

    async def answer():
        for token in range(5):
            await asyncio.sleep(0.1)
            yield f'data: {{"type": "token", "text": "#{token}; {question["text"]}", "number": {number}}}\n\n'
        yield 'data: {"type": "done"}\n\n'

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/chat-in-a-thread")
def chat_in_a_thread(question: dict[str, str]):
    def answer():
        for token in range(5):
            yield f'data: {{"type": "token", "text": "#{token}; {question["text"]}"}}\n\n'
        yield 'data: {"type": "done"}\n\n'

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/environment")
async def environment(question: dict[str, str]):
    raise RuntimeError(os.environ["GREETING"])


@app.post("/clocks")
async def clocks(question: dict[str, str]):
    raise RuntimeError(f"wall - monotonic = {time.time() - time.monotonic():.1f}")


@app.post("/thread-of-its-own")
async def thread_of_its_own(question: dict[str, str]):
    def assist():
        asyncio.new_event_loop()

    threading.Thread(target=assist, name="helper").start()
    return await chat(question)


@app.post("/endless")
async def endless(question: dict[str, str]):
    while question:
        with suppress(Exception):
            next(STARTED)


UNDYING = []


@app.post("/undying")
async def undying(question: dict[str, str]):
    async def go_on():
        while True:
            with suppress(BaseException):
                await asyncio.sleep(1000)

    UNDYING.append(asyncio.create_task(go_on()))
    return await chat(question)


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


async def main():
    """A server that listens by itself, and stops on SIGTERM after it has answered whoever is there."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 8000):
        await stop.wait()


async def deaf():
    await asyncio.sleep(1e9)


async def short():
    return None


async def cancels_all():
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await main()

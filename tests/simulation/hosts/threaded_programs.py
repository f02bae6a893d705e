"""Programs whose libraries use threads; as a script, prints what each does, in every detail."""

import asyncio
import json
import queue
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiosqlite
import anyio.to_thread
import django
import httpx
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.generic.websocket import WebsocketConsumer
from django.conf import settings
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from netra_sim.runtime import run
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop
from netra_sim.simulation.schedule_log import ScheduleLog

if not settings.configured:
    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
    django.setup()

USERS = 20
OF_THE_MODULE = ThreadPoolExecutor(3)


def run_threaded(coroutine, **options):
    """The result of a coroutine on a new loop, and the loop."""
    loops = []

    def new_loop():
        loops.append(WorkerThreadLoop(**options))
        return loops[0]

    return run(coroutine, loop_factory=new_loop), loops[0]


async def to_threads():
    done = []
    results = await asyncio.gather(*(asyncio.to_thread(lambda i=i: done.append(i) or i) for i in range(USERS)))
    assert results == list(range(USERS))
    return done


async def anyio_threads():
    done, lock, loop = [], threading.Lock(), asyncio.get_running_loop()

    def work(i):
        with lock:
            done.append(i)
            loop.sleep_here(1)

    async with anyio.create_task_group() as group:
        for i in range(USERS):
            group.start_soon(anyio.to_thread.run_sync, work, i)
    assert loop.time() == USERS
    return done


async def executor_of_the_module():
    loop, done = asyncio.get_running_loop(), []

    def work(i):
        loop.sleep_here(1)
        done.append((i, threading.current_thread().name.rpartition("_")[2]))

    await asyncio.gather(*(loop.run_in_executor(OF_THE_MODULE, work, i) for i in range(9)))
    assert loop.time() == 3
    return done


async def own_threads():
    """Four threads that talk by queues, events and conditions."""
    numbers, sums, go = queue.Queue(2), queue.SimpleQueue(), threading.Event()

    def produce():
        go.wait()
        for number in [*range(10), None, None, None]:
            numbers.put(number)

    def consume():
        total = 0
        while (number := numbers.get()) is not None:
            total += number
        sums.put(total)

    threads = [threading.Thread(target=work) for work in (produce, consume, consume, consume)]
    for thread in threads:
        thread.start()
    await asyncio.sleep(1)
    go.set()
    for thread in threads:
        thread.join()
    results = [sums.get() for _ in range(3)]
    assert sum(results) == sum(range(10))
    return results


app = FastAPI()
answered = []


@app.get("/number/{i}")
def number(i: int):
    answered.append(i)
    return i


@app.get("/stream/{i}")
def stream(i: int):
    return StreamingResponse(f"{i}.{token} " for token in range(3))


async def ask(path):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return [one.text for one in await asyncio.gather(*(client.get(f"/{path}/{i}") for i in range(USERS)))]


async def sync_endpoint():
    answered.clear()
    assert await ask("number") == [str(i) for i in range(USERS)]
    return answered[:]


async def sync_generator():
    texts = await ask("stream")
    assert texts == [f"{i}.0 {i}.1 {i}.2 " for i in range(USERS)]
    return texts


async def one_database():
    async with aiosqlite.connect(":memory:") as database:
        await database.execute("CREATE TABLE t (x)")

        async def insert(i):
            await database.execute("INSERT INTO t VALUES (?)", (i,))
            return await (await database.execute("SELECT count(*) FROM t")).fetchone()

        return await asyncio.gather(*map(insert, range(USERS)))


async def database_file():
    """Each user has a connection of its own, and writes; all but one wait for the lock of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.db")
        async with aiosqlite.connect(path) as database:
            await database.execute("CREATE TABLE t (x)")
            await database.commit()

        async def insert(i):
            async with aiosqlite.connect(path) as database:
                await database.execute("INSERT INTO t VALUES (?)", (i,))
                await database.commit()
                return (await (await database.execute("SELECT count(*) FROM t")).fetchone())[0]

        counts = await asyncio.gather(*map(insert, range(USERS)))
    assert max(counts) == USERS
    return counts


class Chat(WebsocketConsumer):
    """The chat of Django Channels' tutorial."""

    def connect(self):
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        self.accept()

    def disconnect(self, code):
        async_to_sync(self.channel_layer.group_discard)("room", self.channel_name)

    def receive(self, text_data=None, bytes_data=None):
        async_to_sync(self.channel_layer.group_send)("room", {"type": "chat.message", "message": text_data})

    def chat_message(self, event):
        self.send(text_data=event["message"])


async def sync_consumer():
    users = [ApplicationCommunicator(Chat.as_asgi(), {"type": "websocket", "path": f"/{i}"}) for i in range(5)]
    for user in users:
        await user.send_input({"type": "websocket.connect"})
        assert (await user.receive_output())["type"] == "websocket.accept"
    for i, user in enumerate(users):
        await user.send_input({"type": "websocket.receive", "text": str(i)})
    heard = [[(await user.receive_output())["text"] for _ in users] for user in users]
    for user in users:
        await user.send_input({"type": "websocket.disconnect", "code": 1000})
        await user.wait()
    assert all(sorted(texts) == list("01234") for texts in heard)
    return heard


async def sync_code_in_turn():
    done = []
    await asyncio.gather(*(sync_to_async(done.append)(i) for i in range(USERS)))
    return done


PROGRAMS = {
    program.__name__: program
    for program in (
        *(to_threads, anyio_threads, executor_of_the_module, own_threads, sync_endpoint, sync_generator),
        *(one_database, database_file, sync_consumer, sync_code_in_turn),
    )
}


def trace_of(name, order, seed):
    """What a program returned, and a hash of the order and the instants of its steps."""
    log = ScheduleLog()
    result, loop = run_threaded(PROGRAMS[name](), order=order, seed=seed, log=log)
    return [result, loop.time(), loop.steps, log.fingerprint]


if __name__ == "__main__":
    time.sleep(float(sys.argv[1]))  # so that processes meet other conditions
    print(
        json.dumps({f"{name} {order}": trace_of(name, order, 7) for name in PROGRAMS for order in ("fifo", "random")})
    )

"""Small back ends with one planted race each, and the same without it if the variable IS_RIGHT is set.

The users of a back end ask a few times each, mostly at different times. A back end is ``main`` of its class: a server on
asyncio's streams that answers each request with one server-sent event. A race that happens is an error that nobody handles.
"""

import asyncio
import json
import os
from collections import Counter
from contextlib import suppress


async def ticks(count):
    for _ in range(count):
        await asyncio.sleep(0)


class Race:
    def __init__(self):
        self.is_right = bool(os.environ.get("IS_RIGHT"))
        self._locks = {}

    async def request(self, user, number):
        raise NotImplementedError

    def accuse(self, what):
        asyncio.get_running_loop().call_exception_handler({"message": what, "exception": AssertionError(what)})

    def lock(self, name):
        """The lock of this name; of a wrong back end, a lock that nobody shares."""
        return self._locks.setdefault(name, asyncio.Lock()) if self.is_right else asyncio.Lock()

    @classmethod
    async def main(cls):
        race = cls()

        async def serve(reader, writer):
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                    length = int(head.partition("content-length:")[2].split("\r\n", 1)[0])
                    asked = json.loads(await reader.readexactly(length))
                    await race.request(int(asked["user"]), int(asked["run"].rpartition(".")[2]))
                    body = b'data: {"type": "done"}\n\n'
                    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: "
                    writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
                    await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "0.0.0.0", 8000) as server:
            await server.serve_forever()


class CheckThenAct(Race):
    """Two users take the same name; three awaits lie between the check and the act."""

    def __init__(self):
        super().__init__()
        self.taken = set()

    async def request(self, user, number):
        name = user // 2, number
        async with self.lock(name):
            if name not in self.taken:
                await ticks(3)
                if name in self.taken:
                    self.accuse("a name is taken twice")
                self.taken.add(name)


class LostUpdate(Race):
    """Two users pay into one account; one await lies between the read and the write."""

    def __init__(self):
        super().__init__()
        self.balance, self.paid = Counter(), Counter()

    async def request(self, user, number):
        account = user // 2
        async with self.lock(account):
            read = self.balance[account]
            await ticks(1)
            self.balance[account] = read + 1
            self.paid[account] += 1
        if self.balance[account] < self.paid[account]:
            self.accuse("a payment is lost")
            self.paid[account] = self.balance[account]


class LazyInit(Race):
    """The first of every ten requests opens a pool; another one that comes meanwhile opens a second one."""

    def __init__(self):
        super().__init__()
        self.pools, self.asked = set(), 0

    async def request(self, user, number):
        pool = self.asked // 10
        self.asked += 1
        async with self.lock(pool):
            if pool not in self.pools:
                await ticks(2)
                if pool in self.pools:
                    self.accuse("two pools are open")
                self.pools.add(pool)


class ReleasedEarly(Race):
    """A number is taken under a lock, and used after an await outside of it."""

    def __init__(self):
        super().__init__()
        self.shared, self.entries = asyncio.Lock(), []

    async def request(self, user, number):
        async with self.shared:
            next_number = len(self.entries)
            await ticks(1)
            if self.is_right:
                self.entries.append(next_number)
        if not self.is_right:
            await ticks(1)
            if len(self.entries) != next_number:
                self.accuse("two entries have one number")
            self.entries.append(next_number)


class LateWrite(Race):
    """A background task writes after the session is closed, if it comes late."""

    async def request(self, user, number):
        is_open = True

        async def flush():
            await ticks(2)
            if not is_open:
                self.accuse("written after the close")

        task = asyncio.create_task(flush())
        await ticks(12)
        if self.is_right:
            await task
        is_open = False


class Starved(Race):
    """Whoever waits for a lease gives up after 12 looks; the task that renews it must be slow all that time."""

    async def request(self, user, number):
        is_renewed = False

        async def renew():
            nonlocal is_renewed
            for _ in range(3):
                await asyncio.sleep(0.0005)
            is_renewed = True

        task = asyncio.create_task(renew())
        for _ in range(12):
            if is_renewed:
                return
            await asyncio.sleep(0.001)
        if self.is_right:
            await task
        else:
            self.accuse("no lease after 12 looks")


class LostItem(Race):
    """A consumer has taken an item, and its timeout strikes before the item is put to use."""

    async def request(self, user, number):
        queue, kept = asyncio.Queue(), []

        async def consume():
            item = None
            try:
                async with asyncio.timeout(0.02):
                    item = await queue.get()
                    await ticks(2)
                    kept.append(item)
            except TimeoutError:
                if self.is_right and item is not None:
                    kept.append(item)

        task = asyncio.create_task(consume())
        await asyncio.sleep(0.015)
        await queue.put("item")
        await task
        if not kept and queue.empty():
            self.accuse("an item is lost")


class TwoReorderings(Race):
    """One task must be overtaken twice, by certain others, each within one await."""

    async def request(self, user, number):
        state = "open"

        async def read():
            async with self.lock((user, number)):
                first = state
                await ticks(1)
                second = state
                await ticks(1)
                if (first, second, state) == ("open", "moved", "back"):
                    self.accuse("one account in three states")

        async def move(to, delay):
            nonlocal state
            await ticks(delay)
            async with self.lock((user, number)):
                state = to

        await asyncio.gather(read(), move("moved", 3), move("back", 6))


class Inversion(Race):
    """A task of low priority has a lock, and many others overtake it while an urgent one polls for the lock."""

    async def request(self, user, number):
        lock = asyncio.Lock()

        async def tidy():
            async with lock:
                await ticks(2)

        async def urgent():
            await ticks(1)
            for _ in range(10):
                if not lock.locked():
                    return
                await ticks(1)
            if self.is_right:
                async with lock:
                    return
            self.accuse("the urgent task was kept out of the lock")

        await asyncio.gather(tidy(), ticks(10), urgent(), ticks(10))


RACES = (
    CheckThenAct, LostUpdate, LazyInit, ReleasedEarly, LateWrite, Starved, LostItem, TwoReorderings, Inversion,
)  # fmt: skip

"""Small programs with one planted ordering bug each, and the same program without it.

Each passes in asyncio's own order. ``is_right`` makes the right twin. `CONTROL` has no bug and polls with ``sleep(0)``.
"""

import asyncio
from contextlib import suppress
from functools import partial


async def ticks(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def lost_update(is_right=False):
    balance, lock = 0, asyncio.Lock()

    async def pay(amount, starts_at):
        nonlocal balance
        await ticks(starts_at)
        async with lock if is_right else asyncio.Lock():
            read = balance
            await ticks(1)
            balance = read + amount

    await asyncio.gather(pay(10, 0), pay(20, 3))
    assert balance == 30, f"an update was lost: {balance}"


async def check_then_act(is_right=False, awaits=12):
    sold, lock = [], asyncio.Lock()

    async def book(name, logs_in):
        await ticks(logs_in)
        async with lock if is_right else asyncio.Lock():
            if not sold:
                await ticks(1)
                sold.append(name)

    await asyncio.gather(book("ann", 1), book("bob", awaits))
    assert len(sold) == 1, f"the seat was sold to {' and '.join(sold)}"


async def cancel_between(is_right=False):
    inbox, done = ["order"], []

    async def work():
        await ticks(2)
        item = inbox.pop()
        try:
            await ticks(2)
            done.append(item)
        except asyncio.CancelledError:
            if is_right:
                inbox.append(item)
            raise

    async def stop(task):
        await ticks(9)
        task.cancel()

    task = asyncio.create_task(work())
    await stop(task)
    with suppress(asyncio.CancelledError):
        await task
    assert inbox + done == ["order"], "the order is lost"


async def resolved_twice(is_right=False):
    answer = asyncio.get_running_loop().create_future()

    async def replica(name, delay):
        await ticks(delay)
        if not answer.done():
            await ticks(1)
            if not (is_right and answer.done()):
                answer.set_result(name)

    await asyncio.gather(replica("a", 1), replica("b", 5))


async def queue_drop(is_right=False):
    queue, received = asyncio.Queue(maxsize=2), []

    async def produce():
        for number in range(6):
            if is_right:
                await queue.put(number)
            else:
                with suppress(asyncio.QueueFull):
                    queue.put_nowait(number)
            await ticks(1)
        await queue.put(None)

    async def consume():
        while (item := await queue.get()) is not None:
            received.append(item)

    await asyncio.gather(produce(), consume())
    assert received == [*range(6)], f"the queue dropped some: {received}"


async def lazy_init(is_right=False):
    opened, lock, pool = [], asyncio.Lock(), None

    async def get():
        nonlocal pool
        async with lock if is_right else asyncio.Lock():
            if pool is None:
                await ticks(3)
                opened.append(pool := object())
        return pool

    async def request(delay):
        await ticks(delay)
        return await get()

    await asyncio.gather(request(0), request(6), request(8))
    assert len(opened) == 1, f"{len(opened)} pools were opened"


async def event_missed(is_right=False):
    changed, value = asyncio.Event(), []

    async def wait():
        await ticks(2)
        if is_right and value:
            return
        await changed.wait()

    async def tell():
        await ticks(7)
        value.append(1)
        changed.set()
        changed.clear()

    await asyncio.gather(wait(), tell())


async def two_reorderings(is_right=False):
    """Ann must be overtaken twice: bob moves the account, and carl moves it back, each within one await of hers."""
    state, lock, lost = "open", asyncio.Lock(), []

    async def ann():
        async with lock if is_right else asyncio.Lock():
            first = state
            await ticks(1)
            second = state
            await ticks(1)
            if (first, second, state) == ("open", "moved", "back"):
                lost.append("ann")

    async def move(to, delay):
        nonlocal state
        await ticks(delay)
        async with lock if is_right else asyncio.Lock():
            state = to

    await asyncio.gather(ann(), move("moved", 5), move("back", 10))
    assert not lost, "the same account was seen in three states"


async def starvation(is_right=False):
    is_free = False

    async def hold():
        nonlocal is_free
        await ticks(4)
        is_free = True

    async def acquire():
        for _ in range(1_000 if is_right else 12):
            if is_free:
                return
            await asyncio.sleep(0)
        raise TimeoutError("no lock after 12 attempts")

    await asyncio.gather(hold(), acquire())


async def near_tie(is_right=False):
    answered = []

    async def answer():
        for _ in range(4):
            await asyncio.sleep(0.25 - 0.00005)
        answered.append(True)

    task = asyncio.create_task(answer())
    done, _ = await asyncio.wait([task], timeout=None if is_right else 1.0)
    await task
    assert done, "the answer came after the timeout"


async def lock_released_early(is_right=False):
    lock, log = asyncio.Lock(), []

    async def append(entry, delay):
        await ticks(delay)
        async with lock:
            number = len(log)
            if is_right:
                log.append((number, entry))
        await ticks(2)
        if not is_right:
            log.append((number, entry))

    await asyncio.gather(append("a", 0), append("b", 5), append("c", 10))
    assert [number for number, _ in log] == [0, 1, 2], f"two entries have one number: {log}"


async def stale_cache(is_right=False):
    stored, cache, version = "old", {}, 0

    async def read():
        seen = version
        value = stored
        await ticks(2)
        if not is_right or seen == version:
            cache["user"] = value

    async def write():
        nonlocal stored, version
        await ticks(6)
        stored = "new"
        version += 1
        cache.pop("user", None)

    await asyncio.gather(read(), write())
    assert cache.get("user", stored) == stored, "the cache keeps the old value"


async def opposite_locks(is_right=False):
    first, second = asyncio.Lock(), asyncio.Lock()

    async def transfer(one, other, delay):
        await ticks(delay)
        async with one:
            await ticks(1)
            async with other:
                await ticks(1)

    await asyncio.gather(transfer(first, second, 0), transfer(*((first, second) if is_right else (second, first)), 6))


async def woken_once(is_right=False):
    """A condition is tested with ``if`` and not again after the wait: another consumer may have been faster."""
    items, condition, taken = [], asyncio.Condition(), []

    async def take():
        async with condition:
            if is_right:
                await condition.wait_for(lambda: items)
            elif not items:
                await condition.wait()
            taken.append(items.pop())

    async def late():
        await ticks(7)
        async with condition:
            if items:
                taken.append(items.pop())
            elif is_right:
                await condition.wait_for(lambda: items)
                taken.append(items.pop())

    async def put(count):
        await ticks(3)
        for number in range(count):
            async with condition:
                items.append(number)
                condition.notify()
            await ticks(1)

    await asyncio.gather(take(), put(2), late())


async def dropped_error(is_right=False):
    """A background task fails if it comes too late, and nobody awaits it."""
    is_open = True

    async def flush():
        await ticks(2)
        if not is_open:
            raise ConnectionError("flushed after the close")

    task = asyncio.create_task(flush())
    await ticks(6)
    if is_right:
        await task
    is_open = False
    await ticks(3)


async def spin_wait(is_right=True):
    done = []

    async def work():
        await ticks(5)
        done.append(True)

    async def poll():
        while not done:
            await asyncio.sleep(0)

    await asyncio.gather(poll(), work(), poll())


BUGS = {f"check_then_act:{awaits}": partial(check_then_act, awaits=awaits) for awaits in (3, 6, 9, 12)} | {
    bug.__name__: bug
    for bug in (
        lost_update, cancel_between, resolved_twice, queue_drop, lazy_init, event_missed, two_reorderings, starvation,
        near_tie, lock_released_early, stale_cache, opposite_locks, woken_once, dropped_error,
    )
}  # fmt: skip
TWINS = {name: partial(bug, is_right=True) for name, bug in BUGS.items()}
CONTROL = spin_wait

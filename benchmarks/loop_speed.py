"""What an event costs on our `VirtualTimeLoop` and on other virtual-time engines, where those are installed.

2,000 users sleep a random time and put an item into a queue, 20 times each; one consumer takes the items. An event is a
sleep that has ended or an item that was taken.

Each engine runs the same workload in its own idiom. A user waits until the queue has taken the item (``await queue.put``,
``yield store.put``, ``await channel.send``), as it would of a queue that may be full: to put without waiting would let SimPy
off a turn of its generator, and asyncio off a coroutine. The times to sleep are drawn beforehand: what is measured is the
engine, and not the seeding of 2,000 random number generators.
"""

import asyncio
import gc
import importlib
import random
from collections.abc import Callable, Sequence

from measure import Measure, Measured, in_turn, main, per_operation

from netra_sim.simulation.loop import VirtualTimeLoop

USERS, ITEMS = 2_000, 20
EVENTS = 2 * USERS * ITEMS
REPETITIONS = 9
SLEEPS = [[random.Random(user * ITEMS + item).random() for item in range(ITEMS)] for user in range(USERS)]


async def on_asyncio() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def user(number: int) -> None:
        for seconds in SLEEPS[number]:
            await asyncio.sleep(seconds)
            await queue.put(number)

    async def consumer() -> None:
        for _ in range(USERS * ITEMS):
            await queue.get()

    async with asyncio.TaskGroup() as group:
        group.create_task(consumer())
        for number in range(USERS):
            group.create_task(user(number))


def on_loop(make: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], None]:
    def work() -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(on_asyncio())

    return work


def simpy() -> Callable[[], None]:
    engine = importlib.import_module("simpy")

    def work() -> None:
        environment = engine.Environment()
        store = engine.Store(environment)

        def user(number):
            for seconds in SLEEPS[number]:
                yield environment.timeout(seconds)
                yield store.put(number)

        def consumer():
            for _ in range(USERS * ITEMS):
                yield store.get()

        for number in range(USERS):
            environment.process(user(number))
        environment.run(environment.process(consumer()))

    return work


def aiotools() -> Callable[[], None]:
    engine = importlib.import_module("aiotools")

    async def patched() -> None:
        with engine.VirtualClock().patch_loop():
            await on_asyncio()

    return lambda: asyncio.run(patched())


def async_solipsism() -> Callable[[], None]:
    return on_loop(importlib.import_module("async_solipsism").EventLoop)


def looptime() -> Callable[[], None]:
    return on_loop(importlib.import_module("looptime").new_event_loop)


def simloop() -> Callable[[], None]:
    engine = importlib.import_module("simloop")

    def work() -> None:
        loop = engine.SimLoop(1)
        loop.run_until_complete(on_asyncio())  # its loop cannot do what `asyncio.Runner` asks for at the end
        loop.close()

    return work


def simloom() -> Callable[[], None]:
    engine = importlib.import_module("simloom")
    return lambda: engine.run(lambda world=None: on_asyncio(), seed=1)


def trio() -> Callable[[], None]:
    engine = importlib.import_module("trio")
    testing = importlib.import_module("trio.testing")

    async def everybody() -> None:
        put, take = engine.open_memory_channel(float("inf"))

        async def user(number: int) -> None:
            for seconds in SLEEPS[number]:
                await engine.sleep(seconds)
                await put.send(number)

        async def consumer() -> None:
            for _ in range(USERS * ITEMS):
                await take.receive()

        async with engine.open_nursery() as nursery:
            nursery.start_soon(consumer)
            for number in range(USERS):
                nursery.start_soon(user, number)

    return lambda: engine.run(everybody, clock=testing.MockClock(autojump_threshold=0))


PEERS: dict[str, tuple[Callable[[], Callable[[], None]], dict[str, float]]] = {
    "SimPy (no asyncio)": (simpy, {"fifo": 1 / 1.1, "random order": 1.0}),
    "aiotools.VirtualClock": (aiotools, {"fifo": 1 / 1.6, "random order": 1.0}),
    "async-solipsism": (async_solipsism, {"fifo": 1 / 1.6, "random order": 1.0}),
    "trio.MockClock": (trio, {"fifo": 1.0, "random order": 1.0}),
    "looptime": (looptime, {"fifo": 1.0, "random order": 1.0}),
    "simloop": (simloop, {"fifo": 1 / 4, "random order": 1.0}),
    "simloom": (simloom, {"fifo": 1 / 20, "random order": 1.0}),
}
"""Each with the goals for our cost in units of its own. SimPy runs generators, which cannot be the real code; simloop and
simloom, which need Python 3.12, draw the order of what is ready."""


def measure_all() -> Sequence[Measured]:
    engines: dict[str, Measure] = {
        "fifo": per_operation(on_loop(VirtualTimeLoop), EVENTS),
        "random order": per_operation(on_loop(lambda: VirtualTimeLoop(order="random")), EVENTS),
    }
    for name, (make, _) in PEERS.items():
        try:
            engines[name] = per_operation(make(), EVENTS)
        except ImportError:
            print(f"{name} is not installed and is skipped")
    # What netra_sim and the peers have imported is no engine's to collect, again and again.
    gc.collect()
    gc.freeze()
    seconds = dict(zip(engines, in_turn(*engines.values(), repetitions=REPETITIONS), strict=True))
    lines = []
    for name, (_, goals) in PEERS.items():
        if name in seconds:
            for order, goal in goals.items():
                ratios = tuple(mine / other for mine, other in zip(seconds[order], seconds[name], strict=True))
                lines.append(Measured(f"an event, {order} / {name}", ratios, goal))
    for name, each in seconds.items():
        lines.append(Measured(name, tuple(1 / second for second in each), unit="events/s"))
    return lines


if __name__ == "__main__":
    main("loop_speed", measure_all)

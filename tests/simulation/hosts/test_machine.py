"""On a seeded machine the clocks of the code under test are virtual, and a seed gives what it takes as entropy."""

import asyncio
import os
import random
import secrets
import ssl
import threading
import time
import uuid
from datetime import UTC, date, datetime

import pytest
import taken_names

from netra_sim.simulation.hosts.machine import seeded_machine
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop


def on_a_machine(function, *, seed=1, offset_of=float, at=12.5, where="loop"):
    """What a function returns at an instant of virtual time, on the thread of the loop or on another."""
    loop = WorkerThreadLoop()

    async def main():
        await asyncio.sleep(at)
        return function() if where == "loop" else await asyncio.to_thread(function)

    with seeded_machine(loop, seed, offset_of), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


NOW = datetime(2023, 11, 14, 22, 13, 32, 500_000)  # noqa: DTZ001
WALL = 1_700_000_012.5


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda: time.time(), WALL),
        (lambda: taken_names.time(), WALL),
        (lambda: taken_names.time_ns(), int(WALL * 1e9)),
        (lambda: time.monotonic(), 12.5),
        (lambda: taken_names.monotonic(), 12.5),
        (lambda: taken_names.monotonic_ns(), 12_500_000_000),
        (lambda: taken_names.perf_counter(), 12.5),
        (lambda: taken_names.perf_counter_ns(), 12_500_000_000),
        (lambda: taken_names.process_time(), 0.0),
        (lambda: time.clock_gettime(time.CLOCK_MONOTONIC), 12.5),
        (lambda: time.clock_gettime_ns(time.CLOCK_REALTIME), int(WALL * 1e9)),
        (lambda: time.gmtime()[:6], NOW.timetuple()[:6]),
        (lambda: time.localtime()[:6], NOW.timetuple()[:6]),
        (lambda: time.strftime("%H:%M:%S"), "22:13:32"),
        (lambda: time.ctime(), "Tue Nov 14 22:13:32 2023"),
        (lambda: time.asctime(), "Tue Nov 14 22:13:32 2023"),
        (lambda: time.ctime(0), "Thu Jan  1 00:00:00 1970"),
        (lambda: taken_names.datetime.now(), NOW),
        (lambda: taken_names.datetime.now(UTC), NOW.replace(tzinfo=UTC)),
        (lambda: datetime.today(), NOW),  # noqa: DTZ002
        (lambda: taken_names.date.today(), NOW.date()),
        (lambda: type(datetime.now()), datetime),  # noqa: DTZ005
        (lambda: asyncio.wait_for and time.time() - time.monotonic(), 1_700_000_000.0),
    ],
)
def test_the_clocks_are_those_of_the_simulated_host(read, expected, where):
    assert on_a_machine(read, where=where) == expected


def test_a_skewed_host_has_another_wall_clock_and_the_same_monotonic_clock():
    assert on_a_machine(lambda: (time.time(), time.monotonic()), offset_of=lambda: -3.25) == (WALL - 3.25, 12.5)


def test_a_sleep_on_the_loops_thread_blocks_the_loop_and_one_in_another_thread_does_not():
    async def main(sleep):
        loop, seen = asyncio.get_running_loop(), []

        async def tick():
            await asyncio.sleep(1)
            seen.append(loop.time())

        task = asyncio.create_task(tick())
        await asyncio.sleep(0)
        await sleep()
        seen.append(("slept", loop.time()))
        await task
        return seen

    def run(sleep):
        loop = WorkerThreadLoop()
        with seeded_machine(loop, 1), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main(sleep))

    async def block():
        taken_names.sleep(3)

    assert run(block) == [("slept", 3.0), 3.0]
    assert run(lambda: asyncio.to_thread(taken_names.sleep, 3)) == [1.0, ("slept", 3.0)]


DRAWS = {
    "random": lambda: random.random(),
    "randint": lambda: taken_names.randint(0, 10**9),
    "choice": lambda: taken_names.choice(range(10**9)),
    "shuffle": lambda: random.sample(range(10**6), 5),
    "Random": lambda: random.Random().random(),
    "taken Random": lambda: taken_names.Random().getrandbits(64),
    "SystemRandom": lambda: taken_names.SystemRandom().random(),
    "uuid1": lambda: taken_names.uuid1(),
    "uuid4": lambda: taken_names.uuid4(),
    "urandom": lambda: os.urandom(16),
    "taken urandom": lambda: taken_names.urandom(16),
    "getrandom": lambda: os.getrandom(16),
    "token_bytes": lambda: taken_names.token_bytes(16),
    "token_hex": lambda: taken_names.token_hex(16),
    "randbelow": lambda: secrets.randbelow(10**9),
    "ssl": lambda: ssl.RAND_bytes(16),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_is_taken_as_entropy_comes_from_the_seed(draw):
    one, again, other = (on_a_machine(lambda: (draw(), draw()), seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert one[0] != one[1]


def test_a_generator_with_a_seed_of_its_own_keeps_it():
    expected = random.Random(5).random()
    assert on_a_machine(lambda: (random.Random(5).random(), random.seed(5), random.random())) == (
        expected,
        None,
        expected,
    )


def test_a_generator_whose_state_is_read_or_set_goes_on_from_that_state():
    def read():
        state, first = random.getstate(), random.random()
        random.setstate(state)
        return state, first, random.random()

    state, first, again = on_a_machine(read)
    assert first == again
    assert on_a_machine(read)[0] == state


def test_a_generator_that_is_kept_from_one_simulation_to_the_next_begins_anew():
    kept = []

    def draw():
        kept[:] = kept or [random.Random()]
        return kept[0].random()

    assert on_a_machine(draw) == on_a_machine(draw)


@pytest.mark.parametrize("draw", ["random", "choice", "Random", "uuid4", "token_hex"])
def test_what_serves_a_connection_draws_the_same_whoever_else_is_connected(draw):
    def drawn_for(*clients):
        loop = NetworkLoop(seed=1)
        shared = []

        async def serve(reader, writer):
            await reader.readline()
            writer.write(f"{DRAWS[draw]()} {shared[0].random()}\n".encode())
            writer.close()

        async def main():
            host = loop.network.add_host("server")
            shared[:] = [random.Random()]

            async def listen():
                await asyncio.start_server(serve, "0.0.0.0", 80)

            await loop.create_task_in(host.process, listen(), "server")

            async def ask():
                reader, writer = await asyncio.open_connection("server", 80)
                writer.write(b"\n")
                answer = await reader.read()
                writer.close()
                return answer

            hosts = [loop.network.add_host(name) for name in clients]
            asked = [loop.create_task_in(host.process, ask(), host.name) for host in hosts]
            return dict(zip(clients, await asyncio.gather(*asked), strict=True))

        with seeded_machine(loop, 1), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main())

    many, few = drawn_for("a", "b", "c", "d"), drawn_for("d", "b")
    assert {name: many[name] for name in few} == few
    assert len(set(many.values())) == 4


def test_other_threads_have_the_real_clocks_and_entropy():
    def read():
        return abs(time.time() - real), time.monotonic() - monotonic < 60, os.urandom(16)

    async def main():
        started.set()
        assert real_thread_has_read.wait(30)

    real, monotonic = time.time(), time.monotonic()
    started, real_thread_has_read, results = threading.Event(), threading.Event(), []

    def other():
        started.wait(30)
        results.append(read())
        real_thread_has_read.set()

    for _ in range(2):
        thread = threading.Thread(target=other)
        thread.start()
        loop = WorkerThreadLoop()
        with seeded_machine(loop, 1):
            loop.close()
            started.set()
            thread.join()
        started.clear()
    assert all(skew < 60 and is_near for skew, is_near, _ in results)
    assert results[0][2] != results[1][2]


def test_all_is_real_again_afterwards():
    names = [(time, name) for name in vars(time)] + [(os, "urandom"), (ssl, "RAND_bytes"), (random.Random, "seed")]
    before = [getattr(owner, name) for owner, name in names]
    taken, state, zone = vars(taken_names).copy(), random.getstate(), os.environ.get("TZ")
    on_a_machine(lambda: (random.random(), uuid.uuid1()))
    assert [getattr(owner, name) for owner, name in names] == before
    assert vars(taken_names) == taken
    assert random.getstate() == state
    assert os.environ.get("TZ") == zone
    assert abs(datetime.now(UTC).timestamp() - time.time()) < 5
    assert date.today() != NOW.date()  # noqa: DTZ011
    assert uuid.uuid4() != uuid.uuid4()

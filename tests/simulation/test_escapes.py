"""What code takes from outside the simulation is seen and named, however it is imported; the simulator's own code is not."""

import asyncio
import datetime
import gc
import logging
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path
from time import monotonic as now

import pytest

from netra_sim import Scenario, simulate
from netra_sim.simulation import run_virtual
from netra_sim.simulation.escapes import CLOCK, ENTROPY, SLEEP, watching_escapes


def seen(function, *, clocks=True):
    async def main():
        function()

    with watching_escapes(clocks=clocks) as watch:
        run_virtual(main())
    return {(escape.what, escape.how) for escape in watch.escapes}


@pytest.mark.parametrize(
    ("function", "what", "how"),
    [
        (lambda: time.time(), CLOCK, "time.time"),
        (lambda: now(), CLOCK, "time.monotonic"),
        (lambda: time.perf_counter_ns(), CLOCK, "time.perf_counter_ns"),
        (lambda: datetime.datetime.now(datetime.UTC), CLOCK, "datetime.now"),
        (lambda: datetime.date.today(), CLOCK, "date.today"),  # noqa: DTZ011
        (lambda: time.sleep(0), SLEEP, "time.sleep"),
        (lambda: os.urandom(1), ENTROPY, f"{os.urandom.__module__}.urandom"),
        (lambda: uuid.uuid4(), ENTROPY, f"{os.urandom.__module__}.urandom"),
        (lambda: secrets.randbelow(5), ENTROPY, f"{os.urandom.__module__}.urandom"),
        (lambda: random.random(), ENTROPY, "random.random"),
        (lambda: random.choice([1, 2]), ENTROPY, "random.getrandbits"),
        (lambda: random.Random(), ENTROPY, "random.Random without a seed"),
    ],
)
def test_clocks_entropy_and_sleeps_are_seen(function, what, how):
    assert (what, how) in seen(function)


@pytest.mark.parametrize(
    ("function", "what", "how"),
    [
        (lambda: Path(__file__).read_bytes(), "opens a file", "open"),
        (lambda: socket.socket().close(), "makes a real socket", "socket.__new__"),
        (lambda: subprocess.run([sys.executable, "-c", ""], check=True), "starts a process", "subprocess.Popen"),
        (lambda: sqlite3.connect(":memory:").close(), "opens a database", "sqlite3.connect"),
    ],
)
def test_what_blocks_or_leaves_the_process_is_seen_at_no_cost(function, what, how):
    assert (what, how) in seen(function, clocks=False)


def test_an_escape_names_the_line_of_the_code_under_test_and_how_often():
    async def main():
        for _ in range(3):
            time.time()

    with watching_escapes(clocks=True) as watch:
        run_virtual(main())
    line = main.__code__.co_firstlineno + 2
    assert list(map(str, watch.escapes)) == [
        f"test_escapes.py:{line} ({main.__qualname__}) reads the real clock: time.time, 3 times"
    ]


@pytest.mark.parametrize(
    "function",
    [
        lambda: random.Random(7).random(),
        lambda: logging.getLogger("quiet").error("x"),
        lambda: datetime.date(2024, 1, 1),
    ],
)
def test_what_cannot_change_the_result_is_no_escape(function):
    assert seen(function) == set()


def test_the_loop_and_the_runtime_take_nothing_from_outside():
    async def main():
        await asyncio.to_thread(sum, [1, 2])
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))

    with watching_escapes(clocks=True) as watch:
        run_virtual(main())
        simulate(Scenario(users=3))
    assert watch.escapes == ()


def test_a_callback_of_the_garbage_collector_is_no_escape():
    def on_collection(phase, info):
        time.perf_counter()

    gc.callbacks.append(on_collection)
    try:
        assert seen(gc.collect) == set()
        assert gc.callbacks[-1] is on_collection
    finally:
        gc.callbacks.remove(on_collection)


def test_nothing_is_seen_outside_the_context():
    with watching_escapes(clocks=True) as watch:
        pass
    time.time()
    Path(__file__).read_bytes()
    assert watch.escapes == ()
    assert sys.getprofile() is None


def test_other_threads_are_not_watched():
    def read():
        Path(__file__).read_bytes()

    with watching_escapes() as watch:
        asyncio.run(asyncio.to_thread(read))
    assert "open" not in {escape.how for escape in watch.escapes}

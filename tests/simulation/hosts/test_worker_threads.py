"""Programs with real threads in virtual time: they work unmodified, repeat exactly, and their deadlocks are found."""

import asyncio
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import anyio.to_thread
import pytest
from threaded_programs import OF_THE_MODULE, PROGRAMS, run_threaded, trace_of

from netra_sim.simulation import DeadlockError
from netra_sim.simulation.hosts import gate
from netra_sim.simulation.hosts.gate import StuckThreadError
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop

ORDERS = ["random", "sticky:0.75", "priorities:1.2", "delays:1.2", "slow:1:4", "holds:1.1+3"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.enumerate()
    yield
    assert [thread for thread in threading.enumerate() if thread not in before] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_libraries_that_use_threads_work_unmodified_and_repeat_exactly(name):
    assert trace_of(name, "fifo", 0) == trace_of(name, "fifo", 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_they_work_in_every_order_of_tasks_and_threads(name, order):
    trace_of(name, order, 3)


def test_a_run_is_the_same_in_every_process():
    script = Path(__file__).with_name("threaded_programs.py")
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(number / 20)],
            env=os.environ | {"PYTHONHASHSEED": str(number), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    traces = [json.loads(process.communicate()[0]) for process in processes]
    assert traces[0] == traces[1]


def test_threads_finish_in_the_order_of_their_submission_or_as_the_seed_says():
    orders = [run_threaded(PROGRAMS["anyio_threads"](), order="random", seed=seed)[0] for seed in range(5)]
    assert run_threaded(PROGRAMS["anyio_threads"]())[0] == list(range(20))
    assert len({tuple(order) for order in orders}) == 5


def test_the_clock_stands_still_while_a_thread_works():
    async def main():
        ticks = asyncio.create_task(asyncio.sleep(0.001))
        await asyncio.to_thread(time.sleep, 0.05)
        return ticks.done(), asyncio.get_running_loop().time()

    assert run_threaded(main())[0] == (False, 0.0)


def held_lock():
    lock = threading.Lock()
    lock.acquire()
    return lock


def caught(error, function):
    with pytest.raises(error):
        function()


@pytest.mark.parametrize(
    "wait",
    [
        lambda: threading.Event().wait(5),
        lambda: held_lock().acquire(timeout=5),
        lambda: threading.Semaphore(0).acquire(timeout=5),
        lambda: caught(queue.Empty, lambda: queue.Queue().get(timeout=5)),
        lambda: caught(queue.Empty, lambda: queue.SimpleQueue().get(timeout=5)),
        lambda: caught(TimeoutError, lambda: Future().result(timeout=5)),
        lambda: condition_wait_for(5),
    ],
    ids=["event", "lock", "semaphore", "queue", "simple queue", "future", "condition"],
)
@pytest.mark.parametrize(
    "where", [asyncio.to_thread, lambda function: asyncio.sleep(0, function())], ids=["thread", "loop"]
)
def test_a_thread_that_waits_for_a_limited_time_waits_in_virtual_time(wait, where):
    async def main():
        await where(wait)
        return asyncio.get_running_loop().time()

    assert run_threaded(main())[0] == 5.0


def condition_wait_for(timeout):
    condition = threading.Condition()
    with condition:
        return condition.wait_for(lambda: False, timeout)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Condition"])
def test_a_thread_waits_for_a_lock_that_another_holds_while_it_sleeps(kind):
    async def main():
        loop, lock, seen = asyncio.get_running_loop(), getattr(threading, kind)(), []

        def work():
            with lock:
                loop.sleep_here(1)
                seen.append(loop.time())

        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(3)))
        return seen

    assert run_threaded(main())[0] == [1.0, 2.0, 3.0]


def test_tasks_and_other_threads_run_while_a_thread_sleeps():
    async def main():
        loop, seen = asyncio.get_running_loop(), []

        def work(name, seconds):
            loop.sleep_here(seconds)
            seen.append((name, loop.time()))

        async def task():
            await asyncio.sleep(2)
            seen.append(("task", loop.time()))

        await asyncio.gather(asyncio.to_thread(work, "a", 3), task(), asyncio.to_thread(work, "b", 1))
        return seen

    assert run_threaded(main())[0] == [("b", 1.0), ("task", 2.0), ("a", 3.0)]


def test_a_loop_that_is_blocked_by_a_thread_lets_threads_run_and_no_task():
    async def main():
        loop = asyncio.get_running_loop()
        ticks = [asyncio.create_task(asyncio.sleep(1)) for _ in range(3)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=loop.sleep_here, args=(4,))
        thread.start()
        thread.join(timeout=2)
        first = thread.is_alive(), loop.time()
        thread.join()
        return first, thread.is_alive(), loop.time(), [tick.done() for tick in ticks]

    assert run_threaded(main())[0] == ((True, 2.0), False, 4.0, [False] * 3)


def test_a_deadlock_of_threads_and_tasks_names_the_line_of_the_thread():
    async def main():
        await asyncio.to_thread(wait_for_ever)

    def wait_for_ever():
        threading.Event().wait()

    with pytest.raises(
        DeadlockError, match=r"thread 'asyncio_0' at test_worker_threads.py:\d+ \(.*wait_for_ever\)"
    ) as caught:
        run_threaded(main())
    assert "shutdown" not in caught.value.report


def test_a_loop_that_waits_for_a_thread_that_waits_for_the_loop_is_a_deadlock():
    async def main():
        loop = asyncio.get_running_loop()
        coroutine = asyncio.sleep(1)
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    with pytest.raises(DeadlockError, match=r"the loop's own thread at .*main"):
        run_threaded(main())


def test_a_thread_that_neither_ends_nor_blocks_is_named_with_its_line(monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE", 0.2)
    ours, theirs = socket.socketpair()

    async def main():
        await asyncio.to_thread(read_a_real_socket)

    def read_a_real_socket():
        ours.recv(1)

    with pytest.raises(StuckThreadError, match=r"'asyncio_0' works at .*read_a_real_socket\) for 0.2 s") as caught:
        run_threaded(main())
    assert caught.value.thread == "asyncio_0"
    theirs.send(b"x")
    for thread in threading.enumerate():
        if thread.name == "asyncio_0":
            thread.join(5)
    ours.close()
    theirs.close()


def test_threads_that_are_left_end_with_the_loop():
    ended = []

    async def main():
        def wait():
            try:
                threading.Event().wait()
            finally:
                ended.append(threading.current_thread().name)

        for _ in range(3):
            threading.Thread(target=wait).start()
        asyncio.get_running_loop().run_in_executor(OF_THE_MODULE, wait)
        await asyncio.sleep(1)

    run_threaded(main())
    assert len(ended) == 4


def test_executors_and_locks_work_as_before_after_the_loop():
    async def main():
        await asyncio.get_running_loop().run_in_executor(executor, int)
        return threading.Lock(), queue.SimpleQueue()

    before = threading.Lock, threading.Thread.start, queue.SimpleQueue, sys.modules[__name__].ThreadPoolExecutor.submit
    with ThreadPoolExecutor(1) as executor:
        lock, numbers = run_threaded(main())[0]
        assert executor.submit(threading.current_thread).result() is not threading.current_thread()
        with lock:
            waiting = executor.submit(lock.acquire)
            assert not lock.acquire(timeout=0.01)
        assert waiting.result()
        got = executor.submit(numbers.get)
        numbers.put(1)
        assert got.result() == 1
    assert (threading.Lock, threading.Thread.start, queue.SimpleQueue, ThreadPoolExecutor.submit) == before


def test_an_abandoned_async_generator_is_closed_by_a_task_of_the_loop():
    closed = []

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(1)
            closed.append(asyncio.current_task() is not None)

    async def main():
        async for _ in numbers():
            break
        await asyncio.sleep(2)
        kept = numbers()
        await anext(kept)
        return kept

    run_threaded(main())
    assert closed == [True, True]


def test_the_default_executor_is_shut_down_in_an_orderly_way():
    async def main():
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, loop.sleep_here, 5)

    assert run_threaded(main())[1].time() == 5.0


class ThreadsAndNetworkLoop(NetworkLoop, WorkerThreadLoop):
    pass


SHARED = ThreadPoolExecutor(8)


def in_shared_threads(function, *args):
    return asyncio.get_running_loop().run_in_executor(SHARED, function, *args)


@pytest.mark.parametrize("pool", [anyio.to_thread.run_sync, asyncio.to_thread, in_shared_threads])
@pytest.mark.parametrize("order", ["fifo", "random"])
def test_a_killed_process_takes_its_threads_with_it_and_no_thread_of_another(pool, order):
    done = []

    async def main():
        loop = asyncio.get_running_loop()

        def work(name, seconds):
            loop.sleep_here(seconds)
            done.append((name, loop.time()))

        async def serve(name):
            for _ in range(3):
                await asyncio.gather(pool(work, name, 1), pool(work, name, 1.5))

        hosts = [loop.network.add_host(name) for name in ("a", "b")]
        tasks = [loop.create_task_in(host.process, serve(host.name), host.name) for host in hosts]
        await asyncio.sleep(1.75)
        loop.kill(hosts[0])
        await tasks[1]

    with asyncio.Runner(loop_factory=lambda: ThreadsAndNetworkLoop(order=order)) as runner:
        runner.run(main())
    assert sorted(done) == [("a", 1.0), ("a", 1.5), *[("b", time) for time in (1.0, 1.5, 2.5, 3.0, 4.0, 4.5)]]


def test_a_thread_that_could_go_on_when_its_process_was_killed_never_does():
    done = []

    async def main():
        loop, event = asyncio.get_running_loop(), threading.Event()

        def work():
            event.wait()
            done.append("went on")

        async def serve():
            await asyncio.to_thread(work)

        host = loop.network.add_host("a")
        loop.create_task_in(host.process, serve(), "serve")
        await asyncio.sleep(1)
        event.set()
        loop.kill(host)
        await asyncio.sleep(1)

    with asyncio.Runner(loop_factory=ThreadsAndNetworkLoop) as runner:
        runner.run(main())
    assert done == []


def test_only_threads_of_the_loop_sleep_in_its_time():
    loop = run_threaded(asyncio.sleep(0))[1]
    with pytest.raises(RuntimeError, match="only the thread of the loop"):
        loop.sleep_here(1)

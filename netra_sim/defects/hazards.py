"""Situations in which event loops on Windows are known to fail, with stock asyncio and with the Windows-safe layer.

All measurements are in real time, by `time.perf_counter`, on the platform that runs them. Timers fire early only on a busy
loop: an idle one waits in its selector for the full time.
"""

import asyncio
import gc
import random
import socket
import struct
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

import msgspec

from netra_sim.runtime import (
    WindowsSafeTimeoutContext,
    new_event_loop,
    run,
    windows_safe_sleep,
    windows_safe_wait_for,
)

RESETS = 100
"""Clients that reset their connection before it is accepted."""

LengthOf = Callable[[float], Awaitable[object]]


class Hazard(msgspec.Struct, frozen=True, kw_only=True):
    """One situation, and how often stock asyncio and the Windows-safe layer failed in it.

    Attributes:
        name: short.
        question: what goes wrong, as a question.
        tried: how often each was tried.
        stock: how often stock asyncio failed; None if it has no such function.
        safe: how often the layer failed.
        stock_errors: for waits of stock asyncio the seconds by which each was too long; below 0 it was too short.
        safe_errors: the same for the layer.
    """

    name: str
    question: str
    tried: int
    stock: int | None
    safe: int
    stock_errors: tuple[float, ...] = ()
    safe_errors: tuple[float, ...] = ()


def measure_hazards(*, waits: int = 60, resets: int = RESETS, seed: int = 1) -> list[Hazard]:
    """Measure every situation on this platform.

    Args:
        waits: how often each kind of wait is timed.
        resets: how many clients reset their connection.
        seed: of the lengths of the waits.
    """
    return [
        *(
            _waits(f"early {name}", f"Does a {name} on a busy loop end before its time?", *functions, waits, seed)
            for name, functions in WAITS.items()
        ),
        _waits("told too early", "Does a deadline that is asked for tell too early?", None, _safe_check, waits, seed),
        _swallowed_cancellations(waits),
        _listener(resets),
        _left_open(),
    ]


def time_waits(
    wait: LengthOf, count: int, seed: int, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> list[float]:
    """The seconds by which waits of 5 to 50 ms are too long on a busy loop; each begins at a random phase of the clock.

    Args:
        wait: waits for the seconds that it is given.
        count: the number of waits.
        seed: of their lengths and phases.
        loop_factory: makes the loop. Its ``exact_time`` is the clock if it has one, else `time.perf_counter`.
    """
    draw = random.Random(seed).uniform

    async def busy() -> None:
        while True:  # noqa: ASYNC110 - it must keep the loop busy
            await asyncio.sleep(0)

    async def work() -> list[float]:
        clock = getattr(asyncio.get_running_loop(), "exact_time", perf_counter)
        neighbour = asyncio.create_task(busy())
        errors = []
        for _ in range(count):
            delay, phase = round(draw(0.005, 0.05), 6), clock() + draw(0.0, 0.016)
            while clock() < phase:  # noqa: ASYNC110 - nothing signals a time of the clock
                await asyncio.sleep(0)
            began = clock()
            await wait(delay)
            errors.append(clock() - began - delay)
        neighbour.cancel()
        return errors

    return run(work(), loop_factory=loop_factory)


def _waits(name: str, question: str, stock: LengthOf | None, safe: LengthOf, count: int, seed: int) -> Hazard:
    of_stock = () if stock is None else tuple(time_waits(stock, count, seed, new_event_loop))
    of_safe = tuple(time_waits(safe, count, seed, new_event_loop))
    return Hazard(
        name=name,
        question=question,
        tried=count,
        stock=None if stock is None else sum(error < 0 for error in of_stock),
        safe=sum(error < 0 for error in of_safe),
        stock_errors=tuple(round(error, 6) for error in of_stock),
        safe_errors=tuple(round(error, 6) for error in of_safe),
    )


async def _stock_wait(seconds: float) -> None:
    try:
        await asyncio.wait_for(asyncio.Event().wait(), seconds)
    except TimeoutError:
        return


async def _safe_wait(seconds: float) -> None:
    await windows_safe_wait_for(asyncio.Event().wait(), seconds, default=None)


async def _stock_deadline(seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def _safe_deadline(seconds: float) -> None:
    try:
        async with WindowsSafeTimeoutContext(seconds, enforce=True):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def _safe_check(seconds: float) -> None:
    async with WindowsSafeTimeoutContext(seconds) as context:
        while not context.check_timeout():  # noqa: ASYNC110 - this is measured
            await asyncio.sleep(0)


WAITS: Mapping[str, tuple[LengthOf, LengthOf]] = {
    "sleep": (asyncio.sleep, windows_safe_sleep),
    "time-out": (_stock_wait, _safe_wait),
    "deadline": (_stock_deadline, _safe_deadline),
}
"""For each kind of wait a function of stock asyncio and one of the layer; both wait for the seconds that they are given."""


def _swallowed_cancellations(count: int) -> Hazard:
    async def swallowed(wait_for: Callable[[Awaitable[object], float], Awaitable[object]]) -> int:
        loop, lost = asyncio.get_running_loop(), 0
        for _ in range(count):
            result: asyncio.Future[None] = loop.create_future()
            waiting = asyncio.ensure_future(wait_for(result, 5.0))
            await asyncio.sleep(0)
            result.set_result(None)
            waiting.cancel()
            await asyncio.wait([waiting])
            lost += not waiting.cancelled()
        return lost

    return Hazard(
        name="swallowed cancellation",
        question="Is a cancellation lost that comes together with the result (gh-86296)?",
        tried=count,
        stock=run(swallowed(asyncio.wait_for), loop_factory=_stock_loop),
        safe=run(swallowed(windows_safe_wait_for)),
    )


def _listener(resets: int) -> Hazard:
    with _failures():  # the stock loop does not close the sockets that it could not accept
        stock = run(_clients_without_server(resets), loop_factory=_stock_loop)
        gc.collect()
    return Hazard(
        name="dead listener",
        question="Does a server turn clients away after one has reset its connection before it was accepted (gh-93821)?",
        tried=resets,
        stock=stock,
        safe=run(_clients_without_server(resets)),
    )


async def _clients_without_server(resets: int) -> int:
    """How many of ``resets`` clients find no server; each comes after a client that reset its connection."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    lost = 0
    for _ in range(resets):
        # In this thread, so that the loop cannot accept the client before it is gone.
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
            lost += client.connect_ex(address) != 0
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(*address)
                lost += await reader.read() != b"hello"
                writer.close()
        except OSError:
            lost += 1
    server.close()
    return min(lost, resets)


_LINGER = "HH" if sys.platform == "win32" else "ii"
"""Layout of ``struct linger``: two shorts on Windows, two ints elsewhere."""


def _left_open() -> Hazard:
    return Hazard(
        name="transports left open",
        question="Does what was left open fail when it is freed after the loop's end?",
        tried=4,
        stock=_failures_after(_stock_loop),
        safe=_failures_after(new_event_loop),
    )


def _failures_after(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    kept: list[object] = []

    async def leave_open() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        kept.extend([await loop.create_connection(asyncio.Protocol, *address) for _ in range(3)])
        words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        pipe = asyncio.subprocess.PIPE
        kept.append(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe))
        kept.append(server)

    with _failures() as failures:
        run(leave_open(), loop_factory=loop_factory)
        kept.clear()
        gc.collect()
    return len(failures)


@contextmanager
def _failures() -> Iterator[list[object]]:
    """Collects the exceptions that objects raise when they are freed."""
    failures: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda failure: failures.append(failure.exc_type)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield failures
    finally:
        sys.unraisablehook = before


def _stock_loop() -> asyncio.AbstractEventLoop:
    """The loop that `asyncio.run` uses on this platform."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()

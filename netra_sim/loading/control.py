"""The control of a load run: round trips over a bare connection, at the same time and between the same two processes.

A latency of the system under test means something only in comparison with the latency of the machine itself. The control is
a ping over a plain connection of the same library (`websockets`), which the library itself echoes: none of our code runs at
the server's end. That end has a separate thread and loop. On the server's loop the control would wait whenever the system
under test blocks that loop, and so hide the fault. The client's end runs on the clients' loop, so a late client process is
also late in the control.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from netra_sim.history import CONTROL_LATENCY
from netra_sim.recording import Recorder
from netra_sim.runtime import run

INTERVAL = 0.02
"""Seconds between two round trips."""


@asynccontextmanager
async def bare_echo() -> AsyncIterator[str]:
    """Run a plain WebSocket server in a separate thread; yield its URI, and stop it at the end."""
    ready: Future[tuple[str, Callable[[], object]]] = Future()
    serving = asyncio.create_task(asyncio.to_thread(run, _serve(ready)), name="bare echo")
    started = asyncio.wrap_future(ready)
    try:
        await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield (await started)[0]
    finally:
        if started.done() and not started.cancelled():
            started.result()[1]()
        await serving


async def _serve(ready: "Future[tuple[str, Callable[[], object]]]") -> None:
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()
    async with serve(ServerConnection.wait_closed, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        ready.set_result((f"ws://127.0.0.1:{port}", lambda: loop.call_soon_threadsafe(is_over.set)))
        await is_over.wait()


async def measure_control(uri: str, recorder: Recorder, clock: Callable[[], float]) -> None:
    """Record half of every round trip's time as a sample of `CONTROL_LATENCY`, until cancelled.

    Round trips are due every `INTERVAL` seconds, whether or not earlier ones have ended. Each counts from its due time, so a
    blocked loop is late for every round trip that was due meanwhile.

    Raises:
        websockets.exceptions.ConnectionClosed: the server has closed the connection.
    """
    async with connect(uri, compression=None, proxy=None) as socket:
        due = clock()
        while True:
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - clock()))
            echo = asyncio.ensure_future(await socket.ping())
            echo.add_done_callback(partial(_record, recorder, clock, due))


def _record(recorder: Recorder, clock: Callable[[], float], due: float, echo: asyncio.Future[float]) -> None:
    # The last pings fail when the connection is closed.
    if not echo.cancelled() and echo.exception() is None:
        recorder.sample(CONTROL_LATENCY, (clock() - due) / 2)

"""The clients of a load run, in another process: they connect, send requests when due, read, are cut off, and reconnect."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import perf_counter
from typing import Any

from websockets.exceptions import WebSocketException

from netra_sim.factory import answer_to, run_id_of
from netra_sim.history import CONNECTIONS_CUT, DRIVER_LATENESS, History
from netra_sim.loading.channel import Orders
from netra_sim.loading.control import measure_control
from netra_sim.loading.plan import PlannedRequest, PlannedUser
from netra_sim.loading.watching import all_of, alongside, loop_errors_recorded
from netra_sim.protocol import AgentCompleted, AgentError, Event, Hello, Reading, Refused
from netra_sim.recording import Recorder, how_answered, marked_question
from netra_sim.server.client import AgentClient

PATIENCE = 60.0
"""Seconds that a user waits for the end of a run before giving up."""

ATTEMPTS = 3
"""The number of times that a client tries to connect."""

_AT_ONCE = 64
"""The maximum number of clients that connect or leave at the same time; neither is part of the load."""

HEAD_START = 0.2
"""Seconds between the arrival of the last client and the beginning of the window."""


async def drive(orders: Orders, on_answer: Callable[[], None]) -> History:
    """Carry out the orders, and return the History; its meta field "began" is the time at which the window began.

    Args:
        orders: the plan, and where to connect.
        on_answer: called at the end of every request.
    """

    def clock() -> float:
        return perf_counter() - orders.began

    recorder = Recorder(clock)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    users = [_User(planned, orders, recorder, clock, on_answer, failure) for planned in orders.plan.planned()]
    gate = asyncio.Semaphore(_AT_ONCE)
    with loop_errors_recorded(recorder):
        await all_of(_through(gate, user.arrive()) for user in users)
        begins = clock() + HEAD_START
        try:
            asking = all_of(user.ask(request, begins) for user in users for request in user.planned.requests)
            await alongside(asking, measure_control(orders.control_uri, recorder, clock), _raise(failure))
        finally:
            await all_of(_through(gate, user.leave()) for user in users)
    recorder.sample(CONNECTIONS_CUT, sum(user.was_cut for user in users))
    return recorder.finish({"began": begins})


async def _raise(failure: asyncio.Future[None]) -> None:
    await failure


async def _through(gate: asyncio.Semaphore, work: Coroutine[Any, Any, None]) -> None:
    async with gate:
        await work


class _User:
    """One user with one client, which sends requests when they are due."""

    def __init__(
        self,
        planned: PlannedUser,
        orders: Orders,
        recorder: Recorder,
        clock: Callable[[], float],
        on_answer: Callable[[], None],
        failure: asyncio.Future[None],
    ) -> None:
        self.planned = planned
        self.was_cut = False
        self._orders = orders
        self._recorder = recorder
        self._clock = clock
        self._on_answer = on_answer
        self._failure = failure
        self._client: AgentClient | None = None
        self._asked: set[str] = set()
        self._events: Counter[str] = Counter()
        self._ends = {request.run_id: asyncio.Event() for request in planned.requests}

    async def arrive(self) -> None:
        """Connect; record a failed attempt and try again, at most `ATTEMPTS` times."""
        user_id = self.planned.user_id
        for _ in range(ATTEMPTS):
            client = AgentClient(self._orders.uri, self._orders.tokens[user_id], self._on_reading)
            try:
                self._client = await client.__aenter__()
                return
            except (OSError, WebSocketException) as error:
                self._recorder.connect_refused(user_id, f"{type(error).__name__}: {error}")

    async def leave(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.__aexit__(None, None, None)

    async def ask(self, request: PlannedRequest, begins: float) -> None:
        """Send a request when it is due, whether or not earlier ones have ended, and wait for the end of its run."""
        due = begins + request.due
        await asyncio.sleep(max(0.0, due - self._clock()))
        run_id = request.run_id
        self._asked.add(run_id)
        self._recorder.requested(run_id, request.user_id, due, request.thread_id)
        self._recorder.sample(DRIVER_LATENESS, self._clock() - due)
        message = {
            "type": "execute_agent",
            "message": marked_question(request.user_id, run_id),
            "thread_id": request.thread_id,
            "request_id": request.request_id,
        }
        if self._client is not None:
            with suppress(TimeoutError, ConnectionError):  # the History shows a request without an end
                async with asyncio.timeout(PATIENCE):
                    await self._client.send(message)
                    await self._ends[run_id].wait()
        self._on_answer()

    def _on_reading(self, frame: bytes, reading: Reading, connection_id: str) -> None:
        try:
            self._record(frame, reading, connection_id)
        except Exception as error:  # a bug in this process, which would otherwise only end the client's reading
            if not self._failure.done():
                self._failure.set_exception(error)
            raise

    def _record(self, frame: bytes, reading: Reading, connection_id: str) -> None:
        message, user_id = reading.message, self.planned.user_id
        if isinstance(message, Hello):
            self._recorder.attached(connection_id, user_id, user_id)
        self._recorder.read(connection_id, user_id, frame, reading)
        if isinstance(message, Refused):
            run_id = run_id_of(user_id, message.request_id or "")
            self._recorder.refused(run_id, user_id, message.code)
            self._end(run_id)
        elif isinstance(message, Event) and reading.is_new:
            self._events[message.run_id] += 1
            if isinstance(message, AgentCompleted):
                right = answer_to(marked_question(user_id, message.run_id))
                self._recorder.answered(message.run_id, user_id, *how_answered(message.final_response, right))
            if isinstance(message, AgentCompleted | AgentError):
                self._end(message.run_id)
            self._cut_if_due()

    def _end(self, run_id: str) -> None:
        if run_id in self._ends:
            self._ends[run_id].set()

    def _cut_if_due(self) -> None:
        cut_after, first = self.planned.cut_after, self.planned.requests[0].run_id
        if self.was_cut or self._client is None or cut_after is None or self._events[first] < cut_after:
            return
        # A request in flight would be lost with the connection, so every request must have had its first event.
        if all(self._events[run_id] for run_id in self._asked):
            self.was_cut = True
            self._client.cut()
